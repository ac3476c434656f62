"""The project's Python files, read and not run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from conftest import ROOT


def python_files(*folders: str) -> list[Path]:
    """Return the Python files in some of the project's folders."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def parsed(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(path.read_text())


def module_name(path: Path) -> str:
    """Return the name that a file of the package is imported by; a folder's own for its __init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, str, int]]:
    """Yield module, name in it ("" for the module itself) and line of each import.

    Imports in functions and those for type checkers alone count too.
    """
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: relative imports hide where things come from"
            yield from ((node.module or "", alias.name, node.lineno) for alias in node.names)
