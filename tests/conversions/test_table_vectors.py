"""Vectors of tables: statistics of all their entries at once, in memory that the stored numbers decide on."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from sparkwater.conversions import TableToTensor
from sparkwater.conversions.tables.encoding.encoder import TableEncoder
from sparkwater.conversions.tables.encoding.numbers import VectorColumn
from sparkwater.conversions.tables.encoding.scaling import StandardScaling
from sparkwater.conversions.tables.statistics import parts
from sparkwater.conversions.tables.statistics.columns import InputColumn
from sparkwater.conversions.tables.statistics.parts import sketch_part, spread_part
from sparkwater.conversions.tables.statistics.sketch import NumberSketch
from sparkwater.conversions.tables.statistics.spread import NumberSpread
from sparkwater.conversions.tables.statistics.vectors import VectorRows, VectorSketches, VectorSpreads
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.conversions.tensors.values import array_to_tensors
from sparkwater.conversions.tensors.vectors import DENSE, vectors_of

SIZE = 4
numbers = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e9, 1e9), st.sampled_from([np.nan, np.inf, -0.0]))


def sparse(rows: list[dict[int, float] | None], size: int = SIZE) -> pa.StructArray:
    """Return sparse vectors in Arrow; None for a null one."""
    given = [row or {} for row in rows]
    lengths = np.array([-1 if row is None else size for row in rows], np.int64)
    places = pa.array([sorted(row) for row in given], pa.list_(pa.int32()))
    return vectors_of(
        lengths, places, pa.array([[row[i] for i in sorted(row)] for row in given], pa.list_(pa.float64()))
    )


def many_sparse(rows: int, size: int, stored: int) -> pa.StructArray:
    """Return sparse vectors with some ones each."""
    offsets = pa.array(np.arange(rows + 1) * stored, pa.int32())
    places = np.sort(
        np.random.default_rng(0).integers(0, size // stored, (rows, stored)) + np.arange(stored) * (size // stored)
    )
    indices = pa.ListArray.from_arrays(offsets, pa.array(places.reshape(-1), pa.int32()))
    return vectors_of(np.full(rows, size), indices, pa.ListArray.from_arrays(offsets, pa.array(np.ones(rows * stored))))


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.dictionaries(st.integers(0, SIZE - 1), numbers)), min_size=1, max_size=20),
    st.integers(1, 6),
    st.integers(0, 20),
)
def test_statistics_of_all_entries_at_once_are_those_of_each(rows, sample, cut) -> None:
    dense = np.array([[np.nan] * SIZE if row is None else [row.get(i, 0.0) for i in range(SIZE)] for row in rows])
    each = [NumberSketch.empty(sample).plus(dense[:, entry]) for entry in range(SIZE)]
    found = VectorSketches(SIZE, sample)
    for part in (rows[:cut], rows[cut:]):
        found.add(VectorRows.of(sparse(part), SIZE))
    sketches = dict(found.sketches())
    assert [sketches[entry].to_bytes() for entry in range(SIZE)] == [sketch.to_bytes() for sketch in each]
    empty = {entry: NumberSpread.around(one) for entry, one in enumerate(each) if one.low < one.high}
    spreads = VectorSpreads(empty, SIZE)
    for part in (rows[:cut], rows[cut:]):
        spreads.add(VectorRows.of(sparse(part), SIZE))
    for entry, spread in spreads.spreads():
        expected = empty[entry].plus(dense[:, entry])
        assert spread.cells.tolist() == expected.cells.tolist()
        np.testing.assert_allclose(spread.powers, expected.powers, rtol=1e-9, atol=1e-12)


def test_lists_and_dense_vectors_have_the_statistics_of_sparse_ones() -> None:
    rows = [{0: 1.5}, None, {1: 2.0, 3: -1.0}, {}]
    lists = pa.array([None if row is None else [row.get(i, 0.0) for i in range(SIZE)] for row in rows])
    lengths = np.array([-1 if row is None else DENSE for row in rows])
    empty = pa.array([[]] * 4, pa.list_(pa.int32()))
    dense = vectors_of(lengths, empty, pa.array([[] if row is None else row for row in lists.to_pylist()]))
    found = []
    for array in (sparse(rows), lists, dense):
        sketches = VectorSketches(SIZE, 8)
        sketches.add(VectorRows.of(array, SIZE))
        found.append([sketch.to_bytes() for _, sketch in sketches.sketches()])
    assert found[0] == found[1] == found[2]
    spec = TensorSpec("float64", (SIZE,))
    np.testing.assert_array_equal(array_to_tensors(sparse(rows), spec).values, array_to_tensors(dense, spec).values)
    assert VectorRows.of(sparse(rows, SIZE + 1), SIZE).missing == 4


def test_statistics_of_wide_sparse_vectors_take_memory_by_what_is_stored() -> None:
    size, rows = 10_000, 20_000
    array = many_sparse(rows, size, 5)
    column = InputColumn("v", "vector", "vector", "vector", size=size)
    batch = pa.RecordBatch.from_arrays([array], ["c0"])
    both = NumberSketch.empty(16).plus(np.array([0.0, 1.0]))
    tracemalloc.start()
    found = [*sketch_part([batch], (column,), {0: 16}, "0")]
    empty = dict.fromkeys([(0, entry) for entry in range(size)], NumberSpread.around(both))
    spreads = [*spread_part([batch], (column,), empty)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(part.num_rows for part in found) == size + 1
    assert sum(part.num_rows for part in spreads) == size
    assert peak < 64e6  # 1.6 GB if they were dense


def test_batches_are_measured_in_pieces_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MOST_BYTES", 1000)
    batch = pa.RecordBatch.from_arrays([pa.array(np.zeros((100, 50)).tolist())], ["c0"])
    pieces = [*parts.bounded([batch])]
    assert max(piece.num_rows for piece in pieces) == 3 >= len(pieces) / 40
    assert pa.Table.from_batches(pieces) == pa.Table.from_batches([batch])


def test_a_wide_batch_is_encoded_without_a_pass_an_entry() -> None:
    size = 10_000
    column = VectorColumn("v", "vector", StandardScaling((0.5,) * size, (2.0,) * size))
    batch = pa.RecordBatch.from_arrays([many_sparse(50, size, 5)], ["v"])
    values = TableEncoder((column,)).encode(batch).values
    assert np.unique(values).tolist() == [-0.25, 0.25]
    assert (values == 0.25).sum() == 250


def test_sparse_vectors_reach_python_sparse_and_give_the_tensors_of_dense_ones(spark: SparkSession) -> None:
    random = np.random.default_rng(0)
    rows = [
        (i, Vectors.sparse(60, sorted(random.choice(60, 4, replace=False).tolist()), [1.0, 2.0, 3.0, 4.0]))
        for i in range(100)
    ]
    rows = [(i, None if i == 7 else vector if i % 2 else Vectors.dense(vector.toArray())) for i, vector in rows]
    frame = spark.createDataFrame(rows, ["id", "v"])
    dense = spark.createDataFrame(
        [(i, None if v is None else Vectors.dense(v.toArray())) for i, v in rows], ["id", "v"]
    )
    stage = TableToTensor(inputCols=["v"], scaling="robust", handleInvalid="keep")
    model = stage.fit(frame.repartition(3))
    assert model.encoder == stage.fit(dense).encoder
    assert model.report.columns[0].missing == 1
    found = {row["id"]: row["features"] for row in model.transform(frame).select("id", "features").collect()}
    expected = {row["id"]: row["features"] for row in model.transform(dense).select("id", "features").collect()}
    assert found == expected
    assert [number for number, row in found.items() if row is None] == [7]
    lists = frame.where("id != 7").select(F.col("id"), F.expr("array_repeat(0D, 60)").alias("v"))
    assert model.transform(lists).count() == 99
