"""The DataFrame that the ranks read: rows to train on and rows to validate on, from one or two sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType, StructType

from sparkwater.conversions.images.columns import check_schemes
from sparkwater.conversions.stages.columns import find_field
from sparkwater.errors import SchemaError
from sparkwater.gpu.rows.reading import HELD_OUT, KEY, LABEL, NAME, OFFSET, PROBLEM, TENSOR, WEIGHT
from sparkwater.ml.columns.features import FeatureColumn, checked_features, feature_names, features_like
from sparkwater.ml.columns.labels import label_values
from sparkwater.ml.columns.roles import RowColumns


@dataclass(frozen=True)
class RowSource:
    """A DataFrame whose rows take part in a fit.

    Attributes
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    features : FeatureColumn
        Its features columns.
    columns : RowColumns
        Its columns of weights, offsets and validation flags.
    """

    frame: DataFrame
    features: FeatureColumn
    columns: RowColumns

    def check_names(self, identity: str | None) -> None:
        """Refuse an id column that isn't there."""
        if identity is not None:
            find_field(self.frame.schema, identity)

    def check_schemes(self) -> None:
        """Refuse URIs that nothing reads; a job looks at some rows where there are URIs."""
        for column in self.features.parts or (self.features,):
            if column.kind == "image" and isinstance(column.field.dataType, StringType):
                check_schemes(self.frame, column.field.name)


def row_sources(
    training: RowSource,
    validation: DataFrame | None,
    names: Sequence[str],
    label: str | None,
    check_labels: Callable[[StructType], None],
) -> list[RowSource]:
    """Return the rows to train on and, where there are some, those to validate on. No job runs.

    Parameters
    ----------
    training : RowSource
        The rows to train on.
    validation : pyspark.sql.DataFrame or None
        The rows to validate on.
    names : sequence of str
        The features columns.
    label : str or None
        The label column; None for rows without labels.
    check_labels : callable
        Raises for a label column of another type.

    Raises
    ------
    SchemaError
        If the rows to validate on lack a column, or it holds something else than in the others.
    """
    if validation is None:
        return [training]
    columns = replace(training.columns, held_out=True)
    try:
        features = features_like(training.features, validation.schema, names)
        check_labels(validation.schema)
        columns.check(validation.schema)
        if label is not None:
            _check_label_kind(training.frame, validation, label)
    except SchemaError as error:
        raise SchemaError(f"validationDataFrame doesn't fit the rows to train on: {error}") from error
    return [training, RowSource(validation, features, columns)]


def _check_label_kind(training: DataFrame, validation: DataFrame, label: str) -> None:
    kinds = [frame.schema[label].dataType for frame in (training, validation)]
    if len({(isinstance(kind, ArrayType), "string" in kind.simpleString()) for kind in kinds}) > 1:
        given, needed = (kind.simpleString() for kind in reversed(kinds))
        raise SchemaError(f"labelCol={label!r} is {given} there and {needed} in the others")


def rank_frame(sources: Sequence[RowSource], label: str | None, identity: str | None, seed: int) -> DataFrame:
    """Return the ranks' columns: tensors, labels, names, a hash of each row's content, weights, offsets and roles.

    Parameters
    ----------
    sources : sequence of RowSource
        Sources of the rows.
    label : str or None
        The label column; None for rows without labels, which get nulls.
    identity : str or None
        The column that names a row.
    seed : int
        Seed of the hashes.
    """
    return reduce(DataFrame.unionAll, (_rank_rows(source, label, identity, seed) for source in sources))


def _rank_rows(source: RowSource, label: str | None, identity: str | None, seed: int) -> DataFrame:
    frame, columns = source.frame, source.columns
    parts = {}
    if columns.weight is not None:
        parts[WEIGHT] = columns.weight_value()
    if columns.offset is not None:
        parts[OFFSET] = columns.offset_value()
    if columns.held_out is not None:
        parts[HELD_OUT] = columns.held_out_value()
    rows = frame.select(
        checked_features(frame, source.features).alias("checked"),
        (F.lit(None).cast("double") if label is None else label_values(frame, label)).alias(LABEL),
        feature_names(frame, source.features, identity).alias(NAME),
        columns.problem().alias("unfit"),
        *(value.alias(name) for name, value in parts.items()),
    )
    return rows.select(
        F.col("checked.tensor").alias(TENSOR),
        F.coalesce("checked.problem", "unfit").alias(PROBLEM),
        LABEL,
        NAME,
        F.xxhash64("checked.tensor", LABEL, F.lit(seed)).alias(KEY),
        *parts,
    )
