"""Pages of the API, made from the classes: a lead, the Params in groups, and methods."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from pyspark.ml import Model
from pyspark.ml.param.shared import HasOutputCol

import sparkwater
from sparkwater import errors
from sparkwater.conversions.stages.declarations import Declaration
from sparkwater.conversions.stages.levels import ESSENTIAL, LEVELS, SUBJECTS, level, subject
from sparkwater.conversions.stages.settings import Settings

#: What a reader finds in the packages with public names, in the order of the navigation; others follow by their
#: docstrings' first words.
TITLES = {
    "sparkwater.ml": "Learners, models and explanations",
    "sparkwater.conversions": "Tensors and tables",
    "sparkwater.stacking": "Stacking, searches and AutoML",
    "sparkwater.bundle": "Bundles",
}
#: Modules whose names are for those who extend or debug: all on one page each.
MODULES = {
    "networks": (
        "Networks and tasks of your own",
        {
            "sparkwater.gpu.networks": ("register_network", "registered_networks", "NetworkEntry"),
            "sparkwater.gpu.tasks": ("Task", "register_task"),
            "sparkwater.gpu.records": ("EpochRecord",),
        },
    ),
    "errors": (
        "Errors",
        {
            errors.__name__: tuple(
                name
                for name, item in vars(errors).items()
                if inspect.isclass(item) and issubclass(item, errors.SparkwaterError)
            )
        },
    ),
}
#: Stages with more Params than this show them by level and subject.
FEW = 15
#: Methods and properties of stages that other modules call, or that are Spark ML's own.
INTERNAL = frozenset(
    [
        "budget",
        "checked",
        "combination",
        "copy",
        "encoding",
        "folds",
        "kind",
        "layout",
        "load",
        "plan",
        "read",
        "spec",
        "tracking",
        "write",
    ]
)
SAVED = (
    "Saved and loaded as every stage of Spark ML, by `save` and `load`; `read().allowing(...)` gives consent to the "
    "code of other packages ([security](../SECURITY.md))."
)


@dataclass(frozen=True)
class Entry:
    """A public name: where it is imported from, and what it is."""

    package: str
    name: str
    item: Any

    @property
    def is_class(self) -> bool:
        """True for a class, false for a function."""
        return inspect.isclass(self.item)

    @property
    def is_stage(self) -> bool:
        """True for a class with declared Params."""
        return self.is_class and issubclass(self.item, Settings)

    @property
    def page(self) -> str:
        """The page, as a path in the folder of the API; functions of a package share one."""
        return f"{self.name}.md" if self.is_class else f"{self.package.rpartition('.')[2]}_functions.md"

    @property
    def place(self) -> str:
        """The place of the definition, for mkdocstrings."""
        return f"{self.item.__module__}.{self.item.__qualname__}"

    @property
    def lead(self) -> str:
        """The docstring up to its first section, as Markdown."""
        return markdown(sections(self.item)[""])

    @property
    def short(self) -> str:
        """The first line of the docstring."""
        return self.lead.split("\n")[0].rstrip(".")


@dataclass(frozen=True)
class Guides:
    """The pages on how to do things, by their paths in the site, to find the one on a class."""

    texts: Mapping[str, str]

    def line(self, name: str) -> str:
        """Return a line with the page that names a class most, or most of all early; empty if none does."""
        found = {
            page: [each.start() for each in re.finditer(rf"\b{name}\b", text)] for page, text in self.texts.items()
        }
        places = {page: (-len(here), here[0]) for page, here in found.items() if here}
        if not places:  # a model is explained where its learner is
            return self.line(name.removesuffix("Model")) if name.endswith("Model") else ""
        page = min(places, key=lambda each: places[each])
        title = re.search("^# (.+)$", self.texts[page], re.MULTILINE)
        return f"Guide: [{title[1] if title else page}](../{page})."


def public_packages() -> dict[str, str]:
    """Return the packages that have public names, with their titles."""
    found = dict(TITLES)
    for path in sorted(Path(sparkwater.__path__[0]).glob("*/__init__.py")):
        name = f"sparkwater.{path.parent.name}"
        if name not in found and "lazy_exports(" in path.read_text():
            found[name] = re.split("[:,.]", import_module(name).__doc__ or name)[0]
    return found


def public_names() -> list[Entry]:
    """Return all public names, package by package."""
    found = []
    for package in public_packages():
        module = import_module(package)
        found += [Entry(package, name, getattr(module, name)) for name in module.__all__]
    return found


def write_pages(folder: Path, guides: Guides) -> list[Any]:
    """Write all pages of the API into a folder, and return their navigation for mkdocs."""
    entries = public_names()
    folder.mkdir(parents=True)
    navigation: list[Any] = ["api/index.md"]
    for package, title in public_packages().items():
        here = [entry for entry in entries if entry.package == package]
        classes, functions = [e for e in here if e.is_class], [e for e in here if not e.is_class]
        pages = [_written(folder, entry.page, entry.name, class_page(entry, guides)) for entry in classes]
        if functions:
            text = functions_page(package, functions)
            pages.append(_written(folder, functions[0].page, "Functions", text))
        navigation.append({title: pages})
    for name, (title, modules) in MODULES.items():
        parts = [f"::: {module}.{each}" for module, names in modules.items() for each in names]
        navigation.append(_written(folder, f"{name}.md", title, "\n\n".join([f"# {title}", *parts, ""])))
    (folder / "index.md").write_text(index_page(entries))
    return navigation


def class_page(entry: Entry, guides: Guides) -> str:
    """Return the page of a class."""
    parts = [f"# {entry.name}", f"```\nfrom {entry.package} import {entry.name}\n```"]
    guide = guides.line(entry.name)
    if not entry.is_stage:
        members = [name for name in vars(entry.item) if not name.startswith("_")]
        return "\n\n".join([*parts, _directive(entry.place, root=False, members=members), guide, ""])
    found = sections(entry.item)
    parts += [entry.lead, guide, *params_part(entry.item)]
    if "Attributes" in found:
        parts += ["## Attributes", *attributes(found["Attributes"])]
    places = sorted(own_methods(entry.item).items())
    if places:
        parts += ["## Methods and properties", *(_directive(place, level=3) for _, place in places)]
    if "Notes" in found:
        parts += ["## Notes", markdown(found["Notes"])]
    return "\n\n".join([*parts, SAVED, ""])


def sections(item: Any) -> dict[str, str]:
    """Return the sections of a docstring by their titles; the text before them has an empty one."""
    parts = re.split(r"^(\w[\w ]*)\n-+\n", inspect.getdoc(item) or "", flags=re.MULTILINE)
    return {title: text.strip() for title, text in zip(["", *parts[1::2]], parts[::2], strict=True)}


def attributes(section: str) -> Iterator[str]:
    """Yield the entries of a section of attributes."""
    for name, kind, text in re.findall(r"^(\w+) : (.+)\n((?:    .*\n?|\n)+)", section, re.MULTILINE):
        says = markdown(inspect.cleandoc(text)).replace("\n", " ")
        yield f"`{name}`{{ #{name} .param }} *{markdown(kind)}*{{ .accepts }}\n:   {says}"


def params_part(stage: type[Settings]) -> Iterator[str]:
    """Yield the Params of a stage: in one list, or by level and subject where they are many."""
    declared = [_with_spark_s_default(stage, one) for one in stage._settings.values()]
    if not declared:
        return
    names = {one.name for one in declared}
    counts = ", ".join(
        f"[{len(here)} {each.lower()}](#{each.lower()})"
        for each in LEVELS
        if (here := [one for one in declared if level(one.name) == each])
    )
    few = len(declared) <= FEW
    yield "## Params" if few else f"## Params\n\n{len(declared)}: {counts}."
    given = (
        "Taken over from the learner by `fit`" if issubclass(stage, Model) else "Given to the constructor by keyword"
    )
    get, put = (_accessor(verb, declared[0]) for verb in ("get", "set"))
    yield f"{given}. Each has a getter and a setter: `{get}` and `{put}` for `{declared[0].name}`."
    if few:
        yield from (entry_of(one, names) for one in declared)
        return
    for each in LEVELS:
        here = [one for one in declared if level(one.name) == each]
        if here:
            yield f"### {each}"
            yield from _essential(here, names) if each == LEVELS[0] else _by_subject(stage, here, names)


def entry_of(one: Declaration, names: Iterable[str]) -> str:
    """Return the entry of a Param: its name, accepted values and default, and what it means."""
    choices = one.accepts.choices if one.accepts else ()
    if choices:
        kind = " · ".join(f"`{choice!r}`" for choice in choices)
    else:
        kind = one.accepted or " or ".join(f"`{each}`" for each in one.alternatives)
    default = "no default" if one.default is None else f"default `{one.default!r}`"
    if not one.is_param:
        default = "argument of the constructor"
    text = markdown(one.doc, names)
    return (
        f"`{one.name}`{{ #{one.name} .param }} *{kind}*{{ .accepts }} *{default}*{{ .default }}\n:   {_sentence(text)}"
    )


def own_methods(stage: type[Settings]) -> dict[str, str]:
    """Return the documented methods and properties that the package gives a stage, with their places.

    Names with underscores are the package's own business: users of Spark ML write camelCase.
    """
    found = {}
    for name in dir(stage):
        owner = next((base for base in stage.__mro__ if name in vars(base)), object)
        value = vars(owner).get(name)
        value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        ours = owner.__module__.startswith("sparkwater.") and owner is not Settings
        wanted = ours and "_" not in name and not re.match("[gs]et[A-Z]", name) and name not in INTERNAL
        if wanted and inspect.isfunction(value) and value.__doc__:
            found[name] = f"{owner.__module__}.{owner.__qualname__}.{name}"
    return found


def functions_page(package: str, functions: list[Entry]) -> str:
    """Return the page of a package's functions."""
    title = f"Functions of {package}"
    return "\n\n".join([f"# {title}", *(_directive(entry.place, level=2) for entry in functions), ""])


def index_page(entries: list[Entry]) -> str:
    """Return the page that names all of them."""
    parts = [
        "# API",
        "All public names, by the package that they are imported from. Pages are made from the code: Params with their "
        "accepted values and defaults are those of this version.",
    ]
    for package, title in public_packages().items():
        lines = [
            f"- [`{entry.name}`]({entry.page}{'' if entry.is_class else '#' + entry.place}): {entry.short}"
            for entry in entries
            if entry.package == package
        ]
        parts.append("\n".join([f"## {title}\n\n`{package}`\n", *lines]))
    lines = [f"- [{title}]({name}.md)" for name, (title, _) in MODULES.items()]
    return "\n\n".join([*parts, "## Beside these", "\n".join(lines), ""])


def markdown(text: str, names: Iterable[str] = ()) -> str:
    """Return a docstring's text as Markdown: code between single backticks; dotted names and Params as code."""
    parts = re.split(r"(``.+?``|`[^`]+`)", text, flags=re.DOTALL)
    known = "|".join(sorted((name for name in names if re.search("[A-Z]", name)), key=len, reverse=True))
    code = rf"(?<![\w.'\"/])(sparkwater(?:\.\w+)+{'|(?:' + known + ')' if known else ''})(?!\w)(=\w+|='[^']*')?"
    for place, part in enumerate(parts):
        if place % 2:
            parts[place] = f"`{part.strip('`')}`"
        else:
            escaped = re.sub(r"([*_\[\]<>])", r"\\\1", part)
            parts[place] = re.sub(code, lambda found: f"`{found[0]}`", escaped)
    return "".join(parts)


def _essential(here: list[Declaration], names: set[str]) -> Iterator[str]:
    yield from (entry_of(one, names) for one in sorted(here, key=lambda one: ESSENTIAL.index(one.name)))


def _by_subject(stage: type[Settings], here: list[Declaration], names: set[str]) -> Iterator[str]:
    groups: dict[str, list[Declaration]] = {}
    for one in here:
        home = next(base for base in stage.__mro__ if one.name in vars(base).get("_own_settings", {}))
        groups.setdefault(subject(home.__name__), []).append(one)
    for title in [*SUBJECTS, "Of this stage"]:
        if title in groups:
            if len(groups) > 1:
                yield f"#### {title}"
            yield from (entry_of(one, names) for one in groups[title])


def _with_spark_s_default(stage: type[Settings], one: Declaration) -> Declaration:
    """Return the declaration with the default that Spark ML's own mixin gives ``outputCol``."""
    of_spark = one.name == "outputCol" and one.default is None and issubclass(stage, HasOutputCol)
    return replace(one, default="<uid>__output") if of_spark else one


def _accessor(verb: str, one: Declaration) -> str:
    return f"{verb}{one.name[0].upper()}{one.name[1:]}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text[0] != "`" else f"{text}."


def _directive(place: str, level: int = 2, root: bool = True, members: list[str] | None = None) -> str:
    options = [f"      heading_level: {level}", f"      show_root_heading: {str(root).lower()}"]
    if members is not None:
        options.append(f"      members: [{', '.join(members)}]")
    return "\n".join([f"::: {place}", "    options:", *options])


def _written(folder: Path, name: str, title: str, text: str) -> dict[str, str]:
    (folder / name).write_text(text)
    # Long names break before their last word, in the narrow column of the navigation.
    return {re.sub(r"(?<=\w{16})(?=Model$)", "\u200b", title): f"api/{name}"}
