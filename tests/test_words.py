"""Docstrings are phrases in the field's words: no riddles, no half lists of arguments."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
FOLDERS = ("sparkwater", "jobs", "benchmarks", "scripts")
RIDDLE = re.compile(r"(what|how|which|who|whose|where|when|whether|everything)\b", re.IGNORECASE)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Documented(NamedTuple):
    """A module, class or function, and its docstring."""

    place: str
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    text: str | None


def read(path: Path) -> list[Documented]:
    name = path.relative_to(ROOT).as_posix()
    return [
        Documented(f"{name}:{getattr(node, 'lineno', 1)}", node, ast.get_docstring(node))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS))
    ]


ALL = [each for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")) for each in read(path)]
WITH_TEXT = [each for each in ALL if each.text]


def undocumented(function: Documented) -> set[str]:
    """Return the arguments that a section of parameters leaves out; none where there is no section."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=\n\n^\S|\Z)", function.text, re.MULTILINE | re.DOTALL)
    if section is None:
        return set()
    entries = re.findall(r"^(\S.*)$", section[1], re.MULTILINE)
    names = {name.strip().lstrip("*") for entry in entries for name in entry.split(" : ")[0].split(",")}
    spec = function.node.args
    stars = [star for star in (spec.vararg, spec.kwarg) if star]
    given = {each.arg for each in [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *stars]}
    return given - names - {"self", "cls"}


def test_every_folder_is_read():
    assert all(any(each.place.startswith(f"{folder}/") for each in WITH_TEXT) for folder in FOLDERS)


def test_modules_have_docstrings():
    bare = [each.place for each in ALL if isinstance(each.node, ast.Module) and not each.text]
    assert not bare, "say in a phrase what is found in each"


def test_docstrings_name_their_subject():
    riddles = [f"{each.place}: {each.text.splitlines()[0]}" for each in WITH_TEXT if RIDDLE.match(each.text)]
    assert not riddles, "name the thing, in place of a question"


def test_docstrings_name_the_part_that_acts():
    found = [each.place for each in WITH_TEXT if "whoever" in each.text.lower()]
    assert not found, "name the part of the program, in place of 'whoever'"


def test_first_lines_end_in_a_period():
    open_ended = [each.place for each in WITH_TEXT if not each.text.splitlines()[0].endswith(".")]
    assert not open_ended, "the first line is a whole phrase"


def test_all_arguments_are_documented_or_none():
    functions = [each for each in WITH_TEXT if isinstance(each.node, FUNCTIONS)]
    partial = [f"{each.place}: {', '.join(sorted(left))}" for each in functions if (left := undocumented(each))]
    assert not partial, "describe these arguments too, or none of the function's"
