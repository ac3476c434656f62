"""Columns of rows, as tensors in a graph."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sparkwater.bundle.format import MISSING_TEXT as MISSING_TEXT

Kind = Literal["number", "vector", "tensor", "string"]


@dataclass(frozen=True)
class Column:
    """A column of rows, as a tensor in a graph.

    Attributes
    ----------
    tensor : str
        Name of the tensor; its first dimension are the rows.
    kind : {"number", "vector", "tensor", "string"}
        Kind of a row's value.
    dtype : str
        Name of the numpy dtype; ``str`` for strings.
    shape : tuple of int
        Shape of a row's value: () for numbers and strings, (size,) for vectors.
    whole : bool
        True for integers that are held as float64, so that NaN can be a missing one.
    places : int or None
        Digits after the point, of decimals that are held as float64; None for other columns.
    """

    tensor: str
    kind: Kind
    dtype: str
    shape: tuple[int, ...] = ()
    whole: bool = False
    places: int | None = None

    @property
    def size(self) -> int:
        """Number of values in a row."""
        return math.prod(self.shape)


def number(tensor: str, dtype: str = "float64") -> Column:
    """Return a column of numbers; NaN is a missing one."""
    return Column(tensor, "number", dtype)


def vector(tensor: str, size: int, dtype: str = "float64") -> Column:
    """Return a column of vectors."""
    return Column(tensor, "vector", dtype, (size,))


def string(tensor: str) -> Column:
    """Return a column of strings; `MISSING_TEXT` is a missing one."""
    return Column(tensor, "string", "str")
