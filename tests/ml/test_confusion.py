from __future__ import annotations

import pytest

from sparkwater.errors import DataError, SchemaError
from sparkwater.ml import ConfusionMatrix, confusion_matrix


def test_matrix_is_laid_out_as_h2o_prints_it():
    matrix = ConfusionMatrix(("cat", "dog"), ((1990, 10), (0, 500)))
    assert str(matrix).splitlines() == [
        "Confusion Matrix (rows: actual, columns: predicted)",
        "        cat  dog   Error        Rate",
        "cat    1990   10  0.0050  10 / 2,000",
        "dog       0  500  0.0000     0 / 500",
        "Total  1990  510  0.0040  10 / 2,500",
    ]


def test_counts_equal_a_plain_loop(spark):
    pairs = [(0.0, 0.0), (0.0, 1.0), (2.0, 2.0), (2.0, 2.0), (1.0, 0.0), (None, 1.0), (1.0, None)]
    frame = spark.createDataFrame(pairs, "label double, prediction double")
    matrix = confusion_matrix(frame, "label", "prediction")
    assert matrix.labels == ("0", "1", "2")
    assert matrix.counts == ((1, 1, 0), (1, 0, 0), (0, 0, 2))
    assert (matrix.errors, matrix.rows, matrix.error) == (2, 5, 0.4)


def test_nothing_to_count_is_an_error(spark):
    frame = spark.createDataFrame([(None, 1.0)], "label double, prediction double")
    with pytest.raises(DataError, match="no row has both"):
        confusion_matrix(frame, "label", "prediction")


def test_names_are_not_compared_with_numbers(spark):
    frame = spark.createDataFrame([("cat", 0.0)], "label string, prediction double")
    with pytest.raises(SchemaError, match=r"'label' \(string\) and 'prediction' \(double\).*predictedLabelCol"):
        confusion_matrix(frame, "label", "prediction")


def test_classes_have_precision_recall_and_f1_where_they_are_defined():
    matrix = ConfusionMatrix(("a", "b", "c", "d"), ((3, 1, 0, 0), (0.5, 1, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0)))
    a, b, c, d = matrix.classes
    assert (a.label, a.rows, a.recall, a.error) == ("a", 4, 0.75, 0.25)
    assert a.precision == pytest.approx(3 / 4.5)
    assert a.f1 == pytest.approx(2 * a.precision * a.recall / (a.precision + a.recall))
    assert (b.rows, b.precision) == (1.5, 0.5)
    assert (c.precision, c.recall, c.f1, c.error) == (None, 0, None, 1)
    assert (d.rows, d.precision, d.recall, d.f1, d.error) == (0, None, None, None, None)
    assert "0.50 / 1.50" in str(matrix)


def test_columns_that_are_no_classes_are_refused(spark):
    frame = spark.range(5_001).selectExpr("id as label", "id as prediction")
    with pytest.raises(DataError, match="5,001 different values"):
        confusion_matrix(frame, "label", "prediction")
