"""Columns of numbers, and of vectors and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from sparkwater.conversions.tables.encoding.column import (
    TOO_FAR,
    Entries,
    FittedColumn,
    Problems,
    float32,
    problems_of,
)
from sparkwater.conversions.tables.encoding.scaling import Floats, Scaling, scaling_of
from sparkwater.conversions.tensors.arrow import TensorRows, readable_tensors
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.conversions.tensors.values import array_to_tensors
from sparkwater.errors import SchemaError

if TYPE_CHECKING:
    from typing_extensions import Self

#: The problem of a vector that can't be used.
NOT_FINITE = "the vector holds a NaN or an infinity, or a number too far from those of the training rows"


@dataclass(frozen=True)
class NumberColumn(FittedColumn):
    """A number a row: scaled, and an indicator of missing ones where the training rows had some.

    Attributes
    ----------
    scaling : Scaling or None
        Of one number; None where the present ones were all the same, and the indicator says all.
    fill : float
        The number in place of a missing one.
    indicator : bool
        Whether an entry is 1 for missing ones, and 0 for the others.
    """

    kind: ClassVar[str] = "number"
    scaling: Scaling | None
    fill: float
    indicator: bool

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries."""
        return (self.name,) * (self.scaling is not None) + (f"{self.name} is missing",) * self.indicator

    def encode(self, array: pa.Array, out: Entries) -> Problems:
        """Write the scaled numbers, and the indicator."""
        values = read_numbers(array)
        missing = np.isnan(values)
        if self.indicator:
            out[:, -1] = missing
        if self.scaling is None:
            return {}
        out[:, :1] = float32(self.scaling.apply(np.where(missing, self.fill, values)[:, None]))
        return problems_of(~np.isfinite(out[:, 0]), TOO_FAR)

    def more(self) -> dict[str, Any]:
        """Return the other fields."""
        scaling = self.scaling and self.scaling.to_dict()
        return {"scaling": scaling, "fill": self.fill, "indicator": self.indicator}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the column that `to_dict` wrote."""
        return cls(
            name=str(fields["name"]),
            type=str(fields["type"]),
            scaling=None if fields["scaling"] is None else scaling_of(fields["scaling"]),
            fill=float(fields["fill"]),
            indicator=bool(fields["indicator"]),
        )


@dataclass(frozen=True)
class VectorColumn(FittedColumn):
    """Several numbers a row: vectors, dense or sparse, or arrays; each entry scaled.

    Attributes
    ----------
    scaling : Scaling
        Of all entries.
    """

    kind: ClassVar[str] = "vector"
    scaling: Scaling

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries."""
        return tuple(f"{self.name}[{place}]" for place in range(self.scaling.size))

    @property
    def width(self) -> int:
        """The count of entries."""
        return self.scaling.size

    def encode(self, array: pa.Array, out: Entries) -> Problems:
        """Write the scaled entries; a null in a row, a NaN and another length are problems."""
        rows = read_vectors(array, self.scaling.size)
        scaled = float32(self.scaling.apply(np.where(np.isnan(rows.values), 0.0, rows.values)))
        wrong = ~np.isfinite(rows.values).all(axis=1) | ~np.isfinite(scaled).all(axis=1)
        out[rows.valid] = scaled
        places = np.flatnonzero(rows.valid)[wrong]
        return {**rows.problems, **dict.fromkeys(places.tolist(), NOT_FINITE)}

    def more(self) -> dict[str, Any]:
        """Return the other fields."""
        return {"scaling": self.scaling.to_dict()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the column that `to_dict` wrote."""
        return cls(name=str(fields["name"]), type=str(fields["type"]), scaling=scaling_of(fields["scaling"]))


@dataclass(frozen=True)
class TensorColumn(FittedColumn):
    """A tensor a row: its numbers as they are.

    Attributes
    ----------
    spec : TensorSpec
        Of the column.
    """

    kind: ClassVar[str] = "tensor"
    spec: TensorSpec

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries, row-major."""
        return tuple(f"{self.name}[{place}]" for place in range(self.spec.size))

    @property
    def width(self) -> int:
        """The count of entries."""
        return self.spec.size

    def encode(self, array: pa.Array, out: Entries) -> Problems:
        """Write the numbers; a null tensor, another length and a NaN are problems."""
        rows = readable_tensors(array.cast(pa.binary()), self.spec)
        values = float32(rows.values.reshape(len(rows.values), self.spec.size))
        out[rows.valid] = values
        places = np.flatnonzero(rows.valid)[~np.isfinite(values).all(axis=1)]
        return {**rows.problems, **dict.fromkeys(places.tolist(), "the tensor holds a NaN, or what float32 can't hold")}

    def more(self) -> dict[str, Any]:
        """Return the other fields."""
        return {"spec": self.spec.to_json()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the column that `to_dict` wrote."""
        return cls(name=str(fields["name"]), type=str(fields["type"]), spec=TensorSpec.from_json(fields["spec"]))


def read_numbers(array: pa.Array) -> Floats:
    """Return numbers, decimals or booleans as float64; NaN for nulls.

    Raises
    ------
    SchemaError
        If the array holds something else.
    """
    kind = array.type
    known = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in known):
        raise SchemaError(f"{kind} in Arrow is no number")
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def read_vectors(array: pa.Array, size: int) -> TensorRows:
    """Return vectors, dense or sparse, or lists of numbers as float64 of shape ``(usable rows, size)``."""
    return array_to_tensors(array, TensorSpec("float64", (size,)))
