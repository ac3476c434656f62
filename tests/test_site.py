"""The documentation's site: pages that are those of the code, a build without warnings, no requests to other hosts."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from pyspark.ml import PipelineModel
from pyspark.ml.tuning import CrossValidator
from pyspark.sql import DataFrameNaFunctions

import sparkwater
from scripts.pages.__main__ import gather, guides, site_places
from scripts.pages.api import FEW, TITLES, Entry, own_methods, public_names, public_packages, write_pages
from scripts.pages.links import fences, linked_names, moved_links
from sparkwater import errors, ml
from sparkwater.conversions.stages.levels import ESSENTIAL, EXPERT, LEVELS, SUBJECTS
from sparkwater.conversions.stages.settings import Settings
from sparkwater.gpu.networks import registered_networks
from sparkwater.ml.reports.summary import TrainingSummary

ENTRIES = {entry.name: entry for entry in public_names()}
STAGES = {name: entry.item for name, entry in ENTRIES.items() if entry.is_stage}
PARAM = re.compile(
    r"^`(\w+)`\{ #(\w+) \.param \} \*(.+)\*\{ \.accepts \} \*(.+)\*\{ \.default \}\n:   (.+)$", re.MULTILINE
)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages of the API."""
    folder = tmp_path_factory.mktemp("pages") / "api"
    write_pages(folder, guides())
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", gather(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder / "site"


def test_every_public_name_has_a_page(pages: Path) -> None:
    assert len(ENTRIES) > 60
    for entry in ENTRIES.values():
        page = (pages / entry.page).read_text()
        assert f"# {entry.name}\n" in page if entry.is_class else f"::: {entry.place}\n" in page, entry.name
        assert f"[`{entry.name}`]({entry.page}" in (pages / "index.md").read_text()


def test_a_package_with_public_names_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pond").mkdir()
    (tmp_path / "pond" / "__init__.py").write_text(
        '"""Ponds: still water."""\nfrom sparkwater._lazy import lazy_exports\n'
        '__getattr__, __dir__, __all__ = lazy_exports(__name__, {"depth": ("Depth",)})\n'
    )
    monkeypatch.setattr(sparkwater, "__path__", [str(tmp_path)])
    assert public_packages() == {**TITLES, "sparkwater.pond": "Ponds"}


def test_every_error_has_an_entry(pages: Path) -> None:
    page = (pages / "errors.md").read_text()
    kinds = [
        item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, errors.SparkwaterError)
    ]
    assert len(kinds) > 5
    assert not [kind for kind in kinds if f"::: sparkwater.errors.{kind.__name__}\n" not in page]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_s_page_has_its_params_with_their_defaults(pages: Path, name: str) -> None:
    stage = STAGES[name]()
    found = {entry[0]: entry for entry in PARAM.findall((pages / f"{name}.md").read_text())}
    arguments = set(inspect.signature(STAGES[name]).parameters)
    assert set(found) == arguments | {param.name for param in stage.params}
    for param in stage.params:
        _, anchor, _, default, text = found[param.name]
        assert anchor == param.name
        stated = f"default `{stage.getOrDefault(param)!r}`" if stage.hasDefault(param) else "no default"
        assert default == stated.replace(stage.uid, "<uid>"), param.name
        words = re.sub(r"[`\\]", "", text).rstrip(".").lower()
        assert re.sub(r"[`\\]", "", param.doc).lower().startswith(words), param.name


def test_many_params_are_shown_by_level(pages: Path) -> None:
    page = (pages / "ImageClassifier.md").read_text()
    parts = re.split(r"^### (\w+)$", page.split("## Methods")[0], flags=re.MULTILINE)
    assert tuple(parts[1::2]) == LEVELS
    names = [{entry[0] for entry in PARAM.findall(part)} for part in parts[2::2]]
    assert {"featuresCol", "labelCol", "epochs"} <= names[0] <= {*ESSENTIAL}
    assert {"beta1", "stallTimeout"} <= names[2] <= EXPERT
    assert not names[1] & {*ESSENTIAL, *EXPERT}
    assert "#### Optimizer, schedules and penalties" in parts[4]
    assert "### Essential" not in (pages / "DeepFeatures.md").read_text()
    assert len(STAGES["DeepFeatures"].declarations()) <= FEW


def test_levels_and_subjects_name_what_is_there() -> None:
    params = {name for stage in STAGES.values() for name in stage.declarations()}
    assert not {*ESSENTIAL, *EXPERT} - params
    assert not EXPERT & {*ESSENTIAL}
    homes = {base.__name__ for stage in STAGES.values() for base in stage.__mro__ if issubclass(base, Settings)}
    assert not {home for group in SUBJECTS.values() for home in group} - homes


def test_methods_of_a_stage_are_its_own_and_for_users() -> None:
    found = own_methods(STAGES["ImageClassifier"])
    assert found["fitPetastorm"] == "sparkwater.ml.network_learner.RowLearner.fitPetastorm"
    assert not [name for name in found if re.match(r"[gs]et[A-Z]|check_|setParams", name)]
    assert {"summary", "classes", "deepFeatures"} <= set(own_methods(STAGES["ImageClassifierModel"]))


def test_a_class_has_the_guide_that_names_it_most() -> None:
    found = guides()
    assert found.line("StackedEnsemble") == "Guide: [Stacking](../stacking.md)."
    assert (
        found.line("ImageRegressorModel")
        == found.line("ImageRegressor")
        == "Guide: [Image regressor](../image_regressor.md)."
    )
    assert found.line("NoSuchModel") == ""


def test_links_are_those_of_the_site() -> None:
    places = site_places()
    text = "[a](../../SECURITY.md#x) [b](../limits.md) [c](../../README.md) [d](#e)\n```\n[f](../../x.md)\n```\n"
    there = "[a](../SECURITY.md#x) [b](../limits.md) c [d](#e)\n```\n[f](../../x.md)\n```\n"
    assert moved_links(text, "docs/background/faults.md", places) == there
    assert moved_links("[a](docs/gpu.md)", "SECURITY.md", places) == "[a](gpu.md)"


def test_the_first_mention_of_a_name_is_a_link() -> None:
    text = "# `Pool`\n\n`Pool` and `Pool`, [`Pool`](x.md), `pool`\n```\n`Pool`\n```\n"
    linked = "# `Pool`\n\n[`Pool`](../api/Pool.md) and `Pool`, [`Pool`](x.md), `pool`\n```\n`Pool`\n```\n"
    assert linked_names(text, "background/x.md", {"Pool": "api/Pool.md"}) == linked


def test_blocks_that_are_not_run_say_why() -> None:
    assert fences("```python no-run: no rows\nx\n```\n") == '```python title="Not run by the tests: no rows"\nx\n```\n'


# The tables of other tools' parameters.

COMING_FROM = {
    "docs/coming_from/deep_water.md": "ImageClassifier",
    "docs/coming_from/horovod_spark.md": "ImageClassifier",
    "docs/coming_from/sparkling_water.md": "DeepLearningClassifier",
    "docs/coming_from/synapseml.md": "ImageClassifier",
    "docs/coming_from/torch_distributor.md": "ImageClassifier",
    "docs/deep_learning.md": "DeepLearningRegressor DeepLearningClassifier AutoEncoder",
}
OTHERS = {
    "CrossValidator": CrossValidator,
    "PipelineModel": PipelineModel,
    "RankFailure": errors.RankFailure,
    "na": DataFrameNaFunctions,
    "summary": TrainingSummary,
    "torch": torch,
}
#: Names in values, such as a network or an argument of a callback.
FREE = {"fit", "record"}


def cells(page: str) -> Iterator[str]:
    """Yield each piece of code in the right column of the tables from elsewhere to here."""
    text = (ROOT / page).read_text()
    for table in re.findall(r"^\|[^|]+\| Here \|\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE):
        for row in table.splitlines():
            yield from re.findall(r"`([^`]+)`", row.rstrip("|").rpartition(" | ")[2])


def unknown(code: str, bare: list[type[Settings]]) -> list[str]:
    """Return what is wrong with a piece of code: names that are nowhere, values that a Param doesn't take.

    A name that stands alone is a Param of the page's stages; a value that stands alone is one of a Param's choices.
    """
    declared = [(name, one) for stage in bare for name, one in stage.declarations().items()]
    params = {name for name, _ in declared}
    choices = {choice for _, one in declared if one.accepts for choice in one.accepts.choices}
    known = {*params, *choices, *ENTRIES, *OTHERS, *FREE, "model", *registered_networks()}
    try:
        tree = ast.parse(code, mode="eval")
    except SyntaxError:
        tree = ast.parse(f"settings({code})", mode="eval")
        known.add("settings")
    wrong = [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id not in known]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            wrong += _bad_call(node, bare)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id != "record":
            wrong += _bad_attribute(node.value.id, node.attr)
    return wrong


def _bad_call(node: ast.Call, bare: list[type[Settings]]) -> list[str]:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    wrong = []
    for keyword in node.keywords:
        stages = [STAGES[name]] if name in STAGES else bare
        if name in ENTRIES and name not in STAGES:
            wrong += [] if keyword.arg in inspect.signature(ENTRIES[name].item).parameters else [keyword.arg]
            continue
        if name not in {"settings", *STAGES}:
            continue
        stage = next((stage for stage in stages if keyword.arg in stage.declarations()), None)
        if stage is None:
            wrong.append(keyword.arg)
        elif not any(isinstance(part, (ast.Name, ast.Lambda, ast.Call)) for part in ast.walk(keyword.value)):
            stage(**{keyword.arg: ast.literal_eval(keyword.value)}).accepted_value(keyword.arg)
    return wrong


def _bad_attribute(name: str, attribute: str) -> list[str]:
    if name == "model":
        there = any(
            hasattr(STAGES[model], attribute) for model in ("ImageClassifierModel", "DeepLearningClassifierModel")
        )
    else:
        owner = {**OTHERS, **{each: entry.item for each, entry in ENTRIES.items()}}.get(name)
        # A field without a default is no attribute of its class.
        there = hasattr(owner, attribute) or attribute in getattr(owner, "__dataclass_fields__", ())
    return [] if there else [f"{name}.{attribute}"]


@pytest.mark.parametrize("page", COMING_FROM)
def test_our_side_of_the_tables_is_the_code_s(page: str) -> None:
    bare = [STAGES[name] for name in COMING_FROM[page].split()]
    found = list(cells(page))
    assert len(found) > 10
    wrong = {code: problems for code in found if (problems := unknown(code, bare))}
    assert not wrong


def test_names_that_are_nowhere_are_found() -> None:
    bare = [ml.ImageClassifier]
    assert unknown("learningRat", bare) == ["learningRat"]
    assert unknown("model.deepFeature", bare) == ["model.deepFeature"]
    assert unknown("AutoEncoder(hiden=[1])", bare) == ["hiden"]
    assert unknown("cross_fit(keepModel=True)", bare) == ["keepModel"]
    assert not unknown("epochs=0.5", bare)
    with pytest.raises(errors.ConfigurationError, match="accepted"):
        unknown('optimizer="lamb"', bare)


# The built site.


class Page(HTMLParser):
    """Anchors of a page, links to other pages, and files that it loads by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and given.get("rel") not in {"canonical", "prev", "next"}:
            self.loads.append(given["href"])
        self.loads += [given[name] for name in ("src", "srcset", "poster", "data") if name in given and tag != "a"]


@pytest.fixture(scope="module")
def html(site: Path) -> dict[Path, Page]:
    # 404.html is for servers, with paths from their root.
    return {path: Page(path.read_text()) for path in site.rglob("*.html") if path.name != "404.html"}


@pytest.mark.slow  # the site is built
def test_built_links_lead_to_pages_and_anchors(html: dict[Path, Page]) -> None:
    lost = []
    for path, page in html.items():
        for target in page.links:
            name, _, anchor = target.partition("#")
            if re.match(r"\w+:", target):
                continue
            there = (path.parent / name).resolve() if name else path
            there = there / "index.html" if there.is_dir() else there
            if not there.exists() or (anchor and there in html and anchor not in html[there].anchors | {"__top"}):
                lost.append(f"{path.name}: {target}")
    assert len(html) > 90
    assert not lost


@pytest.mark.slow  # the site is built
def test_pages_load_nothing_from_other_hosts(site: Path, html: dict[Path, Page]) -> None:
    files = {path: page.loads for path, page in html.items()}
    files |= {path: re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", path.read_text()) for path in site.rglob("*.css")}
    assert sum(map(len, files.values())) > 500
    outside = [target for targets in files.values() for target in targets if re.match(r"(?:https?:)?//", target)]
    assert not outside
    assert not [page for page in html if "fonts.g" in page.read_text()]
    for path, page in html.items():
        missing = [
            name for name in page.loads if name and not (path.parent / name.split("?")[0].split("#")[0]).exists()
        ]
        assert not missing, path


@pytest.mark.slow  # the site is built
def test_every_picture_has_a_text(site: Path, html: dict[Path, Page]) -> None:
    drawn = 0
    for path in html:
        text = path.read_text()
        assert not re.findall(r"<img(?![^>]*\balt=\"[^\"]{20,})[^>]*>", text), path
        drawings = re.findall(r"<svg[^>]*role=\"img\" aria-labelledby=\"([\w-]+)\"[^>]*>", text)
        assert all(re.search(rf"<title id=\"{name}\">[^<]{{80,}}</title>", text) for name in drawings), path
        drawn += len(drawings)
    assert drawn == 2  # for wide and for narrow windows


@pytest.mark.slow  # the site is built
def test_the_search_finds_params_and_pages(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text()
    for text in ("gradientCompression", "Deep Water", "k_nearest", "RankFailure"):
        assert text in index


def test_entries_know_functions_from_classes() -> None:
    assert Entry("sparkwater.ml", "k_nearest", ml.k_nearest).page == "ml_functions.md"
    assert Entry("sparkwater.ml", "ConfusionMatrix", ml.ConfusionMatrix).page == "ConfusionMatrix.md"
