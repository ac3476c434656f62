from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from sparkwater.conversions.stages.plain_values import hash_columns
from sparkwater.errors import SchemaError
from sparkwater.stacking.row_keys import Fingerprint, fingerprint_columns, row_hash


@pytest.fixture
def frame(spark):
    return spark.createDataFrame([(i, i % 3, None if i % 2 else i) for i in range(40)], "id int, fold int, value int")


def hashes(frame, column):
    return [row[0] for row in frame.select(column).collect()]


def fingerprint(frame):
    return Fingerprint(*map(int, frame.agg(*fingerprint_columns(F.col("id"), F.col("fold"))).first()))


def test_a_fingerprint_has_no_order_and_adds_up(frame):
    whole = fingerprint(frame)
    assert whole.rows == 40
    assert fingerprint(frame.orderBy(F.desc("id")).repartition(3)) == whole
    parts = [fingerprint(frame.where(f"fold = {fold}")) for fold in (2, 0, 1)]
    assert Fingerprint.over(parts) == whole
    assert Fingerprint.over([]) == Fingerprint(0, 0, 0) == fingerprint(frame.limit(0))


def test_a_fingerprint_tells_rows_folds_and_copies_apart(frame):
    other_fold = frame.withColumn("fold", F.when(F.col("id") == 7, 0).otherwise(F.col("fold")))
    # Two copies cancel out in the exclusive or, not in the sum.
    doubled = frame.where("id > 0").union(frame.where("id = 1")).union(frame.where("id = 1"))
    found = [fingerprint(one) for one in (frame, other_fold, frame.where("id > 0"), doubled)]
    assert len({one.digest for one in found}) == 4
    assert all(len(one.digest) == 16 for one in found)


def test_the_hash_of_a_row_is_that_of_its_id_or_of_its_content(frame):
    by_id = hashes(frame, row_hash(frame, "id"))
    other = frame.withColumn("value", F.lit(3))
    assert hashes(other, row_hash(other, "id")) == by_id
    assert not set(hashes(other, row_hash(other, None))) & set(hashes(frame, row_hash(frame, None)))
    assert not set(hashes(frame, row_hash(frame, "id", 1))) & set(by_id)


def test_a_null_counts_at_its_place(spark):
    frame = spark.createDataFrame([(None, 1), (1, None)], "a int, b int")
    assert len(set(hashes(frame, hash_columns(frame.schema, ["a", "b"])))) == 2


@pytest.mark.parametrize(
    ("identity", "message"), [(None, "column 'json' holds a variant"), ("absent", "no column 'absent'")]
)
def test_columns_without_a_hash_are_refused(spark, identity, message):
    frame = spark.range(1).select(F.parse_json(F.lit("1")).alias("json"), "id")
    assert len(hashes(frame, row_hash(frame, "id"))) == 1
    with pytest.raises(SchemaError, match=message):
        row_hash(frame, identity)
