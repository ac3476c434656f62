from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from sparkwater.errors import DataError, SchemaError
from sparkwater.stacking import Folds
from sparkwater.stacking.level_one.learners import CLASSIFICATION
from sparkwater.stacking.level_one.prepare import prepare
from sparkwater.stacking.level_one.prepared import FOLD, LevelOneTask
from sparkwater.stacking.row_keys import ROW

ROWS = 60


@pytest.fixture
def frame(spark):
    """Two labels as strings and as numbers, and three folds."""
    columns = [
        "id",
        "if(id % 4 < 2, 'ape', 'cat') as label",
        "cast(id % 4 div 2 as double) as number",
        "id % 3 as fold",
    ]
    return spark.range(ROWS).selectExpr(*columns)


@pytest.fixture
def prepared(frame):
    made = prepare(frame, "fold", CLASSIFICATION, "label", idCol="id")
    yield made
    made.frame.unpersist()


def ids(frame):
    return sorted(row.id for row in frame.select("id").collect())


def test_each_fold_is_counted_and_stands_in_order(prepared):
    assert [(fold.value, fold.rows.rows) for fold in prepared.folds] == [(0, 20), (1, 20), (2, 20)]
    assert prepared.rows.rows == prepared.labels.rows == ROWS
    assert prepared.columns == ("id", "label", "number", "fold")


def test_a_learner_sees_the_rows_outside_of_a_fold_and_scores_those_in_it(prepared):
    fold = prepared.folds[1]
    inside = [i for i in range(ROWS) if i % 3 == 1]
    assert ids(prepared.scorable(fold)) == inside
    assert ids(prepared.training(fold)) == [i for i in range(ROWS) if i not in inside]
    assert ids(prepared.scorable()) == ids(prepared.all_rows()) == list(range(ROWS))
    assert set(prepared.training(fold).columns) == set(prepared.columns)
    assert prepared.scorable(fold).columns[-2:] == [ROW, FOLD]


def test_few_rows_are_one_partition_in_order_of_their_keys(prepared):
    rows = prepared.scorable()
    assert (rows.rdd.getNumPartitions(), prepared.frame.rdd.getNumPartitions()) == (1, 1)
    keys = [row[ROW] for row in rows.collect()]
    assert keys == sorted(keys)


def test_few_rows_are_sorted_once_and_planned_once_for_all_fits(frame, prepared):
    fold = prepared.folds[1]
    training = prepared.training(fold)
    assert training is prepared.training(fold) is not prepared.training(prepared.folds[2])
    above_the_cache = training._jdf.queryExecution().executedPlan().toString().split("InMemoryTableScan")[0]
    assert "Filter" in above_the_cache
    assert "Sort" not in above_the_cache
    persistent = frame.sparkSession.sparkContext._jsc.getPersistentRDDs
    before = persistent().size()
    other = prepare(frame, "fold", CLASSIFICATION, "label", idCol="id")
    assert persistent().size() == before + 1  # not in the order that they came in, too
    other.frame.unpersist()
    kept = prepare(frame, "fold", CLASSIFICATION, "label", idCol="id", store=lambda rows: rows)  # not ours to order
    assert [row.id for row in kept.training(fold).collect()] == [row.id for row in training.collect()]


def test_labels_say_how_many_classes_there_are_unless_they_say_more(frame, prepared):
    assert prepared.training(prepared.folds[0]).schema["label"].metadata == {
        "ml_attr": {"type": "nominal", "num_vals": 2}
    }
    own = {"ml_attr": {"type": "nominal", "vals": ["a", "b"]}}
    described = prepare(frame.withMetadata("number", own), "fold", CLASSIFICATION, "number")
    assert described.all_rows().schema["number"].metadata == own
    assert prepare(frame, "fold", "regression", "number").all_rows().schema["number"].metadata == {}


def test_strings_are_numbered_in_order_and_numbers_left_alone(frame, prepared):
    assert prepared.task == LevelOneTask(CLASSIFICATION, ("ape", "cat"))
    labels = {(row.number, row.label) for row in prepared.all_rows().select("number", "label").collect()}
    assert labels == {(0.0, 0.0), (1.0, 1.0)}
    numeric = prepare(frame, "fold", CLASSIFICATION, "number")
    assert (numeric.task.classes, numeric.task.named) == ((0.0, 1.0), False)
    assert prepare(frame, "fold", "regression", "number").task == LevelOneTask("regression")


def test_fingerprints_follow_rows_folds_and_labels_and_no_order(frame, prepared):
    def prepared_as(rows):
        return prepare(rows, "fold", CLASSIFICATION, "label", idCol="id")

    same = prepared_as(frame.orderBy(F.desc("id")).repartition(3))
    assert (same.rows, same.labels) == (prepared.rows, prepared.labels)
    moved = prepared_as(frame.withColumn("fold", F.when(F.col("id") == 5, 0).otherwise(F.col("fold"))))
    assert moved.rows != prepared.rows
    assert moved.labels == prepared.labels
    renamed = prepared_as(frame.withColumn("label", F.when(F.col("id") == 5, "cat").otherwise(F.col("label"))))
    assert renamed.rows == prepared.rows
    assert renamed.labels != prepared.labels


def test_duplicates_have_keys_of_their_own(frame):
    same = frame.withColumn("id", F.lit(0)).where("label = 'ape' or number = 1")
    made = prepare(same, "fold", CLASSIFICATION, "label")
    assert made.frame.select(ROW).distinct().count() == ROWS
    with pytest.raises(DataError, match="idCol='id': 60 rows have the id '0'"):
        prepare(same, "fold", CLASSIFICATION, "label", idCol="id")


def test_rows_within_the_embargo_of_a_span_of_time_are_not_trained_on(frame):
    folds = Folds(numFolds=3, timeCol="id", embargo=2.0, foldCol="span")
    made = prepare(frame, folds, "regression", "number")
    middle = made.folds[1]
    assert middle.end - middle.start == 19
    apart = [i for i in range(ROWS) if not middle.start - 2 <= i <= middle.end + 2]
    assert ids(made.training(middle)) == apart


@pytest.mark.parametrize(
    ("kind", "classes", "named", "size", "width"),
    [
        (CLASSIFICATION, ("ape", "cat"), True, 2, 1),
        (CLASSIFICATION, (0.0, 4.0), False, 5, 5),
        ("regression", (), False, 1, 1),
    ],
)
def test_a_task_says_how_many_numbers_it_has(kind, classes, named, size, width):
    task = LevelOneTask(kind, classes)
    assert (task.named, task.size, task.width) == (named, size, width)


@pytest.mark.parametrize(
    ("change", "kind", "error", "message"),
    [
        ({"label": "array(1)"}, CLASSIFICATION, SchemaError, "labelCol='label' is array<int>"),
        ({}, "regression", SchemaError, "labelCol='label' is string; accepted: numbers"),
        ({"fold": "0.5D"}, CLASSIFICATION, SchemaError, "foldCol='fold' is double; accepted: integers"),
        ({"fold": "if(id = 3, null, fold)"}, CLASSIFICATION, DataError, "1 rows are in no fold"),
        ({"fold": "1"}, CLASSIFICATION, DataError, "holds 1 fold"),
        ({"label": "if(id = 3, null, label)"}, CLASSIFICATION, DataError, "1 rows have no usable label"),
        ({"label": "0.5D + number"}, CLASSIFICATION, DataError, "holds 0.5; numeric labels are 0, 1, 2"),
        ({"label": "'ape'"}, CLASSIFICATION, DataError, "one class only, 'ape'"),
        ({"label": "if(fold = 0, 'ape', 'cat')"}, CLASSIFICATION, DataError, "all rows of 'ape' are in fold 0"),
    ],
)
def test_rows_that_cannot_be_stacked_are_refused(frame, change, kind, error, message):
    with pytest.raises(error, match=message):
        prepare(frame.withColumns({name: F.expr(text) for name, text in change.items()}), "fold", kind, "label")


@pytest.mark.parametrize("weight", ["null", "-1", "double('NaN')", "double('Infinity')"])
def test_weights_that_no_sum_takes_are_refused(frame, weight):
    weighted = frame.withColumn("weight", F.expr(f"cast(if(id = 3, {weight}, 1) as double)"))
    with pytest.raises(DataError, match="1 rows have a weight that is null, NaN, infinite or negative"):
        prepare(weighted, "fold", CLASSIFICATION, "label", weightCol="weight")


def test_a_fold_without_weight_is_refused(frame):
    weighted = frame.withColumn("weight", F.expr("if(fold = 1, 0, 1)"))
    with pytest.raises(DataError, match=r"weightCol='weight' is 0 in all rows of fold 1 \('fold'\), so nothing is"):
        prepare(weighted, "fold", CLASSIFICATION, "label", weightCol="weight")
