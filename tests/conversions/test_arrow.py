from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkwater.conversions.tensors.arrow import as_torch, finite_rows, tensor_view, tensors_to_arrow, usable_tensors
from sparkwater.conversions.tensors.spec import DTYPES, TensorSpec
from sparkwater.errors import DataError, SchemaError

FLOATS = ("float16", "float32", "float64")

#: Bit patterns that a conversion through Python floats would lose: quiet and signalling NaNs with payloads, -0.0.
SPECIAL_BITS = {
    "float16": (0x7E01, 0xFE2A, 0x7D01, 0x8000, 0x0001),
    "float32": (0x7FC00001, 0xFFC12345, 0x7F800001, 0x80000000, 0x00000001),
    "float64": (0x7FF8000000000001, 0xFFF8123456789ABC, 0x7FF0000000000001, 0x8000000000000000, 0x0000000000000001),
}

#: What the reason for each kind of unusable row says.
WORDS = {"null": "null", "nan": "NaN", "short": "7 bytes", "long": "9 bytes", "empty": "0 bytes"}

SPECS = st.builds(TensorSpec, st.sampled_from(DTYPES), st.lists(st.integers(1, 4), max_size=3))


@st.composite
def tensors(draw: st.DrawFn, min_rows: int = 0) -> tuple[TensorSpec, npt.NDArray[np.generic]]:
    spec = draw(SPECS)
    rows = draw(st.integers(min_rows, 5))
    raw = draw(st.binary(min_size=rows * spec.nbytes, max_size=rows * spec.nbytes))
    if spec.dtype == "bool":
        raw = bytes(byte & 1 for byte in raw)
    return spec, np.frombuffer(raw, spec.numpy_dtype).reshape(rows, *spec.shape)


def address(view: npt.NDArray[np.generic]) -> int:
    return int(view.__array_interface__["data"][0])


def ids_as_pixels(ids: list[int | None], spec: TensorSpec) -> pa.BinaryArray:
    rows = [None if x is None else np.full(spec.shape, x, spec.numpy_dtype).tobytes() for x in ids]
    return pa.array(rows, pa.binary())


@given(tensors())
def test_round_trip_is_the_identity_bit_for_bit(case: tuple[TensorSpec, npt.NDArray[np.generic]]) -> None:
    spec, values = case
    array = tensors_to_arrow(values)
    array.validate(full=True)
    view = tensor_view(array, spec)
    assert view.dtype == spec.numpy_dtype
    assert view.shape == values.shape
    assert view.tobytes() == values.tobytes()
    assert array.to_pylist() == [row.tobytes() for row in values]


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_payloads_and_negative_zero_survive(dtype: str) -> None:
    bits = np.array(SPECIAL_BITS[dtype], f"<u{np.dtype(dtype).itemsize}")
    view = tensor_view(tensors_to_arrow(bits.view(dtype)), TensorSpec(dtype, ()))
    assert view.view(bits.dtype).tolist() == bits.tolist()


@settings(deadline=None)  # torch is imported on the way
@given(tensors(min_rows=1))
def test_memory_is_shared_both_ways(case: tuple[TensorSpec, npt.NDArray[np.generic]]) -> None:
    spec, values = case
    array = tensors_to_arrow(values)
    data = array.buffers()[2].address
    view = tensor_view(array, spec)
    assert data == address(values)
    assert address(view) == data
    assert as_torch(view).data_ptr() == data


@settings(deadline=None)  # torch is imported on the way
@given(tensors(min_rows=1), st.data())
def test_a_slice_shares_memory_at_its_offset(
    case: tuple[TensorSpec, npt.NDArray[np.generic]], data: st.DataObject
) -> None:
    spec, values = case
    start = data.draw(st.integers(0, len(values) - 1))
    stop = data.draw(st.integers(start + 1, len(values)))
    array = tensors_to_arrow(values)
    view = tensor_view(array.slice(start, stop - start), spec)
    assert view.tobytes() == values[start:stop].tobytes()
    assert address(view) == array.buffers()[2].address + start * spec.nbytes
    assert as_torch(view).data_ptr() == address(view)
    rows = usable_tensors(array.slice(start, stop - start), spec)
    if rows.valid.all():
        assert address(rows.values) == address(view)


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_sees_the_same_dtype_shape_and_values(dtype: str) -> None:
    values = np.array([[0, 1], [1, 0], [1, 1]], dtype)
    tensor = as_torch(tensor_view(tensors_to_arrow(values), TensorSpec(dtype, (2,))))
    assert str(tensor.dtype) == f"torch.{dtype}"
    assert tensor.shape == (3, 2)
    assert tensor.tolist() == values.tolist()


@pytest.mark.parametrize("source", ["bytes", "writable array", "read-only array"])
def test_the_view_is_read_only(source: str) -> None:
    values = np.arange(6, dtype=np.int32).reshape(3, 2)
    values.flags.writeable = source != "read-only array"
    array = pa.array([row.tobytes() for row in values], pa.binary()) if source == "bytes" else tensors_to_arrow(values)
    for view in (
        tensor_view(array, TensorSpec("int32", (2,))),
        usable_tensors(array, TensorSpec("int32", (2,))).values,
    ):
        assert not view.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            view[0, 0] = 7


def test_strided_and_big_endian_input_is_written_row_major_little_endian() -> None:
    values = np.arange(24, dtype=">i4").reshape(4, 3, 2).transpose(2, 1, 0)
    array = tensors_to_arrow(values)
    assert array[1].as_py() == values[1].astype("<i4").tobytes()
    assert (tensor_view(array, TensorSpec("int32", (3, 4))) == values).all()


def test_no_rows_give_an_empty_array() -> None:
    spec = TensorSpec("int16", (2, 3))
    array = tensors_to_arrow(np.empty((0, 2, 3), np.int16))
    assert len(array) == 0
    assert tensor_view(array, spec).shape == (0, 2, 3)
    assert tensor_view(pa.array([], pa.binary()), spec).shape == (0, 2, 3)


def test_more_than_two_gibibytes_are_refused() -> None:
    with pytest.raises(SchemaError, match="2 GiB"):
        tensors_to_arrow(np.zeros((2, 2**30), np.uint8))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_batches_without_a_usable_row_give_empty_values(dtype: str, rows: int) -> None:
    spec = TensorSpec(dtype, (2, 2))
    found = usable_tensors(pa.array([None] * rows, pa.binary()), spec)
    assert found.values.shape == (0, 2, 2)
    assert found.values.dtype == spec.numpy_dtype
    assert found.valid.tolist() == [False] * rows
    assert found.problems == dict.fromkeys(range(rows), "the tensor is null")


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(
    "ids",
    [
        [None, 1, 2, 3],
        [0, 1, None, 3],
        [0, 1, 2, None],
        [None, None, 2, None, 4, None],
        [0, 1, 2, 3],
    ],
)
def test_nulls_are_dropped_and_pairing_is_kept(dtype: str, ids: list[int | None]) -> None:
    spec = TensorSpec(dtype, (1, 2, 2))
    found = usable_tensors(ids_as_pixels(ids, spec), spec)
    assert found.valid.tolist() == [x is not None for x in ids]
    assert found.values[:, 0, 0, 0].tolist() == [x for x in ids if x is not None]
    assert found.problems == {row: "the tensor is null" for row, x in enumerate(ids) if x is None}


@given(st.lists(st.sampled_from(["fine", "null", "short", "long", "empty", "nan"]), max_size=12), st.data())
def test_slices_and_chunks_keep_tensors_beside_their_rows(kinds: list[str], data: st.DataObject) -> None:
    spec = TensorSpec("float32", (2,))
    rows: list[bytes | None] = []
    for row, kind in enumerate(kinds):
        pixels = np.array([row, np.nan if kind == "nan" else row], "<f4").tobytes()
        rows.append({"null": None, "short": pixels[:-1], "long": pixels + b"x", "empty": b""}.get(kind, pixels))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    start = data.draw(st.integers(0, len(rows)))
    whole = pa.array(rows, pa.binary())
    edges = [0, *cuts, len(rows)]
    chunked = pa.chunked_array([whole.slice(a, b - a) for a, b in pairwise(edges)], pa.binary()).slice(start)

    row = start
    for chunk in chunked.chunks:
        found = usable_tensors(chunk, spec)
        here = kinds[row : row + len(chunk)]
        assert found.valid.tolist() == [kind == "fine" for kind in here]
        assert found.values[:, 0].tolist() == [row + i for i, kind in enumerate(here) if kind == "fine"]
        assert set(found.problems) == {i for i, kind in enumerate(here) if kind != "fine"}
        for i, reason in found.problems.items():
            assert WORDS[here[i]] in reason
        row += len(chunk)
    assert row == len(rows)


def test_rows_after_an_odd_number_of_bytes_are_read_right() -> None:
    values = np.array([[1.5, -2.5], [3.25, 4.0]])
    array = pa.array([b"odd", *(row.tobytes() for row in values)], pa.binary()).slice(1)
    spec = TensorSpec("float64", (2,))
    assert tensor_view(array, spec).tolist() == values.tolist()
    assert as_torch(usable_tensors(array, spec).values).tolist() == values.tolist()


@pytest.mark.parametrize(("row", "length"), [(b"", 0), (b"abc", 3), (b"abcde", 5)])
def test_a_wrong_length_is_named(row: bytes, length: int) -> None:
    spec = TensorSpec("uint8", (2, 2))
    array = pa.array([b"good", row, b"fine"], pa.binary())
    with pytest.raises(DataError, match=rf"row 1: the tensor has {length} bytes where uint8\[2, 2\] has 4"):
        tensor_view(array, spec)
    found = usable_tensors(array, spec)
    assert found.valid.tolist() == [True, False, True]
    assert found.values.tobytes() == b"goodfine"
    assert found.problems == {1: f"the tensor has {length} bytes where uint8[2, 2] has 4"}


def test_lengths_that_only_add_up_are_refused() -> None:
    with pytest.raises(DataError, match="row 0"):
        tensor_view(pa.array([b"abc", b"abcde"], pa.binary()), TensorSpec("uint8", (4,)))


def test_a_view_of_nulls_is_refused() -> None:
    with pytest.raises(DataError, match="1 of 2 rows are null"):
        tensor_view(pa.array([b"a", None], pa.binary()), TensorSpec("uint8", (1,)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_with_nan_or_infinity_are_found(dtype: str, bad: float) -> None:
    values = np.arange(24, dtype=dtype).reshape(4, 2, 3)
    values[1, 1, 2] = bad
    values[3, 0, 0] = bad
    spec = TensorSpec(dtype, (2, 3))
    assert finite_rows(values).tolist() == [True, False, True, False]
    found = usable_tensors(tensors_to_arrow(values), spec)
    assert found.valid.tolist() == [True, False, True, False]
    assert found.values.tobytes() == values[[0, 2]].tobytes()
    assert found.problems == dict.fromkeys((1, 3), "the tensor holds a NaN or an infinity")


@pytest.mark.parametrize("dtype", FLOATS)
def test_scalar_rows_with_nan_are_found(dtype: str) -> None:
    found = usable_tensors(tensors_to_arrow(np.array([1, np.nan, 3], dtype)), TensorSpec(dtype, ()))
    assert found.valid.tolist() == [True, False, True]
    assert found.values.tolist() == [1, 3]


def test_the_largest_finite_values_are_usable() -> None:
    for dtype in FLOATS:
        values = np.array([np.finfo(dtype).max, np.finfo(dtype).min, np.finfo(dtype).tiny, -0.0], dtype)
        assert finite_rows(values).all()


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.binary(4), pa.string(), pa.list_(pa.uint8())])
def test_another_arrow_type_is_refused(kind: pa.DataType) -> None:
    array = pa.array(["abcd"] if kind == pa.string() else [[1, 2, 3, 4]] if pa.types.is_list(kind) else [b"abcd"], kind)
    for read in (tensor_view, usable_tensors):
        with pytest.raises(SchemaError, match="binary in Arrow"):
            read(array, TensorSpec("uint8", (4,)))
