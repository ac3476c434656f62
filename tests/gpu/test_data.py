from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkwater.conversions.tensors.arrow import tensors_to_arrow
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import DataError
from sparkwater.gpu.rows.held import BLOCK_ROWS, RankRows, load_rows
from sparkwater.gpu.rows.plan import plan_epoch
from sparkwater.gpu.rows.reading import MAX_LISTED
from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.tasks.classes import Classes

SPEC = TensorSpec("uint8", (1, 4, 5))
CLASSES = (0.0, 1.0, 2.0, 5.0)
TASK = ClassificationTask(CLASSES)


def pictures(ids: list[int]) -> np.ndarray:
    """Pictures that say which row they are: the first four bytes are its number."""
    values = np.zeros((len(ids), SPEC.nbytes), np.uint8)
    values[:, :4] = np.array(ids, np.uint32).reshape(-1, 1).view(np.uint8)
    values[:, 4:] = (np.array(ids).reshape(-1, 1) * 31 + np.arange(16)) % 256
    return values.reshape(-1, *SPEC.shape)


def canonical(rows: RankRows) -> tuple[torch.Tensor, torch.Tensor]:
    taken = rows.take(torch.arange(len(rows)))
    return taken.features, taken.targets


def ids_of(rows: RankRows) -> list[int]:
    flat = canonical(rows)[0].numpy().reshape(len(rows), -1)
    return np.ascontiguousarray(flat[:, :4]).view(np.uint32).reshape(-1).tolist()


def key_of(row: int) -> int:
    return row * 2_654_435_761 % 2**32 - 2**31


def batch_of(ids: list[int], **columns: Any) -> pa.RecordBatch:
    usual = {
        "tensor": tensors_to_arrow(pictures(ids)),
        "problem": pa.nulls(len(ids), pa.string()),
        "label": pa.array([CLASSES[row % 4] for row in ids], pa.float64()),
        "name": pa.array([f"row-{row}" for row in ids], pa.string()),
        "key": pa.array([key_of(row) for row in ids], pa.int64()),
    }
    return pa.RecordBatch.from_pydict({**usual, **columns})


def same(one: RankRows, other: RankRows) -> bool:
    return len(one) == len(other) and all(map(torch.equal, canonical(one), canonical(other)))


def test_image_and_label_stay_paired() -> None:
    rows = load_rows([batch_of(list(range(start, start + 100))) for start in range(0, 1000, 100)], SPEC, TASK, "error")
    ids = ids_of(rows)
    assert len(rows) == 1000
    assert sorted(ids) == list(range(1000))
    assert sum(row % 4 != label for row, label in zip(ids, canonical(rows)[1].tolist(), strict=True)) == 0
    assert np.array_equal(canonical(rows)[0].numpy(), pictures(ids))
    assert (rows.features.dtype, rows.targets.dtype) == (torch.uint8, torch.int64)
    assert rows.features.shape == (1000, 1, 4, 5)


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(st.data())
def test_neither_order_nor_split_nor_slicing_of_batches_can_be_seen(data: st.DataObject) -> None:
    ids = list(range(data.draw(st.integers(1, 60))))
    expected = load_rows([batch_of(ids)], SPEC, TASK, "error")
    shuffled = data.draw(st.permutations(ids))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(ids)), max_size=6)))
    parts = [shuffled[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(ids)], strict=True)]
    whole = batch_of([9999, *shuffled, 9999])
    bounds = list(zip([0, *cuts], [*cuts, len(ids)], strict=True))
    split = [batch_of(part) for part in parts]
    sliced = [whole.slice(1 + start, stop - start) for start, stop in bounds]
    size = data.draw(st.integers(1, 60))
    chunked = pa.Table.from_batches(split).combine_chunks().to_batches(max_chunksize=size)
    for batches in (split, sliced, chunked, iter(split)):
        assert same(load_rows(batches, SPEC, TASK, "error"), expected)


def test_rows_of_the_same_content_and_different_labels_have_one_order_too() -> None:
    keys = pa.array([7, 7, 7], pa.int64())
    tensors = tensors_to_arrow(pictures([3, 3, 3]))
    orders = ([5.0, 0.0, 1.0], [1.0, 5.0, 0.0])
    loaded = [
        load_rows([batch_of([3, 3, 3], key=keys, tensor=tensors, label=pa.array(labels))], SPEC, TASK, "error")
        for labels in orders
    ]
    assert same(*loaded)
    assert canonical(loaded[0])[1].tolist() == [0, 1, 3]


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int16", "bool"])
def test_no_batches_give_no_rows(dtype: str) -> None:
    rows = load_rows(iter([]), TensorSpec(dtype, (3, 2, 2)), TASK, "error")
    assert len(rows) == 0
    assert rows.features.shape == (0, 3, 2, 2)
    assert str(rows.features.dtype) == f"torch.{dtype}"
    assert rows.targets.dtype == torch.int64
    assert rows.skipped.count == 0


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16"])
def test_an_empty_batch_among_others_adds_nothing(dtype: str) -> None:
    spec = TensorSpec(dtype, SPEC.shape)
    full = batch_of([1, 2, 3], tensor=tensors_to_arrow(pictures([1, 2, 3]).astype(dtype)))
    rows = load_rows([full.slice(0, 0), full, full.slice(3, 0)], spec, TASK, "error")
    assert same(rows, load_rows([full], spec, TASK, "error"))
    assert len(load_rows([full.slice(0, 0)], spec, TASK, "error")) == 0


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_batch_without_one_usable_row_is_skipped_whole(dtype: str) -> None:
    spec = TensorSpec(dtype, SPEC.shape)
    nothing = batch_of([1, 2], tensor=pa.nulls(2, pa.binary()))
    good = batch_of([3], tensor=tensors_to_arrow(pictures([3]).astype(dtype)))
    rows = load_rows([nothing, good], spec, TASK, "skip")
    assert len(rows) == 1
    assert rows.skipped.count == 2


@pytest.mark.parametrize(
    ("classes", "labels", "positions"),
    [
        (("cat", "dog", "newt"), pa.array(["newt", "cat", "dog"]), [2, 0, 1]),
        (("", "10", "9"), pa.array(["9", "", "10"]), [2, 0, 1]),
        ((-1.0, 0.5, 7.0), pa.array([7.0, -1.0, 0.5]), [2, 0, 1]),
    ],
)
def test_labels_become_positions_in_the_classes(classes: Classes, labels: pa.Array, positions: list[int]) -> None:
    rows = load_rows([batch_of([0, 1, 2], label=labels)], SPEC, ClassificationTask(classes), "error")
    found = dict(zip(ids_of(rows), canonical(rows)[1].tolist(), strict=True))
    assert [found[row] for row in range(3)] == positions


def faulty_batches() -> dict[str, tuple[pa.RecordBatch, TensorSpec, str, str]]:
    good = tensors_to_arrow(pictures([0, 1, 2])).to_pylist()
    floats = pictures([0, 1, 2]).astype(np.float32)
    broken, infinite = floats.copy(), floats.copy()
    broken[1, 0, 3, 4], infinite[1, 0, 0, 0] = np.nan, -np.inf
    wide = TensorSpec("float32", SPEC.shape)
    null = pa.array([good[0], None, good[2]], pa.binary())
    labels = pa.array([0.0, None, 2.0], pa.float64())
    return {
        "given": (
            batch_of([0, 1, 2], tensor=null, problem=pa.array([None, "not a PNG", None])), SPEC, "row-1", "not a PNG"
        ),
        "null": (batch_of([0, 1, 2], tensor=null), SPEC, "row-1", "null"),
        "short": (batch_of([0, 1, 2], tensor=pa.array([good[0], good[1][:-1], good[2]])), SPEC, "row-1", "19 bytes"),
        "long": (batch_of([0, 1, 2], tensor=pa.array([good[0], good[1] * 2, good[2]])), SPEC, "row-1", "40 bytes"),
        "empty": (batch_of([0, 1, 2], tensor=pa.array([good[0], b"", good[2]])), SPEC, "row-1", "0 bytes"),
        "nan": (batch_of([0, 1, 2], tensor=tensors_to_arrow(broken)), wide, "row-1", "NaN"),
        "infinite": (batch_of([0, 1, 2], tensor=tensors_to_arrow(infinite)), wide, "row-1", "infinity"),
        "no label": (batch_of([0, 1, 2], label=labels), SPEC, "row-1", "None"),
        "other label": (batch_of([0, 1, 2], label=pa.array([0.0, 3.0, 2.0])), SPEC, "row-1", "3.0"),
        "nan label": (batch_of([0, 1, 2], label=pa.array([0.0, float("nan"), 2.0])), SPEC, "row-1", "nan"),
    }  # fmt: skip


@pytest.mark.parametrize("fault", list(faulty_batches()))
def test_a_row_that_cannot_be_used_is_an_error_with_its_name_and_the_reason(fault: str) -> None:
    batch, spec, name, reason = faulty_batches()[fault]
    with pytest.raises(DataError) as caught:
        load_rows([batch], spec, TASK, "error")
    assert name in str(caught.value)
    assert reason in str(caught.value)
    assert "row-0" not in str(caught.value)


@pytest.mark.parametrize("fault", list(faulty_batches()))
def test_a_row_that_cannot_be_used_is_skipped_and_listed(fault: str) -> None:
    batch, spec, name, reason = faulty_batches()[fault]
    padded = pa.Table.from_batches([batch.slice(0, 1), batch, batch.slice(2, 1)]).combine_chunks().to_batches()[0]
    for rows_of in (batch, padded.slice(1, 3)):
        rows = load_rows([rows_of], spec, TASK, "skip")
        assert rows.features.shape == (2, *spec.shape)
        # Rows 0 and 2 keep their own labels and pictures.
        expected = pictures([0, 2]).astype(spec.dtype)
        found = {int(label): picture for label, picture in zip(rows.targets, rows.features.numpy(), strict=True)}
        assert sorted(found) == [0, 2]
        assert np.array_equal(found[0], expected[0])
        assert np.array_equal(found[2], expected[1])
        assert rows.skipped.count == 1
        assert [listed for listed, _ in rows.skipped.listed] == [name]
        assert reason in rows.skipped.listed[0][1]


def test_all_skipped_rows_are_counted_and_the_first_are_listed() -> None:
    batches = []
    for start in range(0, 60, 10):
        ids = list(range(start, start + 10))
        values = tensors_to_arrow(pictures(ids)).to_pylist()
        batches.append(batch_of(ids, tensor=pa.array([None if row % 2 else values[row - start] for row in ids])))
    rows = load_rows(batches, SPEC, TASK, "skip")
    assert rows.skipped.count == 30
    assert MAX_LISTED == 20
    assert [name for name, _ in rows.skipped.listed] == [f"row-{row}" for row in range(1, 41, 2)]
    assert sorted(ids_of(rows)) == list(range(0, 60, 2))


@pytest.mark.parametrize("memory_limit", [0, 150 * SPEC.nbytes])
def test_rows_beyond_the_memory_limit_are_the_same_from_a_file(
    memory_limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path))
    batches = [batch_of(list(range(start, start + 100))) for start in range(0, 400, 100)]
    expected = load_rows(batches, SPEC, TASK, "error")
    rows = load_rows(batches, SPEC, TASK, "error", memory_limit)
    assert same(rows, expected)
    plan = plan_epoch([400], 64, 3, 1)
    for one, other in zip(rows.batches(plan, 0), expected.batches(plan, 0), strict=True):
        assert torch.equal(one.features, other.features)
        assert torch.equal(one.targets, other.targets)
    assert list(tmp_path.iterdir()) == []  # the file has no name, so nothing can be left


def test_an_epoch_visits_each_row_once_with_its_label() -> None:
    rows = load_rows([batch_of(list(range(100)))], SPEC, TASK, "error")
    plan = plan_epoch([100], 30, 7, 0)
    visited = [RankRows(batch.features, batch.targets) for batch in rows.batches(plan, 0)]
    assert [len(batch) for batch in visited] == plan.global_batches().tolist()
    found = {row: label for batch in visited for row, label in zip(ids_of(batch), batch.targets.tolist(), strict=True)}
    assert found == {row: row % 4 for row in range(100)}


def test_blocks_are_all_rows_once() -> None:
    rows = load_rows([batch_of(list(range(BLOCK_ROWS + 5)))], SPEC, TASK, "error")
    assert torch.equal(torch.cat(list(rows.blocks())), canonical(rows)[0])


def test_weights_offsets_and_flags_stay_with_their_rows() -> None:
    ids = list(range(40))
    weights, offsets = pa.array([row % 5 / 2 for row in ids]), pa.array([row * 1.5 for row in ids])
    batch = batch_of(ids, weight=weights, offset=offsets, held_out=pa.array([row % 4 == 3 for row in ids]))
    parts = pa.Table.from_batches([batch]).to_batches(max_chunksize=7)
    for rows in (load_rows(parts, SPEC, TASK, "error"), load_rows(parts[::-1], SPEC, TASK, "error")):
        held_out = rows.held_out
        assert held_out is not None
        assert rows.weightless == 8
        for part, flag in ((rows, False), (held_out, True)):
            expected = [row for row in ids if row % 5 and (row % 4 == 3) == flag]
            assert sorted(ids_of(part)) == expected
            taken = part.take(torch.arange(len(part)))
            assert taken.weights is not None
            assert taken.weights.tolist() == [row % 5 / 2 for row in ids_of(part)]
            assert taken.offsets is not None
            assert taken.offsets.tolist() == [row * 1.5 for row in ids_of(part)]
            assert sum(len(batch.targets) for batch in part.scan(3)) == len(part)
    plan = plan_epoch([len(rows)], 10, 3, 0)
    steps = [batch.weights.sum() for batch in rows.batches(plan, 0) if batch.weights is not None]
    assert rows.step_weights(plan, 0, TASK).tolist() == torch.stack(steps).tolist()
    weights = (0.5, 1.0, 2.0, 5.0)
    by_class = [(torch.tensor(weights)[b.targets] * b.weights).sum() for b in rows.batches(plan, 0)]
    assert rows.step_weights(plan, 0, replace(TASK, class_weights=weights)).tolist() == torch.stack(by_class).tolist()


@pytest.mark.parametrize("name", ["weight", "offset"])
def test_equal_rows_of_different_weights_and_offsets_have_one_order(name: str) -> None:
    equal = {"key": pa.array([7, 7, 7], pa.int64()), "tensor": tensors_to_arrow(pictures([3, 3, 3]))}
    label = pa.array([1.0, 1.0, 1.0])
    taken = []
    for values in ([2.0, 1.0, 3.0], [3.0, 2.0, 1.0]):
        batch = batch_of([0, 1, 2], **equal, label=label, **{name: pa.array(values)})
        rows = load_rows([batch], SPEC, TASK, "error").take(torch.arange(3))
        taken.append(getattr(rows, f"{name}s"))
    assert taken[0].tolist() == taken[1].tolist() == [1.0, 2.0, 3.0]


def test_a_row_with_a_given_problem_is_not_used_though_its_tensor_is_there() -> None:
    batch = batch_of([1, 2], problem=pa.array([None, "the weight is -1.0"]), weight=pa.array([1.0, -1.0]))
    rows = load_rows([batch], SPEC, TASK, "skip")
    assert (len(rows), rows.skipped.listed) == (1, [("row-2", "the weight is -1.0")])


def test_other_weights_offsets_labels_and_roles_of_the_same_rows_are_other_contents() -> None:
    ids = list(range(6))
    usual: dict[str, Any] = {"weight": pa.array([1.0, 2.0, 1.0, 1.0, 1.0, 1.0]), "held_out": pa.array([False] * 6)}
    others: list[dict[str, Any]] = [
        {},
        {"weight": pa.array([1.0, 3.0, 1.0, 1.0, 1.0, 1.0])},
        {"offset": pa.array([0.0] * 6)},
        {"offset": pa.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0])},
        {"held_out": pa.array([True] + [False] * 5)},
        {"label": pa.array([CLASSES[(row + 1) % 4] for row in ids])},
        {"key": pa.array([key_of(row + 1) for row in ids], pa.int64())},
    ]
    contents = {load_rows([batch_of(ids, **{**usual, **other})], SPEC, TASK, "error").content for other in others}
    assert len(contents) == len(others)
    shuffled = batch_of(ids, **usual).take(pa.array([3, 1, 5, 0, 2, 4]))
    assert load_rows([shuffled], SPEC, TASK, "error").content in contents


def test_rows_keep_their_own_keys_where_others_are_left_out() -> None:
    ids, bad = list(range(12)), [0, 5, 6]
    values = tensors_to_arrow(pictures(ids)).to_pylist()
    broken = batch_of(ids, tensor=pa.array([None if row in bad else values[row] for row in ids], pa.binary()))
    light = batch_of(ids, weight=pa.array([0.0 if row in bad else 1.0 for row in ids]))
    good = [row for row in ids if row not in bad]
    for batch, columns in ((broken, {}), (light, {"weight": pa.array([1.0] * len(good))})):
        rows = load_rows([batch], SPEC, TASK, "skip")
        expected = load_rows([batch_of(good, **columns)], SPEC, TASK, "error")
        assert ids_of(rows) == ids_of(expected) == sorted(good, key=key_of)
        assert rows.content == expected.content


def test_rows_of_weight_0_are_counted_apart_from_those_that_cannot_be_used() -> None:
    values = tensors_to_arrow(pictures([0, 1, 2, 3, 4])).to_pylist()
    tensors = pa.array([None, None, *values[2:]], pa.binary())
    batch = batch_of([0, 1, 2, 3, 4], tensor=tensors, weight=pa.array([1.0, 0.0, 0.0, 2.0, 3.0]))
    rows = load_rows([batch], SPEC, TASK, "skip")
    assert (len(rows), rows.skipped.count, rows.weightless) == (2, 2, 1)
    assert sorted(ids_of(rows)) == [3, 4]


def test_minus_zero_is_the_class_zero() -> None:
    labels = pa.array([-0.0, 1.0, 2.0])
    assert load_rows([batch_of([0, 1, 2], label=labels)], SPEC, TASK, "error").targets.tolist() == [0, 1, 2]


def test_equal_rows_of_different_roles_have_one_digest() -> None:
    contents = set()
    for held_out in ([True, False, False], [False, False, True]):
        same_rows = {"key": pa.array([7] * 3, pa.int64()), "label": pa.array([1.0] * 3)}
        batch = batch_of([3, 3, 3], **same_rows, held_out=pa.array(held_out))
        contents.add(load_rows([batch], SPEC, TASK, "error").content)
    assert len(contents) == 1
