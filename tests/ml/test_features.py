from __future__ import annotations

import numpy as np
import pytest
from digits import SPEC, png, tensor_frame
from PIL import Image
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import METADATA_KEY
from sparkwater.conversions.tensors.spec import PackedSpec, TensorSpec
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.ml.columns.features import checked_features, resolve_features, trained_features

TOKENS = TensorSpec("int64", (5,))
SCHEMA = T.StructType(
    [
        T.StructField("tensor", T.BinaryType(), metadata={METADATA_KEY: SPEC.to_json()}),
        T.StructField("tokens", T.BinaryType(), metadata={METADATA_KEY: TOKENS.to_json()}),
        T.StructField("assembled", VectorUDT(), metadata={"ml_attr": {"num_attrs": 4}}),
        T.StructField("vector", VectorUDT()),
        T.StructField("array", T.ArrayType(T.FloatType())),
        T.StructField("picture", T.BinaryType()),
        T.StructField("uri", T.StringType()),
        T.StructField("date", T.DateType()),
    ]
)


@pytest.mark.parametrize(
    ("name", "image_shape", "network_shape", "kind", "spec"),
    [
        ("tensor", None, None, "tensor", SPEC),
        ("tensor", [16, 16, 1], (28, 28, 1), "tensor", SPEC),
        ("assembled", None, None, "vector", TensorSpec("float32", (4,))),
        ("vector", [2, 3, 1], None, "vector", TensorSpec("float32", (1, 2, 3))),
        ("array", [2, 3, 1], (28, 28, 1), "vector", TensorSpec("float32", (1, 2, 3))),
        ("picture", None, (28, 30, 3), "image", TensorSpec("uint8", (3, 28, 30))),
        ("uri", [4, 5, 1], (28, 30, 3), "image", TensorSpec("uint8", (1, 4, 5))),
    ],
)
def test_a_column_is_known_by_its_type_and_the_shapes(name, image_shape, network_shape, kind, spec):
    column = resolve_features(SCHEMA, [name], image_shape, network_shape)
    assert (column.field.name, column.kind, column.spec, column.parts) == (name, kind, spec, ())


def test_several_columns_are_packed_in_their_order():
    column = resolve_features(SCHEMA, ["picture", "assembled", "tokens"], [4, 5, 1], None)
    parts = [TensorSpec("uint8", (1, 4, 5)), TensorSpec("float32", (4,)), TOKENS]
    assert (column.kind, column.spec) == ("packed", PackedSpec(parts))
    assert [part.kind for part in column.parts] == ["image", "vector", "tensor"]
    assert [part.spec for part in column.parts] == parts


@pytest.mark.parametrize(
    ("names", "image_shape", "error", "message"),
    [
        (["absent"], None, SchemaError, "no column 'absent'"),
        (["date"], None, SchemaError, "column 'date' is date; accepted as features"),
        (["vector"], None, ConfigurationError, "'vector' holds vector; set imageShape"),
        (["picture"], None, ConfigurationError, "'picture' holds pictures; set imageShape"),
        (["tensor"], [28, 28, 1], SchemaError, r"imageShape=\[28, 28, 1\].*is another shape"),
        (["tensor", "vector"], [28, 28, 1], ConfigurationError, "'vector' holds vector"),  # it isn't the picture
    ],
)
def test_columns_without_features_or_shape_are_refused(names, image_shape, error, message):
    with pytest.raises(error, match=message):
        resolve_features(SCHEMA, names, image_shape, None)


@pytest.mark.parametrize(
    ("name", "spec", "kind"),
    [
        ("tensor", SPEC, "tensor"),
        ("vector", TensorSpec("float32", (7,)), "vector"),
        ("uri", TensorSpec("uint8", (3, 8, 8)), "image"),
    ],
)
def test_a_trained_network_takes_columns_that_give_its_tensors(name, spec, kind):
    column = trained_features(SCHEMA, [name], spec)
    assert (column.field.name, column.kind, column.spec) == (name, kind, spec)


@pytest.mark.parametrize(
    ("names", "spec", "message"),
    [
        (["tokens"], SPEC, "holds tensors .*; this model was trained on"),
        (["vector"], SPEC, "gives float32 tensors; this model was trained on"),
        (["picture"], TensorSpec("float32", (1, 8, 8)), "gives uint8 tensors"),
        (["picture"], TensorSpec("uint8", (8,)), "gives uint8 tensors"),
        (["date"], SPEC, "accepted as features"),
        (["tensor", "tokens"], SPEC, "trained on 1 features columns; there are 2"),
        (["tensor"], PackedSpec([SPEC, TOKENS]), "trained on 2 features columns; there are 1"),
    ],
)
def test_a_trained_network_refuses_other_columns(names, spec, message):
    with pytest.raises(SchemaError, match=message):
        trained_features(SCHEMA, names, spec)


def checked(frame, column):
    rows = frame.select(checked_features(frame, column).alias("checked")).select("checked.*").collect()
    return [(None if row.tensor is None else bytes(row.tensor), row.problem) for row in rows]


def test_tensors_are_taken_as_they_are(spark):
    frame = tensor_frame(spark, 2)
    column = resolve_features(frame.schema, ["features"], None, None)
    assert checked(frame, column) == [(bytes(row.features), None) for row in frame.collect()]


def test_numbers_of_a_picture_are_channels_last_and_those_of_a_vector_in_order(spark):
    frame = spark.createDataFrame([(Vectors.dense(range(6)),)], ["vector"])
    picture = resolve_features(frame.schema, ["vector"], [1, 3, 2], None)
    assert checked(frame, picture) == [(np.array([0, 2, 4, 1, 3, 5], np.float32).tobytes(), None)]
    flat = trained_features(frame.schema, ["vector"], TensorSpec("float32", (6,)))
    assert checked(frame, flat) == [(np.arange(6, dtype=np.float32).tobytes(), None)]


def test_packed_columns_are_their_bytes_in_a_row_and_a_problem_names_its_column(spark):
    image = Image.new("L", (2, 2), 7)
    frame = spark.createDataFrame(
        [(bytearray(png(np.asarray(image))), [1.0, 2.0]), (bytearray(b"no picture"), [1.0, 2.0]), (None, [1.0])],
        "picture binary, numbers array<float>",
    )
    spec = PackedSpec([TensorSpec("uint8", (1, 2, 2)), TensorSpec("float32", (2,))])
    whole, broken, empty = checked(frame, trained_features(frame.schema, ["picture", "numbers"], spec))
    assert whole == (b"\x07" * 4 + np.array([1, 2], np.float32).tobytes(), None)
    assert broken[0] is empty[0] is None
    assert broken[1].startswith("picture: ")
    assert empty[1].startswith("picture: ")
    turned = PackedSpec(spec.parts[::-1])
    assert checked(frame, trained_features(frame.schema, ["numbers", "picture"], turned))[2][1].startswith("numbers: ")


def test_a_tensor_of_a_wrong_length_in_packed_columns_is_named(spark):
    frame = tensor_frame(spark, 1).select(F.col("features").alias("one"), F.substring("features", 1, 9).alias("other"))
    metadata = {METADATA_KEY: SPEC.to_json()}
    frame = frame.withMetadata("one", metadata).withMetadata("other", metadata)
    ((tensor, problem),) = checked(frame, resolve_features(frame.schema, ["one", "other"], None, None))
    assert tensor is None
    assert problem.startswith("other: the tensor has 9 bytes where")
