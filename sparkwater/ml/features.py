"""What a features column holds, and how it becomes tensors for a network of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.columns import (
    checked_tensors,
    find_field,
    tensor_spec,
)
from sparkwater.conversions.image_columns import checked_images, image_spec, is_image_field
from sparkwater.conversions.spark_types import dtype_of
from sparkwater.conversions.spec import TensorSpec
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class FeatureColumn:
    """A features column.

    Attributes
    ----------
    field : pyspark.sql.types.StructField
        The column.
    kind : {"tensor", "vector", "image"}
        Tensors as they are; vectors and arrays of numbers; pictures to decode.
    spec : TensorSpec
        The tensor of one row, channels first.
    """

    field: T.StructField
    kind: str
    spec: TensorSpec


def resolve_features(
    schema: T.StructType, name: str, image_shape: Sequence[int] | None, network_shape: Sequence[int] | None
) -> FeatureColumn:
    """Return what a features column holds.

    Parameters
    ----------
    schema : pyspark.sql.types.StructType
        Of the DataFrame.
    name : str
        The features column.
    image_shape : sequence of int or None
        Height, width and channels as the user gave them; needed for vectors.
    network_shape : sequence of int or None
        Height, width and channels that the network was made for, where that is known; what pictures are
        resized to where the user gave nothing.

    Raises
    ------
    SchemaError
        If there is no such column, or it holds something else.
    ConfigurationError
        If vectors come without an ``imageShape``, or pictures for a network that has no shape of its own.
    """
    field = find_field(schema, name)
    spec = tensor_spec(field)
    if spec is not None:
        _check_tensor(name, spec, image_shape)
        return FeatureColumn(field, "tensor", spec)
    if dtype_of(field.dataType) is not None:
        if image_shape is None:
            raise ConfigurationError(
                f"featuresCol={name!r} holds {field.dataType.simpleString()}; set imageShape=[height, width, channels] "
                "to say how its values make a picture (row by row, channels last)"
            )
        height, width, channels = image_shape
        return FeatureColumn(field, "vector", TensorSpec("float32", (channels, height, width)))
    if is_image_field(field):
        if image_shape is None and network_shape is None:
            raise ConfigurationError(
                f"featuresCol={name!r} holds pictures; set imageShape=[height, width, channels] to say what your "
                "network takes"
            )
        return FeatureColumn(field, "image", image_spec(*(image_shape or network_shape or ())))
    raise SchemaError(
        f"featuresCol={name!r} is {field.dataType.simpleString()}; accepted: a tensor column, pictures (URI, encoded "
        "bytes or image struct), or vectors and arrays of numbers with imageShape"
    )


def trained_features(schema: T.StructType, name: str, spec: TensorSpec) -> FeatureColumn:
    """Return what a features column holds for a network that was trained on tensors of a spec.

    Raises
    ------
    SchemaError
        If there is no such column, or it gives other tensors.
    """
    channels, height, width = spec.shape
    features = resolve_features(schema, name, [height, width, channels], None)
    if features.spec != spec:
        raise SchemaError(f"featuresCol={name!r} gives tensors {features.spec}; this model was trained on {spec}")
    return features


def checked_features(frame: DataFrame, column: FeatureColumn) -> Column:
    """Return the column as `CHECKED_TENSOR`: the tensor of each row, or why it has none."""
    if column.kind == "image":
        return checked_images(column.field, column.spec)
    if column.kind == "vector":
        return checked_tensors(frame, column.field.name, column.spec, channels_last=True)
    no_problem = F.lit(None).cast("string").alias("problem")
    return F.struct(F.col(f"`{column.field.name}`").alias("tensor"), no_problem)


def _check_tensor(name: str, spec: TensorSpec, image_shape: Sequence[int] | None) -> None:
    if len(spec.shape) != 3 or spec.shape[0] not in (1, 3):
        raise SchemaError(f"featuresCol={name!r} holds tensors {spec}; pictures are [channels, height, width]")
    if image_shape is not None and spec.shape != image_spec(*image_shape).shape:
        raise SchemaError(
            f"featuresCol={name!r} holds tensors {spec} (channels, height, width); imageShape={list(image_shape)} "
            "(height, width, channels) is another shape"
        )
