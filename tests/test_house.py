"""Sizes of the package's modules, folders, functions and classes: what is larger has two ideas."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator

from conftest import ROOT
from sources import parsed, python_files

MODULE_LINES = 400
FOLDER_MODULES = 20
CLASS_LINES = 300
FUNCTION_LINES = 60
BODY_LINES = 40  # of a function without its docstring

FILES = python_files("sparkwater")


def definitions(*kinds: type[ast.AST]) -> Iterator[tuple[str, int, ast.AST]]:
    """Yield place and name, number of lines, and node of each function or class."""
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, kinds):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1, node


def docstring_lines(node: ast.AST) -> int:
    if ast.get_docstring(node) is None:
        return 0
    return node.body[0].end_lineno - node.body[0].lineno + 1


def too_large(sizes: Iterator[tuple[str, int]], most: int, unit: str = "lines") -> list[str]:
    return [f"{name}: {size} {unit}, at most {most}" for name, size in sizes if size > most]


def test_modules_are_short():
    wrong = too_large(
        ((str(path.relative_to(ROOT)), len(path.read_text().splitlines())) for path in FILES), MODULE_LINES
    )
    assert not wrong, "\n".join(wrong)


def test_folders_hold_few_modules():
    counts = Counter(path.parent.relative_to(ROOT) for path in FILES if path.name != "__init__.py")
    wrong = too_large(((str(folder), count) for folder, count in counts.items()), FOLDER_MODULES, "modules")
    assert not wrong, "\n".join(wrong)


def test_functions_are_short():
    found = [*definitions(ast.FunctionDef, ast.AsyncFunctionDef)]
    wrong = too_large(((name, lines) for name, lines, _ in found), FUNCTION_LINES)
    wrong += too_large(
        ((name, lines - docstring_lines(node)) for name, lines, node in found), BODY_LINES, "lines without docstring"
    )
    assert not wrong, "\n".join(wrong)


def test_classes_are_short():
    wrong = too_large(((name, lines) for name, lines, _ in definitions(ast.ClassDef)), CLASS_LINES)
    assert not wrong, "\n".join(wrong)
