"""Encoding of a table's columns for a training: their choice, and the fit of the encoder on the rows to train on."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field, tensor_spec
from sparkwater.conversions.tables.encoding.categories import CategoryColumn
from sparkwater.conversions.tables.encoding.numbers import NumberColumn
from sparkwater.conversions.tables.encoding.time_column import TimeColumn
from sparkwater.conversions.tables.inputs import check_columns, form_of
from sparkwater.conversions.tables.stages import TableToTensor
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.ml.columns.features import FeatureColumn, encoded_features, resolve_features
from sparkwater.ml.columns.rank_frame import RowSource

logger = logging.getLogger(__name__)

#: Columns that Spark's searches and this package add to the rows that a learner gets.
_PASSING = re.compile(r"(CrossValidator|TrainValidationSplit)_\w+_rand$|__sparkwater_")

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType

    from sparkwater.conversions.tables.params import EncodingParams
    from sparkwater.conversions.tables.stages import TableToTensorModel
    from sparkwater.ml.columns.roles import RowColumns


def input_columns(schema: StructType, given: Sequence[str] | None, others: Iterable[str | None]) -> list[str]:
    """Return the columns to learn from.

    Parameters
    ----------
    schema : pyspark.sql.types.StructType
        Schema of the DataFrame.
    given : sequence of str or None
        The columns that the user named; without them all but ``others``.
    others : iterable of str or None
        Columns with another part in the training, and those that scoring adds.

    Raises
    ------
    SchemaError
        If one is missing or of a type that no table has, or none is left.
    ConfigurationError
        If one is named twice.
    """
    taken = {name for name in others if name}
    if given is None:
        left = [
            field.name
            for field in schema.fields
            if field.name not in taken and form_of(field) is not None and not _PASSING.match(field.name)
        ]
        if not left:
            raise SchemaError(f"no column is left to learn from; the columns are {', '.join(schema.names)}")
        return left
    check_columns(schema, given, (), ())
    return list(given)


def training_rows(frame: DataFrame, columns: RowColumns, usable: Column) -> DataFrame:
    """Return the rows that a training learns from: those that weigh something, aren't held out, and have a label.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        All rows.
    columns : RowColumns
        Their columns of weights and validation flags.
    usable : pyspark.sql.Column
        Whether the label is one to learn.
    """
    return frame.where((columns.training_weight() > 0) & usable)


def usable_labels(schema: StructType, name: str, least: float = -math.inf) -> Column:
    """Return whether a row's label is one to learn: no null and, where labels are numbers, finite and no less."""
    label, kind = F.col(f"`{name}`"), find_field(schema, name).dataType
    if not isinstance(kind, T.NumericType):
        return label.isNotNull()
    number = label.cast("double")
    return label.isNotNull() & ~F.isnan(number) & (F.abs(number) < math.inf) & (number >= least)


def number_features(schema: StructType, name: str) -> FeatureColumn:
    """Return a column of numbers as features.

    Raises
    ------
    SchemaError
        If it holds something else, or vectors of no known size.
    """
    field = find_field(schema, name)
    sized = isinstance(field.dataType, VectorUDT) and field.metadata.get("ml_attr", {}).get("num_attrs")
    if tensor_spec(field) is None and not sized:
        raise SchemaError(
            f"featuresCol={name!r} is {field.dataType.simpleString()}; accepted: a tensor column, or ML vectors whose "
            "size the column tells, as VectorAssembler makes them. inputCols takes vectors of any size"
        )
    return resolve_features(schema, [name], None, None)


def refuse_encoding(params: EncodingParams, beside: str) -> None:
    """Refuse Params of the encoding of columns where none are encoded.

    Parameters
    ----------
    params : EncodingParams
        The learner.
    beside : str
        What they are set beside, for the message.

    Raises
    ------
    ConfigurationError
        If one is set.
    """
    for name, value in params.set_encoding().items():
        raise ConfigurationError(f"{name}={value!r} is set beside {beside}; it is for inputCols, so clear it")


def encode_sources(
    sources: Sequence[RowSource], usable: Column, params: Mapping[str, Any]
) -> tuple[FeatureColumn, list[RowSource]]:
    """Fit an encoder of raw columns on the rows to train on, and give it to all rows; one or two Spark jobs.

    Parameters
    ----------
    sources : sequence of RowSource
        The rows to train on first, those to validate on in the same DataFrame included.
    usable : pyspark.sql.Column
        Whether a row's label is one to learn.
    params : mapping of str to Any
        Values of `sparkwater.conversions.tables.params.EncodingParams`.

    Returns
    -------
    FeatureColumn
        The columns with their encoder.
    list of RowSource
        The rows with these features.
    """
    training = sources[0]
    names = [field.name for field in training.features.inputs]
    rows = training_rows(training.frame, training.columns, usable)
    # Without the other columns, of which one may have the name of the stage's output.
    inputs = rows.select(*(F.col(f"`{name}`") for name in names))
    encoder = TableToTensor(inputCols=names, outputCol="__sparkwater_encoded", **params).fit(inputs)
    numbers, ids = encoder.layout.numbers, len(encoder.layout.categories)
    logger.info("%d columns give %d numbers and %d ids of categories", len(names), numbers, ids)
    features = encoded_features(training.frame.schema, encoder)
    return features, [replace(source, features=features) for source in sources]


def columns_of(encoder: TableToTensorModel) -> list[str]:
    """Return the columns that an encoder reads: those that it was fitted on, without those that it left out."""
    return [column.name for column in encoder.encoder.columns]


def is_of_columns(encoder: TableToTensorModel, names: Sequence[str]) -> bool:
    """Return whether columns are those that an encoder reads, or those that it was fitted on."""
    return list(names) in (columns_of(encoder), [column.name for column in encoder.report.columns])


def flag_places(encoder: TableToTensorModel) -> tuple[int, ...]:
    """Return the positions of entries that are 0 or 1: flags of categories, and indicators of missing values."""
    table = encoder.encoder
    found: list[int] = []
    for column in table.columns:
        start, stop = table.bounds[column.name]
        if isinstance(column, CategoryColumn) and not column.ids:
            found += range(start, stop)
        elif isinstance(column, (NumberColumn, TimeColumn)) and column.indicator:
            found.append(stop - 1)  # the last of the column's entries
    return tuple(sorted(found))
