from __future__ import annotations

from dataclasses import replace

import pytest
from digits import tensor_frame
from pyspark.sql import functions as F

from sparkwater.errors import SchemaError
from sparkwater.gpu.rows.reading import HELD_OUT, KEY, LABEL, NAME, OFFSET, PROBLEM, TENSOR, WEIGHT
from sparkwater.ml.columns.classes import check_label_type
from sparkwater.ml.columns.features import resolve_features
from sparkwater.ml.columns.rank_frame import RowSource, rank_frame, row_sources
from sparkwater.ml.columns.roles import RowColumns


@pytest.fixture
def frame(spark):
    columns = {"weight": F.col("id") - 1, "held_out": F.col("id") == 2}
    return tensor_frame(spark, 4).withColumns(columns)


def source(frame, columns=None):
    return RowSource(frame, resolve_features(frame.schema, ["features"], None, None), columns or RowColumns())


def test_a_row_is_its_tensor_label_name_and_key(frame):
    ranks = rank_frame([source(frame)], "label", "id", 1)
    assert ranks.columns == [TENSOR, PROBLEM, LABEL, NAME, KEY]
    rows = ranks.orderBy(NAME).collect()
    expected = [(row.features, None, float(row.label), str(row.id)) for row in frame.orderBy("id").collect()]
    assert [row[:-1] for row in rows] == expected
    assert len({row[KEY] for row in rows}) == 4


def test_keys_follow_from_content_label_and_seed_alone(frame):
    def keys(rows, seed=1, label="label"):
        return [row[KEY] for row in rank_frame([source(rows)], label, None, seed).collect()]

    assert set(keys(frame.drop("id").orderBy(F.desc("label")))) == set(keys(frame))
    assert not set(keys(frame, seed=2)) & set(keys(frame))
    assert not set(keys(frame.withColumn("label", F.col("label") + 1))) & set(keys(frame))


def test_weights_offsets_and_rows_to_validate_on_travel_beside_and_their_problems_with_them(frame):
    frame = frame.withColumn("offset", F.when(F.col("id") != 3, F.col("id") * 2))
    columns = RowColumns("weight", "held_out", "offset")
    rows = rank_frame([source(frame, columns)], "label", "id", 1).orderBy(NAME).collect()
    assert [row[OFFSET] for row in rows] == [0.0, 2.0, 4.0, None]
    assert [row[WEIGHT] for row in rows] == [-1.0, 0.0, 1.0, 2.0]
    assert [row[HELD_OUT] for row in rows] == [False, False, True, False]
    assert [row[PROBLEM] for row in rows] == ["the weight is -1.0", None, None, "the offset is null"]


def check_labels(schema):
    check_label_type(schema, "label")


def test_a_frame_to_validate_on_follows_the_others_and_is_held_out(frame):
    training = source(frame, RowColumns("weight", False))
    assert row_sources(training, None, ["features"], "label", check_labels) == [training]
    sources = row_sources(training, frame.where("id > 1"), ["features"], "label", check_labels)
    assert sources[0] is training
    assert sources[1].columns == replace(training.columns, held_out=True)
    rows = rank_frame(sources, "label", "id", 1).collect()
    assert [(row[NAME], row[HELD_OUT]) for row in rows] == [
        *[(str(i), False) for i in range(4)],
        *[(str(i), True) for i in (2, 3)],
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop("features"), "no column 'features'"),
        (lambda frame: frame.drop("weight"), "no column 'weight'"),
        (lambda frame: frame.withColumn("label", F.array("label")), "labelCol='label' is array<int>"),
        (
            lambda frame: frame.withColumn("label", F.col("label").cast("string")),
            "string there and int in the others",
        ),
    ],
)
def test_a_frame_to_validate_on_with_other_columns_is_refused(frame, change, message):
    training = source(frame, RowColumns("weight", False))
    with pytest.raises(SchemaError, match=f"validationDataFrame doesn't fit the rows to train on: .*{message}"):
        row_sources(training, change(frame), ["features"], "label", check_labels)
