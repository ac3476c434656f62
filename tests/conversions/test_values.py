from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.conversions.tensors.values import array_to_tensors
from sparkwater.errors import SchemaError

VECTOR = pa.struct(
    [
        ("type", pa.int8()),
        ("size", pa.int32()),
        ("indices", pa.list_(pa.int32())),
        ("values", pa.list_(pa.float64())),
    ]
)


def dense(*values: float) -> dict[str, Any]:
    return {"type": 1, "size": None, "indices": None, "values": list(values)}


def sparse(size: int, values: dict[int, float]) -> dict[str, Any]:
    return {"type": 0, "size": size, "indices": list(values), "values": list(values.values())}


ARROW_TYPES = {
    "bool": pa.bool_(),
    "uint8": pa.uint8(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
}


@pytest.mark.parametrize("dtype", ARROW_TYPES)
@given(
    lengths=st.lists(st.one_of(st.none(), st.integers(0, 4)), max_size=12),
    shape=st.sampled_from([(2,), (1, 2), (3,), (2, 2)]),
    cut=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    kind=st.sampled_from(["list", "large", "chunks"]),
)
def test_lists_become_tensors_row_by_row(
    dtype: str, lengths: list[int | None], shape: tuple[int, ...], cut: tuple[int, int], kind: str
) -> None:
    spec = TensorSpec(dtype, shape)
    raw = np.random.default_rng(len(lengths)).integers(0, 100, (len(lengths), 4)).astype(spec.numpy_dtype)
    rows = [None if n is None else raw[row, :n] for row, n in enumerate(lengths)]
    element = ARROW_TYPES[dtype]
    array = pa.array(rows, pa.large_list(element) if kind == "large" else pa.list_(element))
    if kind == "chunks" and len(array) > 1:
        array = pa.concat_arrays([array.slice(0, 1), array.slice(1)])
    array, rows = array.slice(*cut), rows[cut[0] :][: cut[1]]
    found = array_to_tensors(array, spec)
    usable = [row for row in rows if row is not None and len(row) == spec.size]
    assert found.valid.tolist() == [row is not None and len(row) == spec.size for row in rows]
    assert set(found.problems) == {index for index, good in enumerate(found.valid) if not good}
    assert found.values.tobytes() == b"".join(row.tobytes() for row in usable)
    assert found.values.shape == (len(usable), *shape)


def test_nan_payloads_and_negative_zeros_survive() -> None:
    bits = np.array([0x7FF8000000000123, 0x8000000000000000, 0xFFF0000000000001, 1], np.uint64)
    array = pa.ListArray.from_arrays([0, 2, 4], pa.array(bits.view(np.float64)))
    found = array_to_tensors(array, TensorSpec("float64", (2,)))
    assert found.values.view(np.uint64).reshape(-1).tolist() == bits.tolist()


def test_nothing_is_copied_where_the_dtype_is_right() -> None:
    flat = pa.array(np.arange(6, dtype=np.float32))
    found = array_to_tensors(pa.ListArray.from_arrays([0, 2, 4, 6], flat).slice(1), TensorSpec("float32", (2,)))
    assert found.values.__array_interface__["data"][0] == flat.buffers()[1].address + 8
    numbers = array_to_tensors(flat.slice(2), TensorSpec("float32", ()))
    assert numbers.values.__array_interface__["data"][0] == flat.buffers()[1].address + 8


NESTED = [
    [[1, 2], [3, 4]],
    None,
    [[1, 2, 3], [4]],
    [[1, 2], [None, 4]],
    [[1, 2], None],
    [],
    [[5, 6], [7, 8]],
    [[1, 2, 3, 4]],
]


@pytest.mark.parametrize("start", range(len(NESTED)))
def test_nested_lists_must_have_the_shape(start: int) -> None:
    array = pa.array(NESTED, pa.list_(pa.list_(pa.int32()))).slice(start)
    found = array_to_tensors(array, TensorSpec("int64", (2, 2)))
    expected = {
        1: "the value is null",
        2: "lengths",
        3: "holds a null",
        4: "holds a null",
        5: "has 0 values",
        7: "lengths",
    }
    assert found.values.tolist() == [row for row in NESTED[start:] if row in ([[1, 2], [3, 4]], [[5, 6], [7, 8]])]
    assert set(found.problems) == {row - start for row in expected if row >= start}
    for row, problem in found.problems.items():
        assert expected[row + start] in problem


def test_deeper_lists_than_the_shape_are_refused() -> None:
    with pytest.raises(SchemaError, match="nested deeper"):
        array_to_tensors(pa.array([[[1]]]), TensorSpec("int64", (1,)))


@pytest.mark.parametrize("start", [0, 1, 2])
def test_fixed_size_lists_with_nulls_keep_their_rows(start: int) -> None:
    rows = [[1.5, 2.0], None, [3.0, 4.0], [None, 1.0], [5.0, 6.0]]
    found = array_to_tensors(pa.array(rows, pa.list_(pa.float32(), 2)).slice(start), TensorSpec("float32", (2,)))
    good = [row for row in rows[start:] if row is not None and None not in row]
    assert found.values.tolist() == good
    assert found.valid.tolist() == [row in good for row in rows[start:]]


@pytest.mark.parametrize("start", range(6))
def test_dense_and_sparse_vectors_lie_side_by_side(start: int) -> None:
    rows = [dense(1, 2, 3), sparse(3, {2: 5.0}), None, sparse(3, {}), sparse(3, {0: -1.0, 1: 2.0}), dense(7, 8, 9)]
    expected = [[1, 2, 3], [0, 0, 5], None, [0, 0, 0], [-1, 2, 0], [7, 8, 9]]
    found = array_to_tensors(pa.array(rows, VECTOR).slice(start), TensorSpec("float32", (3,)))
    assert found.values.tolist() == [row for row in expected[start:] if row is not None]
    assert found.valid.tolist() == [row is not None for row in expected[start:]]


@pytest.mark.parametrize("vector", [dense(1, 2), sparse(2, {0: 1.0}), sparse(4, {3: 1.0}), dense()])
def test_vectors_of_another_length_are_problems(vector: dict[str, Any]) -> None:
    found = array_to_tensors(
        pa.array([dense(1, 2, 3), vector, sparse(3, {1: 4.0})], VECTOR), TensorSpec("float64", (3,))
    )
    assert found.values.tolist() == [[1, 2, 3], [0, 4, 0]]
    assert "float64[3] has 3" in found.problems[1]


def test_numbers_become_scalars() -> None:
    found = array_to_tensors(pa.array([1, None, 300, 2]).slice(1), TensorSpec("uint8", ()))
    assert found.values.tolist() == [2]
    assert found.problems == {0: "the value is null", 1: "the row holds a number that uint8 has no place for"}
    booleans = array_to_tensors(pa.array([True, None, False]), TensorSpec("bool", ()))
    assert booleans.values.tolist() == [True, False]


def test_nan_has_no_place_in_integers_but_in_floats() -> None:
    array = pa.array([[math.nan], [1.0]])
    assert array_to_tensors(array, TensorSpec("int32", (1,))).valid.tolist() == [False, True]
    assert array_to_tensors(array, TensorSpec("float16", (1,))).valid.tolist() == [True, True]


@pytest.mark.parametrize("array", [pa.array(["a"]), pa.array([["a"]]), pa.array([{"x": 1}])])
def test_other_arrays_are_refused(array: pa.Array) -> None:
    with pytest.raises(SchemaError):
        array_to_tensors(array, TensorSpec("float32", (1,)))
