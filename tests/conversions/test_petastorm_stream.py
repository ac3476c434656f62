from __future__ import annotations

import pickle
import threading
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from petastorm_data import npy, npz, picture, write_dataset

from sparkwater.conversions.petastorm.rows import PetastormRows, describe_petastorm
from sparkwater.conversions.petastorm.stream import Batch, rank_rows, stream
from sparkwater.errors import ConfigurationError, DataError, SchemaError, UnsafeLoadError

FIELDS = [
    ("id", "int64", (), None, False),
    ("x", "float32", (2, 2), "NdarrayCodec", False),
    ("name", "str_", (), None, False),
]
ROW_BYTES = 8 + 16 + 64


def table(ids: Iterable[int]) -> pa.Table:
    """Return rows whose tensors and names tell their ids."""
    rows = list(ids)
    tensors = [npy(np.full((2, 2), row, np.float32)) for row in rows]
    return pa.table({"id": pa.array(rows, pa.int64()), "x": pa.array(tensors, pa.binary()), "name": map(str, rows)})


@pytest.fixture
def dataset(tmp_path: Path) -> PetastormRows:
    """101 rows in three files, 14 row groups of eight rows at most."""
    files = {"b.parquet": table(range(41, 90)), "a.parquet": table(range(41)), "c.parquet": table(range(90, 101))}
    return describe_petastorm(write_dataset(tmp_path / "data", FIELDS, files, 8))


def split(rows: int, steps: int) -> list[int]:
    return [len(rank_rows(rows, step, steps)) for step in range(steps)]


def ids(batches: Iterable[Batch]) -> list[int]:
    return np.concatenate([batch["id"] for batch in batches]).tolist()


def epoch_of(
    dataset: PetastormRows, rank: int, size: int, epoch: int = 0, steps: int = 5, **options: int
) -> list[Batch]:
    sizes = split(len(rank_rows(dataset.rows, rank, size)), steps)
    return list(stream(dataset, rank, size, epoch, 42, sizes, **options))


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_ranks_share_all_rows_to_one_more_or_less(total, size):
    ranges = [rank_rows(total, rank, size) for rank in range(size)]
    assert [row for rows in ranges for row in rows] == list(range(total))
    assert max(map(len, ranges)) - min(map(len, ranges)) <= 1


def test_a_dataset_is_described_by_its_footers(dataset):
    assert dataset.rows == 101
    assert [(group.path, group.index, group.rows) for group in dataset.row_groups[:7]] == [
        *(("a.parquet", index, 8) for index in range(5)),
        ("a.parquet", 5, 1),
        ("b.parquet", 0, 8),
    ]
    assert [(column.name, column.dtype, column.shape, column.codec) for column in dataset.columns] == [
        ("id", "int64", (), None),
        ("x", "float32", (2, 2), "NdarrayCodec"),
        ("name", "object", (), None),
    ]
    assert pickle.loads(pickle.dumps(dataset)) == dataset


@pytest.mark.parametrize("size", [1, 2, 3, 40, 150])
@pytest.mark.parametrize("window", [1, 3 * ROW_BYTES, 20 * ROW_BYTES, 2**30])
def test_each_row_comes_once_an_epoch_with_its_tensor(dataset, size, window):
    seen = []
    for rank in range(size):
        batches = epoch_of(dataset, rank, size, window_bytes=window)
        assert [len(batch["id"]) for batch in batches] == split(len(rank_rows(101, rank, size)), 5)
        for batch in batches:
            assert batch["x"].shape == (len(batch["id"]), 2, 2)
            assert batch["x"].dtype == np.float32
            assert (batch["x"] == batch["id"][:, None, None]).all()
            assert batch["name"].tolist() == [str(row) for row in batch["id"]]
        assert sorted(ids(batches)) == list(rank_rows(101, rank, size))
        seen += ids(batches)
    assert sorted(seen) == list(range(101))


def test_epochs_differ_and_repeat_bit_for_bit(dataset):
    first, again = epoch_of(dataset, 1, 2), epoch_of(dataset, 1, 2)
    assert all(
        a[name].tobytes() == b[name].tobytes() for a, b in zip(first, again, strict=True) for name in ("id", "x")
    )
    orders = [ids(epoch_of(dataset, 1, 2, epoch, window_bytes=20 * ROW_BYTES)) for epoch in range(3)]
    other_seed = ids(stream(dataset, 1, 2, 0, 43, [len(orders[0])], window_bytes=20 * ROW_BYTES))
    assert len({tuple(order) for order in [*orders, other_seed]}) == 4


def test_the_sizes_of_steps_do_not_change_the_order(dataset):
    rows = len(rank_rows(101, 0, 2))
    uneven = stream(dataset, 0, 2, 0, 42, [0, 1, rows - 2, 0, 1, 0], window_bytes=20 * ROW_BYTES)
    assert ids(uneven) == ids(epoch_of(dataset, 0, 2, window_bytes=20 * ROW_BYTES))


def test_rows_of_several_row_groups_are_shuffled_together(dataset):
    order = ids(epoch_of(dataset, 0, 1, window_bytes=32 * ROW_BYTES))
    first = {row // 8 for row in order[:16]}
    assert len(first) > 2
    # The window bounds how far: the first rows are from the row groups of one window.
    assert len({next(i for i, g in enumerate(starts(dataset)) if g[0] <= row < g[1]) for row in order[:25]}) <= 6


def starts(dataset: PetastormRows) -> list[tuple[int, int]]:
    ends = np.cumsum([group.rows for group in dataset.row_groups]).tolist()
    return list(zip([0, *ends], ends, strict=False))


def test_batches_are_the_callers_own(dataset):
    first, second = epoch_of(dataset, 0, 1, steps=2)
    before = second["x"].copy()
    first["x"][:] = -1
    assert first["x"].flags.writeable
    assert (second["x"] == before).all()


def test_the_reading_thread_ends_with_the_iterator(dataset):
    batches = stream(dataset, 0, 1, 0, 42, [1] * 101, window_bytes=20 * ROW_BYTES)
    next(batches)
    assert any(thread.name.startswith("petastorm") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("petastorm") for thread in threading.enumerate())


def test_memory_is_bounded_by_the_windows(tmp_path):
    tensors = [npy(np.full((64, 64), row, np.float64)) for row in range(256)]  # 8 MiB
    data = pa.table({"id": pa.array(range(256), pa.int64()), "x": pa.array(tensors, pa.binary())})
    fields = [FIELDS[0], ("x", "float64", (64, 64), "NdarrayCodec", False)]
    dataset = describe_petastorm(write_dataset(tmp_path / "data", fields, {"a": data}, 16))
    tracemalloc.start()
    try:
        for batch in stream(dataset, 0, 1, 0, 1, [1] * 256, window_bytes=32 * (8 + 2**15)):
            assert len(batch["id"]) == 1
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The window in use, the next one, and what is being decoded into it.
    assert 2 * 2**20 < most < 3.5 * 2**20


def test_all_codecs_and_plain_columns_stream(tmp_path):
    generator = np.random.default_rng(7)
    packed = generator.integers(0, 9, (6, 3)).astype(np.int16)
    pixels = generator.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    columns = {
        "packed": pa.array(map(npz, packed), pa.binary()),
        "pixels": pa.array(map(picture, pixels), pa.binary()),
        "flag": pa.array([True, False] * 3),
        "label": pa.array(range(6), pa.int8()),
    }
    fields = [
        ("packed", "int16", (None,), "CompressedNdarrayCodec", True),
        ("pixels", "uint8", (4, 5, 3), "CompressedImageCodec", True),
        ("flag", "bool_", (), None, True),
        ("label", "int8", (), None, True),
    ]
    url = write_dataset(tmp_path / "data", fields, {"a.parquet": pa.table(columns)}, 2)
    dataset = describe_petastorm(url, ["label", "packed", "pixels", "flag"], shapes={"packed": (3,)})
    (batch,) = stream(dataset, 0, 1, 0, 42, [6])
    assert list(batch) == ["label", "packed", "pixels", "flag"]
    order = batch["label"]
    assert batch["packed"].tolist() == packed[order].tolist()
    assert batch["pixels"].tolist() == pixels[order].tolist()
    assert batch["flag"].tolist() == (order % 2 == 0).tolist()


def test_fsspec_filesystems_and_plain_paths(dataset, tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "data"), "/store", recursive=True)
    try:
        remote = describe_petastorm("memory://store", ["id"])
        assert sorted(ids(stream(remote, 0, 1, 0, 42, [101]))) == list(range(101))
    finally:
        memory.rm("/store", recursive=True)
    assert describe_petastorm(str(tmp_path / "data")).row_groups == dataset.row_groups
    assert describe_petastorm(f"file:{tmp_path / 'data'}/").row_groups == dataset.row_groups


def test_sizes_that_do_not_add_up_are_refused_at_once(dataset):
    for sizes in ([50], [52], [51, 1], [51, -1], [52, -1], [-1, 52], []):
        with pytest.raises(ConfigurationError, match="rank 1 of 2 has 51 rows"):
            stream(dataset, 1, 2, 0, 42, sizes)


@pytest.mark.parametrize(
    ("columns", "shapes", "message"),
    [
        (["id", "nothing"], {}, "no column 'nothing'; the columns are id, x"),
        (None, {"nothing": (1,)}, "no column 'nothing'"),
        (["x"], {}, r"pass shapes=\{'x'"),
        (["x"], {"x": (2, 3, 1)}, r"doesn't fit the field's shape \(None, 3\)"),
        (["x"], {"x": (2, 4)}, "doesn't fit"),
        (["day"], {}, "'day' is date32"),
        (["wide"], {}, "dtype='uint16' is not a tensor dtype"),
        (["list"], {}, "'list' is list"),
        (["folder"], {}, "'folder' is not in the files"),
    ],
)
def test_columns_that_can_not_be_streamed_are_refused(tmp_path, columns, shapes, message):
    data = {"id": [1], "x": [npy(np.zeros((2, 3), np.uint8))], "wide": [b""], "list": [[1]]}
    fields = [
        ("id", "int64", (), None, False),
        ("x", "uint8", (None, 3), "NdarrayCodec", False),
        ("day", "datetime64", (), None, False),
        ("wide", "uint16", (2,), "NdarrayCodec", False),
        ("list", "int64", (None,), None, False),
        ("folder", "str_", (), None, False),
    ]
    whole = pa.table({**data, "day": pa.array([0], pa.date32())})
    url = write_dataset(tmp_path / "data", fields, {"a": whole}, 1)
    with pytest.raises(SchemaError, match=message):
        describe_petastorm(url, columns, shapes=shapes)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("id", pa.array([0, 1, None, 3], pa.int64()), "row 2: the value is null"),
        ("x", pa.array([npy(np.zeros((2, 2), np.float32)), None] * 2, pa.binary()), "row 1: the value is null"),
        ("x", pa.array([npy(np.full((2, 2), np.nan, np.float32))] * 4, pa.binary()), "row 0: .* NaN"),
        ("x", pa.array([npy(np.zeros((2, 3), np.float32))] * 4, pa.binary()), r"row 0: .*\[2, 3\]"),
    ],
)
def test_a_bad_value_is_named_with_its_place(tmp_path, name, values, reason):
    good = table(range(4))
    bad = good.set_column(good.column_names.index(name), name, values)
    dataset = describe_petastorm(write_dataset(tmp_path / "data", FIELDS, {"a.parquet": good, "b.parquet": bad}, 4))
    with pytest.raises(DataError, match=rf"b\.parquet, row group 0: column '{name}' from row 0 on: {reason}"):
        list(stream(dataset, 0, 1, 0, 42, [8]))


def test_a_file_that_changed_is_noticed(dataset, tmp_path):
    import pyarrow.parquet as pq

    pq.write_table(table(range(3)), tmp_path / "data" / "a.parquet", row_group_size=8)
    with pytest.raises(DataError, match=r"a\.parquet, row group"):
        list(stream(dataset, 0, 1, 0, 42, [101]))
    (tmp_path / "data" / "a.parquet").unlink()
    with pytest.raises(DataError, match=r"a\.parquet, row group"):
        list(stream(dataset, 0, 1, 0, 42, [101]))


def test_what_is_no_dataset_is_refused(tmp_path):
    import pyarrow.parquet as pq

    with pytest.raises(DataError, match="can't be read as a petastorm dataset"):
        describe_petastorm(str(tmp_path))
    (tmp_path / "_common_metadata").write_bytes(b"hello")
    with pytest.raises(DataError, match="no Parquet metadata"):
        describe_petastorm(str(tmp_path))
    pq.write_metadata(pa.schema([("a", pa.int8())]), tmp_path / "_common_metadata")
    with pytest.raises(DataError, match="holds no petastorm schema"):
        describe_petastorm(str(tmp_path))
    with pytest.raises(ConfigurationError, match="nothing here reads nowhere://"):
        describe_petastorm("nowhere://x")
    with pytest.raises(DataError, match="has no rows"):
        describe_petastorm(write_dataset(tmp_path / "empty", FIELDS, {"a": table([])}, 1))
    evil = write_dataset(tmp_path / "evil", FIELDS, {"a": table([1])}, 1, b"cos\nsystem\n(X\x04\0\0\0truetR.")
    with pytest.raises(UnsafeLoadError):
        describe_petastorm(evil)
