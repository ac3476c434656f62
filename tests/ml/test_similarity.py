"""The search over DataFrames; the arithmetic has tests of its own without Spark."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import SparseVector
from pyspark.sql import functions as F

from sparkwater.conversions import VectorToTensor
from sparkwater.errors import CheckpointError, ConfigurationError, SchemaError, UnsafeLoadError
from sparkwater.ml import Similarity, distance_matrix, k_nearest
from sparkwater.ml.similarity.measures import MEASURES

QUERIES = np.random.default_rng(0).standard_normal((23, 6)).astype(np.float32)
REFERENCES = np.random.default_rng(1).standard_normal((31, 6)).astype(np.float32)
REFERENCES[20:25] = REFERENCES[3]  # ties


def frame(spark, values, schema="id long, features array<float>", partitions=1):
    rows = [(row, None if value is None else [float(x) for x in value]) for row, value in enumerate(values)]
    made = spark.createDataFrame(rows, schema)
    return made.coalesce(1) if partitions == 1 else made.repartition(partitions)


def distances():
    return np.linalg.norm(QUERIES[:, None].astype(np.float64) - REFERENCES[None], axis=2)


def as_rows(nearest):
    """Return rows as tuples that compare exactly, in order of query and rank."""
    return sorted((row.queryId, row["rank"], row.referenceId, row.value) for row in nearest.collect())


def check_nearest(rows, k):
    order = np.argsort(distances(), axis=1, kind="stable")[:, :k]  # stable: ties by id
    assert [(query, rank, reference) for query, rank, reference, _ in rows] == [
        (query, rank + 1, int(order[query, rank])) for query in range(len(QUERIES)) for rank in range(k)
    ]
    values = np.array([value for *_, value in rows]).reshape(len(QUERIES), k)
    np.testing.assert_allclose(values, np.take_along_axis(distances(), order, axis=1), rtol=1e-12)


def test_small_side_is_broadcast_and_large_ones_meet_block_by_block_with_the_same_result(spark, monkeypatch):
    monkeypatch.setattr("sparkwater.ml.similarity.search._ROWS_FOR_NEAREST", 4)
    queries, references = frame(spark, QUERIES, partitions=2), frame(spark, REFERENCES, partitions=3)
    found, adaptive = {}, spark.conf.get("spark.sql.adaptive.enabled")
    for threshold in ("10MB", "-1"):
        spark.conf.set("spark.sql.adaptive.enabled", "true")  # sizes are known once rows are there
        spark.conf.set("spark.sql.autoBroadcastJoinThreshold", threshold)
        try:
            nearest = k_nearest(queries, references, 7, "l2")
            rows = as_rows(nearest)
        finally:
            spark.conf.unset("spark.sql.autoBroadcastJoinThreshold")
            spark.conf.set("spark.sql.adaptive.enabled", adaptive)
        join = "BroadcastNestedLoopJoin" if threshold == "10MB" else "CartesianProduct"
        plan = nearest._jdf.queryExecution().executedPlan().toString()
        assert join in plan.split("Initial Plan")[0]
        found[threshold] = rows
    check_nearest(found["-1"], 7)
    assert found["10MB"] == found["-1"]


def test_ids_are_strings_and_the_smaller_wins_a_tie(spark):
    queries, references = (
        frame(spark, values).withColumn("id", F.concat(F.lit("é-"), F.col("id"))) for values in (QUERIES, REFERENCES)
    )
    rows = as_rows(k_nearest(queries, references, 3, "l2"))
    by_name = sorted(range(len(REFERENCES)), key=lambda row: f"é-{row}")
    for query in range(len(QUERIES)):
        nearest = sorted(by_name, key=lambda row, query=query: distances()[query, row])[:3]
        mine = [reference for name, _, reference, _ in rows if name == f"é-{query}"]
        assert mine == [f"é-{row}" for row in nearest]


def test_more_neighbours_than_references_are_all_references_and_no_references_are_none(spark):
    references = frame(spark, REFERENCES[:4])
    rows = as_rows(k_nearest(frame(spark, QUERIES[:2], partitions=2), references, 100, "cosine"))
    assert [(query, rank) for query, rank, *_ in rows] == [(q, rank) for q in range(2) for rank in (1, 2, 3, 4)]
    nobody = references.where("id < 0")
    assert as_rows(k_nearest(references, nobody, 3, "cosine")) == []
    assert as_rows(k_nearest(nobody, references, 3, "cosine")) == []
    assert distance_matrix(nobody, references, "cosine").count() == 0


@pytest.mark.parametrize("measure", ["cosine", "l1"])
def test_matrix_holds_every_pair_once(spark, measure):
    matrix = distance_matrix(frame(spark, QUERIES, partitions=3), frame(spark, REFERENCES, partitions=2), measure)
    values = np.full((len(QUERIES), len(REFERENCES)), np.nan)
    for block in matrix.collect():
        place = np.ix_(block.queryIds, block.referenceIds)
        assert np.isnan(values[place]).all()
        values[place] = block["values"]
    x, y = QUERIES.astype(np.float64), REFERENCES.astype(np.float64)
    cosines = x @ y.T / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1))
    expected = cosines if measure == "cosine" else np.abs(x[:, None] - y).sum(axis=2)
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-14)


def test_sparse_and_dense_vectors_arrays_and_tensors_hold_the_same_numbers(spark):
    arrays = frame(spark, REFERENCES)
    dense = arrays.withColumn("features", array_to_vector("features"))
    rows = [(row, SparseVector(6, dict(enumerate(map(float, value))))) for row, value in enumerate(REFERENCES)]
    sparse = spark.createDataFrame(rows, ["id", "features"])
    tensor = VectorToTensor(inputCol="vector", outputCol="features", shape=[2, 3]).transform(
        dense.withColumnRenamed("features", "vector")
    )
    queries = frame(spark, QUERIES[:3])
    results = [as_rows(k_nearest(queries, references, 4, "inner")) for references in (arrays, dense, sparse, tensor)]
    assert all(result == results[0] for result in results)
    assert len(results[0]) == 12


@pytest.mark.parametrize("kinds", [("float", "double"), ("double", "float")])
def test_a_side_of_doubles_keeps_its_digits_beside_one_of_floats(spark, kinds):
    # The numbers of the doubles are as near to each other as no two floats are.
    values = {"float": [[1.0]], "double": [[1 + 4e-10], [1 + 2e-10]]}
    queries, references = (frame(spark, values[kind], f"id long, features array<{kind}>") for kind in kinds)
    found = as_rows(k_nearest(queries, references, 1, "l2"))
    distances = [1 + 4e-10 - 1, 1 + 2e-10 - 1]
    if kinds[0] == "float":
        assert found == [(0, 1, 1, distances[1])]
    else:
        assert found == [(row, 1, 0, distances[row]) for row in range(2)]


def test_unusable_vectors_fail_the_job_are_left_out_or_have_nulls(spark):
    values = [QUERIES[0], None, [np.nan] * 6, QUERIES[3]]
    queries, references = frame(spark, values), frame(spark, REFERENCES)
    with pytest.raises(Exception, match=r"invalid row [12]: the vector is null"):
        k_nearest(queries, references, 1, "l2").collect()
    assert [row[0] for row in as_rows(k_nearest(queries, references, 1, "l2", handleInvalid="skip"))] == [0, 3]
    kept = {row.queryId: row for row in k_nearest(queries, references, 1, "l2", handleInvalid="keep").collect()}
    assert sorted(kept) == [0, 1, 2, 3]
    assert kept[1][1:] == kept[2][1:] == (None, None, None)
    block = distance_matrix(queries, references, "l2", handleInvalid="keep")
    by_query = block.select(F.explode(F.arrays_zip("queryIds", "values")).alias("row")).select("row.*").collect()
    invalid = {row.queryIds for row in by_query if np.isnan(row["values"]).all()}
    assert invalid == {1, 2}


@pytest.mark.parametrize(
    ("queries", "references", "message"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0, 3.0]], "query 0 has 2 values and that of reference 0 has 3"),
        ([[1.0, 2.0], [1.0]], [[1.0, 2.0]], "all vectors must have the same length"),
    ],
)
def test_vectors_of_different_lengths_fail_the_job(spark, queries, references, message):
    with pytest.raises(Exception, match=message):
        k_nearest(frame(spark, queries), frame(spark, references), 1, "l2", handleInvalid="skip").collect()


def test_ids_that_name_no_row_or_two_fail_the_job(spark):
    references = frame(spark, REFERENCES)
    twice = frame(spark, QUERIES[:2]).withColumn("id", F.lit("a"))
    with pytest.raises(Exception, match="the query id a is on 2 rows"):
        k_nearest(twice, references, 1, "l2").collect()
    with pytest.raises(Exception, match="a row has no id"):
        k_nearest(twice.withColumn("id", F.lit(None).cast("string")), references, 1, "l2").collect()


def test_wrong_parameters_and_columns_are_refused_before_a_job(spark):
    good = frame(spark, QUERIES)
    for k in (0, -1, 2.0, True):
        with pytest.raises(ConfigurationError, match=r"k=.*accepted: integers from 1 up"):
            k_nearest(good, good, k, "l2")
    with pytest.raises(ConfigurationError, match=f"accepted: {', '.join(MEASURES)}"):
        distance_matrix(good, good, "euclid")
    with pytest.raises(ConfigurationError, match="handleInvalid='ignore'"):
        distance_matrix(good, good, "l2", handleInvalid="ignore")
    with pytest.raises(SchemaError, match="there is no column 'vector'"):
        k_nearest(good, good, 1, "l2", featuresCol="vector")
    with pytest.raises(SchemaError, match="featuresCol='id' is bigint; accepted: ML vectors"):
        k_nearest(good, good, 1, "l2", featuresCol="id")
    with pytest.raises(SchemaError, match="idCol='features' is array<float>"):
        k_nearest(good, good, 1, "l2", idCol="features")
    with pytest.raises(ConfigurationError, match="setReferences"):
        Similarity().transform(good)
    with pytest.raises(SchemaError, match="outputCol='id'"):
        Similarity(references=good, outputCol="id").transform(good)


def test_saved_stage_finds_the_same_neighbours_in_a_pipeline(spark, tmp_path):
    queries = frame(spark, QUERIES[:5]).withColumn("note", F.lit("kept"))
    stage = Similarity(references=frame(spark, REFERENCES), k=3, measure="l2")
    path = str(tmp_path / "pipeline")
    Pipeline(stages=[stage]).fit(queries).save(path)
    loaded = PipelineModel.load(path)
    found = loaded.transform(queries).orderBy("id").collect()
    assert loaded.transform(queries).columns == ["id", "features", "note", "neighbors"]
    order = np.argsort(distances()[:5], axis=1, kind="stable")[:, :3]
    assert [[one.id for one in row.neighbors] for row in found] == order.tolist()
    assert found == stage.transform(queries).orderBy("id").collect()
    assert not any("pickle" in file.name for file in tmp_path.rglob("*"))


def test_stage_gives_every_row_its_neighbours_or_none(spark):
    values = [QUERIES[0], None, QUERIES[2]]
    stage = Similarity(references=frame(spark, REFERENCES), k=2, measure="l2", handleInvalid="keep")
    rows = {row.id: row.neighbors for row in stage.transform(frame(spark, values)).collect()}
    assert {row: neighbors and len(neighbors) for row, neighbors in rows.items()} == {0: 2, 1: None, 2: 2}
    nobody = stage.copy().setReferences(frame(spark, REFERENCES).where("id < 0")).setHandleInvalid("skip")
    assert [(row.id, row.neighbors) for row in nobody.transform(frame(spark, values)).orderBy("id").collect()] == [
        (0, []),
        (2, []),
    ]


def test_loading_refuses_what_is_no_similarity(spark, tmp_path):
    VectorToTensor().save(str(tmp_path / "other"))
    with pytest.raises(UnsafeLoadError, match="VectorToTensor"):
        Similarity.load(str(tmp_path / "other"))
    with pytest.raises(CheckpointError, match="holds no saved Similarity"):
        Similarity.load(str(tmp_path / "nothing"))
    with pytest.raises(ConfigurationError, match="setReferences"):
        Similarity().save(str(tmp_path / "empty"))
