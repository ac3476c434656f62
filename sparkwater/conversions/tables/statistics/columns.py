"""Input columns: their roles, and the numbers that statistics are of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparkwater.conversions.tables.encoding.numbers import read_numbers
from sparkwater.conversions.tables.encoding.times import PARTS, time_parts, wall_seconds
from sparkwater.conversions.tables.statistics.sketch import Floats
from sparkwater.conversions.tensors.spec import TensorSpec


@dataclass(frozen=True)
class InputColumn:
    """A column of the training rows.

    Attributes
    ----------
    name, type : str
        Name, and Spark's name of the type.
    role : {"number", "category", "time", "vector", "tensor"}
        The kind of fitted column that it becomes.
    form : str
        The kind of field, as `sparkwater.conversions.tables.inputs.form_of` names it.
    asked : bool
        Whether the user named it as a number or a category: then it is no identifier.
    size : int
        Numbers a row: 1, the parts of a time, the length of a vector; 0 for categories and tensors.
    spec : TensorSpec or None
        Of a tensor column.
    """

    name: str
    type: str
    role: str
    form: str
    asked: bool = False
    size: int = 0
    spec: TensorSpec | None = None

    @property
    def may_identify(self) -> bool:
        """True for strings and whole numbers, unless the user said what they are."""
        return self.form in ("string", "whole") and not self.asked

    def numbers(self, array: pa.Array) -> Floats:
        """Return the rows of a number or a time as numbers of shape ``(rows, size)``; NaN where there is none.

        Parameters
        ----------
        array : pyarrow.Array
            Numbers, or seconds of the clock on the wall.
        """
        if self.role == "number":
            return read_numbers(array)[:, None]
        if self.role == "time":
            parts = time_parts(wall_seconds(array, "UTC"))
            return np.stack([parts[part] for part in PARTS], axis=1)
        return np.empty((len(array), 0))
