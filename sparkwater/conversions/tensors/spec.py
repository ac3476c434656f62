"""Tensor specs: the dtype and shape shared by all tensors of a column."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparkwater.errors import SchemaError

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


@dataclass(frozen=True)
class TensorSpec:
    """The dtype and shape that all tensors of a column share.

    Parameters
    ----------
    dtype : str
        One of `DTYPES`, as NumPy and torch name them.
    shape : sequence of int
        Sizes of the dimensions, each at least 1; ``()`` is a scalar. Pictures are channels
        first: ``(channels, height, width)``.

    Raises
    ------
    SchemaError
        If the dtype isn't one of `DTYPES` or a size isn't a positive integer.
    """

    dtype: str
    shape: tuple[int, ...]

    def __init__(self, dtype: str, shape: Sequence[int]) -> None:
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise SchemaError(f"dtype={dtype!r} is not a tensor dtype; accepted: {', '.join(DTYPES)}")
        if any(isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1 for size in shape):
            raise SchemaError(f"shape={tuple(shape)!r} must hold positive integers only")
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", tuple(int(size) for size in shape))

    @property
    def numpy_dtype(self) -> np.dtype[np.generic]:
        """The NumPy dtype, little-endian on every machine."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def size(self) -> int:
        """The number of values in one tensor."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of one tensor."""
        return self.size * self.numpy_dtype.itemsize

    def to_json(self) -> str:
        """Return the spec as a JSON object with the keys ``dtype`` and ``shape``."""
        return json.dumps({"dtype": self.dtype, "shape": list(self.shape)})

    @classmethod
    def from_json(cls, text: str) -> TensorSpec:
        """Return the spec that `to_json` wrote.

        Raises
        ------
        SchemaError
            If the text isn't such an object.
        """
        try:
            fields = json.loads(text)
            return cls(fields["dtype"], fields["shape"])
        except (ValueError, TypeError, KeyError) as error:
            raise SchemaError(f"not a tensor spec: {text[:200]!r} ({error})") from error

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


@dataclass(frozen=True, init=False)
class PackedSpec(TensorSpec):
    """Several tensors a row that travel as one: their bytes, one tensor after the other.

    Parameters
    ----------
    parts : sequence of TensorSpec
        Their specs. The row itself is a uint8 tensor of all their bytes.
    """

    parts: tuple[TensorSpec, ...]

    def __init__(self, parts: Sequence[TensorSpec]) -> None:
        super().__init__("uint8", (sum(part.nbytes for part in parts),))
        object.__setattr__(self, "parts", tuple(parts))

    @property
    def bounds(self) -> list[tuple[int, int]]:
        """The first byte of each part, and the one after its last."""
        ends = np.cumsum([part.nbytes for part in self.parts]).tolist()
        return list(zip([0, *ends], ends, strict=False))

    def __str__(self) -> str:
        return " + ".join(map(str, self.parts))


def parts_of(spec: TensorSpec) -> tuple[TensorSpec, ...]:
    """Return the tensors of one row: the spec itself, or the parts of a packed one."""
    return spec.parts if isinstance(spec, PackedSpec) else (spec,)
