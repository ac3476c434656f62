"""A workbook as a program: a Python script, or a notebook of Jupyter."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sparkwater.flow.workbook.code import comment
from sparkwater.flow.workbook.workbook import Cell

_SESSION = ("from pyspark.sql import SparkSession",)
_START = "spark = SparkSession.builder.getOrCreate()"


def script(cells: Iterable[Cell]) -> str:
    """Return a program that repeats the cells which succeeded, in their order; it imports first."""
    parts = [(cell.action.title, cell.action.code()) for cell in cells if cell.repeats]
    imports = sorted({line for _, code in parts for line in code.imports} | set(_SESSION))
    blocks = ["\n".join([comment(title), *code.lines]) for title, code in parts]
    return "\n\n".join(
        ['"""A flow of sparkwater, as it ran in the browser."""', "\n".join(imports), _START, *blocks, ""]
    )


def notebook(cells: Iterable[Cell]) -> str:
    """Return a notebook of Jupyter (format 4.5) with the same program: one cell each."""
    sources = ["\n".join([*_SESSION, "", _START])]
    kept = [cell.action for cell in cells if cell.repeats]
    sources += [f"{comment(action.title)}\n{action.code().text}".rstrip() for action in kept]
    content = {
        "cells": [_notebook_cell(place, source) for place, source in enumerate(sources)],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1) + "\n"


def _notebook_cell(place: int, source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": f"cell-{place}",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }
