"""Features columns: their kinds, and conversion to the tensors of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.images.columns import checked_images, image_spec, is_image_field
from sparkwater.conversions.stages.columns import (
    checked_tensors,
    find_field,
    tensor_spec,
)
from sparkwater.conversions.stages.invalid import row_name
from sparkwater.conversions.stages.spark_types import dtype_of
from sparkwater.conversions.tables.inputs import form_of
from sparkwater.conversions.tensors.spec import PackedSpec, TensorSpec, parts_of
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.conversions.tables.stages import TableToTensorModel


@dataclass(frozen=True)
class FeatureColumn:
    """A features column, or several whose tensors travel as one.

    Attributes
    ----------
    field : pyspark.sql.types.StructField
        The column; the first of several.
    kind : {"tensor", "vector", "image", "packed", "table"}
        Tensors as they are; vectors and arrays of numbers; pictures to decode; several columns; a table's columns,
        which an encoder makes one tensor of.
    spec : TensorSpec
        The tensor of one row; pictures are channels first.
    parts : tuple of FeatureColumn
        The columns, where there are several.
    inputs : tuple of pyspark.sql.types.StructField
        The columns of a table.
    encoder : TableToTensorModel or None
        The encoder of a table's columns; None before it is fitted.
    """

    field: T.StructField
    kind: str
    spec: TensorSpec
    parts: tuple[FeatureColumn, ...] = ()
    inputs: tuple[T.StructField, ...] = ()
    encoder: TableToTensorModel | None = None


def resolve_features(
    schema: T.StructType, names: Sequence[str], image_shape: Sequence[int] | None, network_shape: Sequence[int] | None
) -> FeatureColumn:
    """Return the features columns with their specs, for a network to be trained on them.

    Parameters
    ----------
    schema : pyspark.sql.types.StructType
        Schema of the DataFrame.
    names : sequence of str
        The features columns: one, or several in the order of the network's inputs.
    image_shape : sequence of int or None
        Height, width and channels of pictures as the user gave them. A single column of vectors holds pictures
        where it is given.
    network_shape : sequence of int or None
        Height, width and channels that the network was made for, where that is known: the size of
        pictures where the user gave none.

    Raises
    ------
    SchemaError
        If there is no such column, or it holds something else.
    ConfigurationError
        If the shape of vectors or pictures isn't known.
    """
    if len(names) == 1:
        column = _resolve(schema, names[0], image_shape, image_shape or network_shape)
        _check_shape(names[0], column, image_shape)
        return column
    return _packed([_resolve(schema, name, None, image_shape or network_shape) for name in names])


def trained_features(schema: T.StructType, names: Sequence[str], spec: TensorSpec) -> FeatureColumn:
    """Return the features columns with their specs, for a network that was trained on rows of a spec.

    Raises
    ------
    SchemaError
        If there is no such column, or it can't give such tensors.
    """
    parts = parts_of(spec)
    if len(names) != len(parts):
        raise SchemaError(f"this model was trained on {len(parts)} features columns; there are {len(names)}: {names}")
    columns = [_trained(schema, name, part) for name, part in zip(names, parts, strict=True)]
    return _packed(columns) if isinstance(spec, PackedSpec) else columns[0]


def table_features(schema: T.StructType, names: Sequence[str]) -> FeatureColumn:
    """Return a table's columns as features, before an encoder is fitted: rows of no known size.

    Raises
    ------
    SchemaError
        If there is no such column.
    """
    fields = tuple(find_field(schema, name) for name in names)
    return FeatureColumn(fields[0], "table", TensorSpec("float32", (1,)), inputs=fields)


def encoded_features(schema: T.StructType, encoder: TableToTensorModel) -> FeatureColumn:
    """Return the columns of a table that an encoder was fitted on as features.

    Raises
    ------
    SchemaError
        If a column is missing; `checked_features` refuses other types.
    """
    fields = tuple(find_field(schema, column.name) for column in encoder.encoder.columns)
    return FeatureColumn(fields[0], "table", encoder.spec, inputs=fields, encoder=encoder)


def features_like(column: FeatureColumn, schema: T.StructType, names: Sequence[str]) -> FeatureColumn:
    """Return the features columns of other rows, which must give the same tensors.

    Raises
    ------
    SchemaError
        If a column is missing, or can't give such tensors.
    """
    if column.encoder is not None:
        return encoded_features(schema, column.encoder)
    if column.kind != "table":
        return trained_features(schema, names, column.spec)
    other = table_features(schema, [field.name for field in column.inputs])
    for given, needed in zip(other.inputs, column.inputs, strict=True):
        if form_of(given) != form_of(needed):
            raise SchemaError(
                f"column {given.name!r} is {given.dataType.simpleString()} there and "
                f"{needed.dataType.simpleString()} in the others"
            )
    return other


def feature_names(frame: DataFrame, column: FeatureColumn, identity: str | None) -> Column:
    """Return the names of rows in errors and reports; see `sparkwater.conversions.stages.invalid.row_name`."""
    if column.kind != "table" or identity is not None:
        return row_name(frame, column.field.name, identity)
    content = F.xxhash64(*(F.col(f"`{field.name}`") for field in column.inputs))
    return F.concat(F.lit("with content hash "), F.hex(content))


def checked_features(frame: DataFrame, column: FeatureColumn) -> Column:
    """Return the column as `CHECKED_TENSOR`: the tensor of each row, or why it has none."""
    if column.encoder is not None:
        return column.encoder.checked(frame)
    if column.kind == "packed":
        return _checked_parts(frame, column.parts)
    if column.kind == "image":
        return checked_images(column.field, column.spec)
    if column.kind == "vector":
        is_picture = len(column.spec.shape) == 3
        return checked_tensors(frame, column.field.name, column.spec, channels_last=is_picture)
    no_problem = F.lit(None).cast("string").alias("problem")
    return F.struct(F.col(f"`{column.field.name}`").alias("tensor"), no_problem)


def _checked_parts(frame: DataFrame, parts: Sequence[FeatureColumn]) -> Column:
    checked = F.array(*(checked_features(frame, part) for part in parts))

    def pack(rows: Column) -> Column:
        problem = F.coalesce(*(_problem(rows[place], part) for place, part in enumerate(parts)))
        tensors = F.concat(*(rows[place]["tensor"] for place in range(len(parts))))
        return F.struct(F.when(problem.isNull(), tensors).alias("tensor"), problem.alias("problem"))

    # A function of it, because Spark would run a conversion once for each time that its result is written out.
    return F.transform(F.array(checked), pack)[0]


def _problem(checked: Column, part: FeatureColumn) -> Column:
    """Return why a part has no tensor, with the column's name; null where it has one."""
    length, size = F.octet_length(checked["tensor"]), part.spec.nbytes
    problem = F.coalesce(
        checked["problem"],
        F.when(checked["tensor"].isNull(), "the tensor is null"),
        # Two wrong lengths may make a right one together.
        F.when(
            length != size, F.concat(F.lit("the tensor has "), length, F.lit(f" bytes where {part.spec} has {size}"))
        ),
    )
    return F.concat(F.lit(f"{part.field.name}: "), problem)


def _packed(columns: Sequence[FeatureColumn]) -> FeatureColumn:
    return FeatureColumn(columns[0].field, "packed", PackedSpec([column.spec for column in columns]), tuple(columns))


def _resolve(
    schema: T.StructType, name: str, vector_shape: Sequence[int] | None, picture_shape: Sequence[int] | None
) -> FeatureColumn:
    field = find_field(schema, name)
    spec = tensor_spec(field)
    if spec is not None:
        return FeatureColumn(field, "tensor", spec)
    if dtype_of(field.dataType) is not None:
        return FeatureColumn(field, "vector", _vector_spec(field, vector_shape))
    if is_image_field(field):
        if picture_shape is None:
            raise ConfigurationError(
                f"column {name!r} holds pictures; set imageShape=[height, width, channels] to say what your network "
                "takes"
            )
        return FeatureColumn(field, "image", image_spec(*picture_shape))
    raise _no_features(field)


def _vector_spec(field: T.StructField, image_shape: Sequence[int] | None) -> TensorSpec:
    if image_shape is not None:
        height, width, channels = image_shape
        return TensorSpec("float32", (channels, height, width))
    size = field.metadata.get("ml_attr", {}).get("num_attrs")  # as VectorAssembler writes it
    if isinstance(field.dataType, VectorUDT) and size:
        return TensorSpec("float32", (size,))
    raise ConfigurationError(
        f"column {field.name!r} holds {field.dataType.simpleString()}; set imageShape=[height, width, channels] to say "
        "how its values make a picture (row by row, channels last), or make a tensor column with VectorToTensor or "
        "TensorAssembler"
    )


def _trained(schema: T.StructType, name: str, spec: TensorSpec) -> FeatureColumn:
    field = find_field(schema, name)
    given = tensor_spec(field)
    if given is not None:
        if given != spec:
            raise SchemaError(f"column {name!r} holds tensors {given}; this model was trained on {spec}")
        return FeatureColumn(field, "tensor", spec)
    if dtype_of(field.dataType) is not None:
        kind, needed = "vector", "float32"
    elif is_image_field(field):
        kind, needed = "image", "uint8"
    else:
        raise _no_features(field)
    if spec.dtype != needed or (kind == "image" and len(spec.shape) != 3):
        raise SchemaError(
            f"column {name!r} is {field.dataType.simpleString()}, which gives {needed} tensors; this model was trained "
            f"on {spec}"
        )
    return FeatureColumn(field, kind, spec)


def _no_features(field: T.StructField) -> SchemaError:
    return SchemaError(
        f"column {field.name!r} is {field.dataType.simpleString()}; accepted as features: a tensor column, pictures "
        "(URI, encoded bytes or image struct), or vectors and arrays of numbers"
    )


def _check_shape(name: str, column: FeatureColumn, image_shape: Sequence[int] | None) -> None:
    if image_shape is not None and column.spec.shape != image_spec(*image_shape).shape:
        raise SchemaError(
            f"featuresCol={name!r} holds tensors {column.spec} (channels, height, width); imageShape="
            f"{list(image_shape)} (height, width, channels) is another shape"
        )
