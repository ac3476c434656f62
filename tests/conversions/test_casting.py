from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkwater.conversions.tensors.casting import cast_rows, common_dtype, widens_exactly
from sparkwater.conversions.tensors.spec import DTYPES
from sparkwater.errors import SchemaError


def extremes(dtype: str) -> np.ndarray:
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return np.array([False, True])
    if kind.kind == "f":
        limits = np.finfo(kind)
        return np.array([limits.min, limits.max, limits.smallest_subnormal, 1 + limits.eps, -0.0], kind)
    limits = np.iinfo(kind)
    return np.array([limits.min, limits.min + 1, limits.max - 1, limits.max], kind)


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_widening_is_exact_where_it_says_so_and_only_there(source: str, target: str) -> None:
    values = extremes(source)
    with np.errstate(all="ignore"):
        cast = values.astype(target)
        there_and_back = [exactly(a) == exactly(b) for a, b in zip(values, cast, strict=True)]
    if widens_exactly(source, target):
        assert all(there_and_back)
    elif target != "bool" or source != "bool":
        assert not all(there_and_back)


def exactly(value: np.generic) -> object:
    """The number without a dtype: Python's integers and fractions have no limits."""
    number = value.item()
    if isinstance(number, float):
        return number.as_integer_ratio() if math.isfinite(number) else number
    return (int(number), 1)


@given(st.lists(st.sampled_from(DTYPES), min_size=1))
def test_a_common_dtype_holds_all_and_is_the_first_that_does(dtypes: list[str]) -> None:
    holding = [dtype for dtype in DTYPES if all(widens_exactly(given, dtype) for given in dtypes)]
    if holding:
        assert common_dtype(dtypes) == holding[0]
    else:
        with pytest.raises(SchemaError, match="choose one"):
            common_dtype(dtypes)


def test_large_integers_and_floats_have_no_common_dtype() -> None:
    with pytest.raises(SchemaError, match="float64 and int64"):
        common_dtype(["int64", "float64"])


@pytest.mark.parametrize(
    ("values", "dtype", "fits"),
    [
        ([0.0, 255.0, 256.0, -1.0, 1.5, math.nan, math.inf], "uint8", [True, True] + [False] * 5),
        ([2.0**63, -(2.0**63), 2.0**62], "int64", [False, True, True]),
        ([1e300, math.inf, math.nan, -1e38, 1e-300], "float32", [False, True, True, True, True]),
        ([0.0, 1.0, 2.0, math.nan], "bool", [True, True, False, False]),
        ([70000.0, 65504.0], "float16", [False, True]),
    ],
)
def test_a_number_without_a_place_is_found(values: list[float], dtype: str, fits: list[bool]) -> None:
    cast, found = cast_rows(np.array(values).reshape(-1, 1), np.dtype(dtype))
    assert found.tolist() == fits
    for value, row, fitting in zip(values, cast[:, 0], fits, strict=True):
        if fitting and not math.isnan(value):
            assert row == np.dtype(dtype).type(value)


def test_integers_out_of_range_are_found() -> None:
    values = np.array([[0, 127], [0, 128], [-128, 1], [-129, 0]], np.int64)
    assert cast_rows(values, np.dtype("int8"))[1].tolist() == [True, False, True, False]


def test_the_right_dtype_is_a_view() -> None:
    values = np.zeros((2, 3), np.float32)
    assert np.shares_memory(cast_rows(values, np.dtype("float32"))[0], values)
