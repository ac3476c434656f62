from __future__ import annotations

import math

import pytest

from sparkwater.errors import DataError, SchemaError
from sparkwater.ml.columns.labels import MAX_CLASSES, check_label_type, find_labels, vector_positions
from sparkwater.ml.columns.roles import RowColumns


def labelled(spark, labels, kind="double"):
    return spark.createDataFrame([(label,) for label in labels], f"label {kind}")


@pytest.mark.parametrize(
    ("kind", "labels", "classes", "totals"),
    [
        ("int", [3, 0, 3, None], (0.0, 3.0), (1.0, 2.0)),
        ("double", [1.0, math.nan, 0.0], (0.0, 1.0), (1.0, 1.0)),
        ("boolean", [True, False, True], (0.0, 1.0), (1.0, 2.0)),
        ("string", ["cat", "ape", None, "cat"], ("ape", "cat"), (1.0, 2.0)),
    ],
)
def test_classes_are_sorted_and_rows_without_a_label_count_as_rows_only(spark, kind, labels, classes, totals):
    frame = labelled(spark, labels, kind)
    check_label_type(frame.schema, "label")
    found = find_labels([(frame, RowColumns())], "label")
    assert (found.classes, found.rows, found.totals) == (classes, len(labels), totals)


def test_classes_of_several_frames_are_put_together_and_weigh_what_is_trained_on(spark):
    training = spark.createDataFrame([(0.0, 2.0), (1.0, 0.5), (1.0, -1.0)], "label double, weight double")
    validation = spark.createDataFrame([(2.0, 7.0)], "label double, weight double")
    found = find_labels([(training, RowColumns("weight")), (validation, RowColumns("weight", True))], "label")
    assert (found.classes, found.rows, found.totals) == ((0.0, 1.0, 2.0), 4, (2.0, 0.5, 0.0))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "no rows to train on"),
        ([None, math.nan], "all 2 labels are null"),
        ([0.0, 0.5], "holds 0.5; numeric labels are 0, 1, 2"),
        ([-1.0, 0.0], "holds -1.0; numeric labels are 0, 1, 2"),
        ([0.0, math.inf], "holds inf; numeric labels are 0, 1, 2"),
        ([0.0, float(MAX_CLASSES)], f"holds {MAX_CLASSES}; numeric labels are below {MAX_CLASSES}"),
    ],
)
def test_labels_that_are_no_classes_are_refused(spark, labels, message):
    with pytest.raises(DataError, match=message):
        find_labels([(labelled(spark, labels), RowColumns())], "label")


def test_a_label_column_of_another_type_is_refused(spark):
    with pytest.raises(SchemaError, match="labelCol='label' is array<int>; accepted"):
        check_label_type(labelled(spark, [[1]], "array<int>").schema, "label")


def test_numbers_stand_at_their_own_place_and_strings_in_order():
    assert list(vector_positions((0.0, 3.0))) == [0, 3]
    assert list(vector_positions(("ape", "cat"))) == [0, 1]
