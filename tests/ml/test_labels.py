from __future__ import annotations

import math

import numpy as np
import pytest

from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.gpu.tasks import ClassificationTask, MultiLabelTask, OrdinalTask, QuantilesTask, RegressionTask
from sparkwater.ml.columns.classes import (
    MAX_CLASSES,
    ClassColumn,
    LabelSetColumn,
    check_label_type,
    find_classes,
    find_label_sets,
    in_order,
    vector_positions,
)
from sparkwater.ml.columns.numbers import NumberColumn, check_number_type, find_numbers
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
    found = find_classes([(frame, RowColumns())], "label")
    assert (found.classes, found.rows, found.totals) == (classes, len(labels), totals)


def test_classes_of_several_frames_are_put_together_and_weigh_what_is_trained_on(spark):
    training = spark.createDataFrame([(0.0, 2.0), (1.0, 0.5), (1.0, -1.0)], "label double, weight double")
    validation = spark.createDataFrame([(2.0, 7.0)], "label double, weight double")
    found = find_classes([(training, RowColumns("weight")), (validation, RowColumns("weight", True))], "label")
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
        find_classes([(labelled(spark, labels), RowColumns())], "label")


def test_a_label_column_of_another_type_is_refused(spark):
    with pytest.raises(SchemaError, match="labelCol='label' is array<int>; accepted"):
        check_label_type(labelled(spark, [[1]], "array<int>").schema, "label")


def test_numbers_stand_at_their_own_place_and_strings_in_order():
    assert list(vector_positions((0.0, 3.0))) == [0, 3]
    assert list(vector_positions(("ape", "cat"))) == [0, 1]


def weighted(spark, rows):
    return spark.createDataFrame(rows, "label double, weight double")


def test_numbers_are_measured_on_the_rows_that_are_trained(spark):
    training = weighted(spark, [(2.0, 1.0), (8.0, 3.0), (None, 1.0), (math.nan, 1.0), (math.inf, 1.0), (99.0, 0.0)])
    validation = weighted(spark, [(1000.0, 1.0)])
    parts = [(training, RowColumns("weight")), (validation, RowColumns("weight", True))]
    found = find_numbers(parts, "label", "gaussian")
    assert (found.rows, found.center, found.scale) == (7, 6.5, pytest.approx(math.sqrt(6.75), rel=1e-5))
    counts = find_numbers([(weighted(spark, [(0.0, 1.0), (4.0, 1.0), (-5.0, 1.0)]), RowColumns())], "label", "poisson")
    assert (counts.center, counts.scale) == (pytest.approx(math.log(2), rel=1e-5), 1.0)
    sizes = find_numbers([(weighted(spark, [(0.0, 1.0), (4.0, 1.0), (2.0, 1.0)]), RowColumns())], "label", "gamma")
    assert (sizes.center, sizes.scale) == (pytest.approx(math.log(3), rel=1e-5), 1.0)


def test_numbers_are_measured_without_their_offsets(spark):
    rows = [(12.0, 1.0, 10.0), (-92.0, 3.0, -100.0), (5.0, 1.0, None), (7.0, 1.0, math.inf)]
    frame = spark.createDataFrame(rows, "label double, weight double, offset double")
    columns = RowColumns("weight", offset="offset")
    found = find_numbers([(frame, columns)], "label", "gaussian")
    assert (found.rows, found.center, found.scale) == (4, 6.5, pytest.approx(math.sqrt(6.75), rel=1e-5))
    # The best mean of counts beside exposures: all counts by all exposures.
    counts = [(3.0, 1.0, math.log(10.0)), (1.0, 2.0, math.log(0.5)), (0.0, 4.0, math.log(7.0))]
    frame = spark.createDataFrame(counts, "label double, weight double, offset double")
    found = find_numbers([(frame, columns)], "label", "poisson")
    assert (found.center, found.scale) == (pytest.approx(math.log(5 / (10 + 1 + 28)), rel=1e-5), 1.0)
    exposures = frame.withColumn("offset", frame["offset"] + 1000)
    with pytest.raises(DataError, match="offsets are too large: with a logarithmic link an offset is the logarithm"):
        find_numbers([(exposures, columns)], "label", "poisson")


@pytest.mark.parametrize("far", [0.0, 1e9, -1234567890.0, 1e15])
def test_units_keep_the_digits_of_labels_far_from_zero(spark, far):
    found = find_numbers([(labelled(spark, [far - 1, far + 1, far + 3]), RowColumns())], "label", "gaussian")
    assert abs(found.center - (far + 1)) < 1e-5 * found.scale
    assert found.scale == pytest.approx(math.sqrt(8 / 3), rel=1e-5)


def test_units_do_not_depend_on_the_order_in_which_labels_are_added_up(spark):
    labels = [1e3 * math.sqrt(i) / 7 + 0.1 for i in range(1001)]
    orders = [labels, labels[::-1], [*labels[1::2], *labels[::2]]]
    frames = [labelled(spark, order).repartition(parts) for order, parts in zip(orders, (1, 3, 7), strict=True)]
    assert len({frame.agg({"label": "avg"}).first()[0] for frame in frames}) > 1
    for distribution in ("gaussian", "poisson"):
        assert len({find_numbers([(frame, RowColumns())], "label", distribution) for frame in frames}) == 1


@pytest.mark.parametrize("label", [0.0, 0.1, 1e9 / 7])
def test_labels_that_are_all_equal_have_the_deviation_1(spark, label):
    found = find_numbers([(labelled(spark, [label] * 7), RowColumns())], "label", "laplace")
    assert (found.center, found.scale) == (pytest.approx(label, abs=1e-5), 1.0)


@pytest.mark.parametrize(
    ("labels", "distribution", "message"),
    [
        ([], "gaussian", "no rows to train on"),
        ([None, math.nan, math.inf], "gaussian", "none of 3 rows has a label to train on; accepted: finite numbers"),
        ([-1.0, None], "poisson", "none of 2 rows has a label to train on; accepted: numbers from 0 up"),
        ([0.0, 0.0], "poisson", "all labels are 0; distribution='poisson' needs one above 0"),
        ([0.0, 0.0], "tweedie", "all labels are 0; distribution='tweedie' needs one above 0"),
        ([0.0, -1.0], "gamma", "none of 2 rows has a label to train on; accepted: numbers above 0, for distribution"),
        ([1e300, -1e300], "gaussian", "too large to be squared"),
    ],
)
def test_numbers_that_nothing_can_be_learned_from_are_refused(spark, labels, distribution, message):
    with pytest.raises(DataError, match=message):
        find_numbers([(labelled(spark, labels), RowColumns())], "label", distribution)


@pytest.mark.parametrize("kind", ["string", "boolean", "array<double>"])
def test_a_column_that_holds_no_numbers_is_refused(spark, kind):
    with pytest.raises(SchemaError, match=r"labelCol='label' is .*; accepted: numbers; cast it, or use a classifier"):
        check_number_type(labelled(spark, [], kind).schema, "label")


@pytest.mark.parametrize(
    ("kind", "labels", "classes"),
    [
        ("array<string>", [["b", "a"], [], None, ["a", "a"], [None, "c"]], ("a", "b", "c")),
        ("array<int>", [[7], [0, 7], [], None], (0.0, 7.0)),
        ("array<double>", [[1.0, math.nan], [2.0, None]], (1.0, 2.0)),
        ("array<boolean>", [[True], [False, True]], (0.0, 1.0)),
    ],
)
def test_labels_of_arrays_are_sorted_and_each_row_counts_once(spark, kind, labels, classes):
    frame = labelled(spark, labels, kind)
    check_label_type(frame.schema, "label", sets=True)
    found = find_label_sets([(frame, RowColumns())], "label")
    assert (found.classes, found.rows) == (classes, len(labels))


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("array<int>", [], "no rows to train on"),
        ("array<string>", [[], None, [None]], "all 3 labels are null"),
        ("array<double>", [[0.5]], "holds 0.5; numeric labels are 0, 1, 2"),
    ],
)
def test_arrays_that_hold_no_classes_are_refused(spark, kind, labels, message):
    with pytest.raises(DataError, match=message):
        find_label_sets([(labelled(spark, labels, kind), RowColumns())], "label")


def test_a_network_keeps_what_its_outputs_mean():
    numbers, classes, sets = (
        NumberColumn(4, "poisson", 0.5, 1.0),
        ClassColumn(4, ("a",), (4.0,)),
        LabelSetColumn(4, ("a",)),
    )
    one, many = ClassificationTask(("a", "b")), MultiLabelTask(("a", "b"))
    assert classes.kept(one, "it").classes == sets.kept(many, "it").classes == ("a", "b")
    assert numbers.kept(RegressionTask("poisson", 0.25), "it").center == 0.25
    for labels, before, message in (
        (numbers, one, "it learned classification, and the label is to be learned as regression"),
        (numbers, RegressionTask("gaussian"), "it learned distribution='gaussian'"),
        (NumberColumn(4, "gaussian", 0.5, 1.0), RegressionTask("poisson"), "it learned distribution='poisson'"),
        (classes, many, "it learned multilabel, and the label is to be learned as classification"),
        (sets, one, "it learned classification, and the label is to be learned as multilabel"),
        (
            classes,
            RegressionTask("gaussian"),
            "it learned regression, and the label is to be learned as classification",
        ),
        (sets, MultiLabelTask(("b", "c")), "the rows have the label 'a', and it tells 'b', 'c' apart"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            labels.kept(before, "it")


def test_ordered_classes_stand_as_they_are_named_and_numbers_in_their_order():
    found = ClassColumn(9, ("high", "low"), (3.0, 1.0))
    named = in_order(found, ["low", "middle", "high"], "label")
    assert (named.rows, named.classes) == (9, ("low", "middle", "high"))
    task = OrdinalTask(named.classes, beginning=named.beginning)
    shares = task.respond(np.array([named.beginning]))[0]
    assert shares == pytest.approx([0.25, 0.0033, 0.75], abs=0.003)
    assert in_order(ClassColumn(4, (0.0, 3.0), (2.0, 2.0)), None, "label").classes == (0.0, 3.0)
    for classes, order, message in (
        (("high", "low"), ["low", "middle"], r"holds 'high', which ordinal=\['low', 'middle'\] doesn't name"),
        ((2.0,), None, "holds 2.0 only; an order needs two classes or more"),
    ):
        with pytest.raises(DataError, match=message):
            in_order(ClassColumn(4, classes, (1.0,) * len(classes)), order, "label")


def test_a_network_keeps_an_order_and_quantiles():
    rows, before = ClassColumn(4, ("low",), (4.0,)), OrdinalTask(("low", "high"), beginning=(0.5,))
    kept = in_order(rows, ["low", "high"], "label").kept(before, "it")
    assert (kept.classes, kept.beginning) == (before.classes, before.beginning)
    numbers = NumberColumn(4, "quantile", 0.5, 2.0, (0.1, 0.9))
    assert numbers.kept(QuantilesTask((0.1, 0.9), 7.0, 3.0), "it").center == 7.0
    assert NumberColumn(4, "gamma", 0.5, 1.0).kept(RegressionTask("poisson", 0.25), "it").center == 0.25
    for labels, task, message in (
        (in_order(rows, ["high", "low"], "label"), before, "it learned the order 'low', 'high', and ordinal="),
        (in_order(rows, ["low", "other"], "label"), before, "the rows have the label|learned the order"),
        (numbers, QuantilesTask((0.2, 0.9)), r"it learned quantiles=\[0.2, 0.9\], and now they are \[0.1, 0.9\]"),
        (numbers, RegressionTask("quantile"), "it learned regression, and the label is to be learned as quantiles"),
        (NumberColumn(4, "tweedie", 0.5, 1.0), RegressionTask("gaussian"), "it learned distribution='gaussian'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            labels.kept(task, "it")
