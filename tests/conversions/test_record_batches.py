from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparkwater.conversions import TensorSpec, torch_batches
from sparkwater.conversions.tensors.arrow import tensors_to_arrow
from sparkwater.conversions.tensors.record_batches import ColumnReader, category_numbers, tensor_batches
from sparkwater.errors import ConfigurationError, DataError, SchemaError

SPEC = TensorSpec("int16", (2, 3))
SPECS = {"t": SPEC, "id": TensorSpec("int64", ())}


def batch(first: int, rows: int) -> pa.RecordBatch:
    ids = np.arange(first, first + rows)
    tensors = (ids.reshape(-1, 1) * 10 + np.arange(6)).astype(np.int16).reshape(-1, 2, 3)
    return pa.record_batch([tensors_to_arrow(tensors), pa.array(ids)], ["t", "id"])


def batches(sizes: list[int]) -> list[pa.RecordBatch]:
    starts = np.cumsum([0, *sizes])[:-1].tolist()
    return [batch(start, size) for start, size in zip(starts, sizes, strict=True)]


@given(sizes=st.lists(st.integers(0, 9), max_size=8), batch_size=st.integers(1, 7), drop_last=st.booleans())
def test_rows_keep_their_order_and_their_pairs_however_they_are_cut(
    sizes: list[int], batch_size: int, drop_last: bool
) -> None:
    found = list(torch_batches(batches(sizes), SPECS, batch_size, drop_last=drop_last))
    rows = sum(sizes)
    whole, rest = divmod(rows, batch_size)
    assert [len(part["id"]) for part in found] == [batch_size] * whole + ([rest] if rest and not drop_last else [])
    ids = torch.cat([part["id"] for part in found]) if found else torch.empty(0, dtype=torch.int64)
    assert ids.tolist() == list(range(len(ids)))
    for part in found:
        assert torch.equal(part["t"][:, 0, 0].long(), part["id"] * 10)
        assert part["t"].shape[1:] == (2, 3)


def test_whole_batches_are_views_of_arrow_s_memory() -> None:
    source = batch(0, 6)
    (found,) = torch_batches([source], SPECS)
    assert found["t"].data_ptr() == source.column("t").buffers()[2].address
    first, second = torch_batches([source], SPECS, 3)
    assert second["t"].data_ptr() == first["t"].data_ptr() + 3 * SPEC.nbytes


def test_a_row_without_a_tensor_is_named() -> None:
    good = batch(0, 3)
    broken = pa.record_batch([pa.array([None, b"x" * 12]), pa.array([3, 4])], ["t", "id"])
    with pytest.raises(DataError, match="'t', row 3 of its partition: the tensor is null"):
        list(torch_batches([good, broken], SPECS))
    with pytest.raises(SchemaError, match="no column 'u'; the columns are t, id"):
        list(torch_batches([good], {"u": SPEC}))
    with pytest.raises(ConfigurationError, match="batch_size=0"):
        list(torch_batches([good], SPECS, 0))


def test_skip_leaves_out_a_row_of_all_columns() -> None:
    broken = pa.record_batch([pa.array([1.5, None, 2.5, 3.5]), pa.array(["a", "b", "c", None])], ["x", "c"])
    readers = {"x": ColumnReader(TensorSpec("float64", ())), "c": ColumnReader(TensorSpec("int64", ()), ("b", "a"))}
    (found,) = tensor_batches([broken], readers, skip=True)
    assert [np.frombuffer(value.as_py(), "<f8").item() for value in found.column("x")] == [1.5]
    assert [np.frombuffer(value.as_py(), "<i8").item() for value in found.column("c")] == [1]


def test_categories_are_positions_and_unknown_strings_are_named() -> None:
    rows = category_numbers(pa.array(["b", None, "zebra", "a", "b"]), ("a", "b"))
    assert rows.values.tolist() == [1, 0, 1]
    assert rows.valid.tolist() == [True, False, False, True, True]
    assert rows.problems == {1: "the value is null", 2: "'zebra' is none of the 2 categories"}
