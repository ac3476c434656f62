"""Test vectors: rows of inputs with the outputs that are expected, in safetensors read by NumPy alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkwater.errors import CheckpointError

Arrays = Mapping[str, npt.NDArray[Any]]

#: dtypes of safetensors.
_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
}

#: Key of the metadata that holds columns of texts, as JSON: lists by name.
STRINGS = "strings"

#: Names of vectors begin so, by what they are.
INPUT, OUTPUT, PICTURE = "input:", "output:", "picture:"


def read_vectors(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a safetensors file, and the columns of texts in its metadata.

    Raises
    ------
    CheckpointError
        If the content is damaged: nothing is read beyond it.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        found = {name: _array(entry, memoryview(content)[8 + length :]) for name, entry in header.items()}
        texts = json.loads(metadata.get(STRINGS, "{}"))
        found.update({name: np.array(list(map(str, values)), object) for name, values in texts.items()})
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise CheckpointError(f"the test vectors are damaged: {error!r}") from error
    return found


def _array(entry: Mapping[str, Any], content: memoryview) -> npt.NDArray[Any]:
    start, stop = entry["data_offsets"]
    shape = tuple(entry["shape"])
    dtype = np.dtype(_DTYPES[entry["dtype"]]).newbyteorder("<")
    whole = all(type(size) is int and size >= 0 for size in (start, stop, *shape))
    if not whole or stop > len(content) or stop - start != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{shape} of {dtype} in bytes {start} to {stop}")
    return np.frombuffer(content[start:stop], dtype).reshape(shape)


def difference(
    found: npt.NDArray[Any], expected: npt.NDArray[Any], absolute: float, relative: float
) -> tuple[float, bool]:
    """Return the largest difference of two arrays, and whether all are tolerated.

    NaN equals NaN, and infinities each other. Texts, flags and whole numbers differ by 0, or by an infinity.

    Parameters
    ----------
    found, expected : numpy.ndarray
        Of one shape.
    absolute, relative : float
        Tolerance: a difference may be ``absolute + relative * abs(expected)``.
    """
    if found.shape != expected.shape:
        return math.inf, False
    if expected.dtype.kind != "f":
        same = bool((found == expected).all())
        return (0.0 if same else math.inf), same
    one, other = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, np.abs(one - other))
        apart = np.where(np.isnan(apart), np.inf, apart)
        allowed = np.where(np.isfinite(other), absolute + relative * np.abs(other), 0.0)
    return float(apart.max(initial=0.0)), bool((apart <= allowed).all())
