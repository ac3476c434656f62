from __future__ import annotations

import math

import pytest
from pyspark.sql import types as T

from sparkwater.errors import SchemaError
from sparkwater.ml.columns.roles import RowColumns

ROWS = [
    (2.0, False),
    (0.0, False),
    (3.0, True),
    (None, False),
    (-1.0, False),
    (math.nan, False),
    (math.inf, True),
    (1.0, None),
]


@pytest.fixture
def frame(spark):
    return spark.createDataFrame([(i, *row) for i, row in enumerate(ROWS)], "id int, weight double, held_out boolean")


def values(frame, column):
    return [row[0] for row in frame.orderBy("id").select(column).collect()]


def test_rows_weigh_what_their_column_says_unless_they_are_held_out_or_unfit(frame):
    columns = RowColumns("weight", "held_out")
    assert values(frame, columns.training_weight()) == [2.0, 0.0, *[None] * 6]
    assert values(frame, columns.held_out_value()) == [held_out for _, held_out in ROWS]


def test_unfit_rows_have_a_reason(frame):
    assert values(frame, RowColumns("weight", "held_out").problem()) == [
        *[None] * 3,
        "the weight is null",
        "the weight is -1.0",
        "the weight is NaN",
        "the weight is Infinity",
        "the validation indicator is null",
    ]


def test_offsets_are_doubles_and_those_that_are_none_have_a_reason(spark):
    offsets = [1.5, -0.0, None, math.nan, math.inf, -math.inf]
    frame = spark.createDataFrame([(i, offset) for i, offset in enumerate(offsets)], "id int, offset double")
    columns = RowColumns(offset="offset")
    assert str(values(frame, columns.offset_value())) == "[1.5, 0.0, None, nan, inf, -inf]"
    reasons = ["the offset is null", "the offset is NaN", "the offset is Infinity", "the offset is -Infinity"]
    assert values(frame, columns.problem()) == [None, None, *reasons]
    assert values(frame, columns.training_weight()) == [1.0, 1.0, *[None] * 4]
    whole = spark.createDataFrame([(0, 3)], "id int, offset int")
    assert values(whole, columns.offset_value()) == [3.0]


@pytest.mark.parametrize(("held_out", "weight"), [(None, 1.0), (False, 1.0), (True, None)])
def test_without_columns_all_rows_take_part_alike(frame, held_out, weight):
    columns = RowColumns(None, held_out)
    assert values(frame, columns.training_weight()) == [weight] * len(ROWS)
    assert values(frame, columns.held_out_value()) == [bool(held_out)] * len(ROWS)
    assert values(frame, columns.offset_value()) == [0.0] * len(ROWS)
    assert values(frame, columns.problem()) == [None] * len(ROWS)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (RowColumns("held_out"), "weightCol='held_out' is boolean; accepted: numbers from 0 up"),
        (RowColumns("weight", "weight"), "validationIndicatorCol='weight' is double; accepted: booleans"),
        (RowColumns(offset="held_out"), "offsetCol='held_out' is boolean; accepted: numbers"),
        (RowColumns(offset="absent"), "no column 'absent'"),
        (RowColumns("absent"), "no column 'absent'"),
    ],
)
def test_columns_of_other_types_are_refused(columns, message):
    schema = T.StructType([T.StructField("weight", T.DoubleType()), T.StructField("held_out", T.BooleanType())])
    RowColumns("weight", "held_out").check(schema)
    RowColumns(None, True).check(schema)
    with pytest.raises(SchemaError, match=message):
        columns.check(schema)
