"""Features to explain: columns, and entries of vector columns, exchanged between two rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F

from sparkwater.conversions.stages.columns import find_field
from sparkwater.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructField

#: Columns that are added for the time of an explanation.
OTHER, TAKEN = "__sparkwater_other", "__sparkwater_taken"


@dataclass(frozen=True)
class FeatureColumn:
    """A column with the features in it: one, or for a vector one an entry.

    Attributes
    ----------
    column : str
        Its name.
    names : tuple of str
        Names of its features.
    start : int
        Position of the first among the features of all columns.
    vector : bool
        True where each entry is a feature.
    """

    column: str
    names: tuple[str, ...]
    start: int
    vector: bool

    def mixed(self, field: StructField) -> Column:
        """Return the column with those of its features from the other row that are taken from there."""
        own, other = F.col(f"`{self.column}`"), F.col(OTHER)[self.column]
        if not self.vector:
            chosen = F.when(F.get(TAKEN, F.lit(self.start)), other).otherwise(own)
        else:
            entries = vector_to_array(other)
            chosen = array_to_vector(
                F.transform(
                    vector_to_array(own),
                    lambda value, index: F.when(F.get(TAKEN, index + self.start), F.get(entries, index)).otherwise(
                        value
                    ),
                )
            )
        return chosen.alias(self.column, metadata=field.metadata)


@dataclass(frozen=True)
class Features:
    """The features of some columns, in order."""

    columns: tuple[FeatureColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all features; an entry of a vector is named by its attribute, or ``column[position]``."""
        return tuple(name for column in self.columns for name in column.names)

    def mix(self, frame: DataFrame) -> DataFrame:
        """Return the rows with the features that `TAKEN` marks from the row in `OTHER`.

        `TAKEN` is an array of booleans, one a feature; both columns are gone afterwards.
        """
        mixed = {column.column: column.mixed(frame.schema[column.column]) for column in self.columns}
        kept = [name for name in frame.columns if name not in (OTHER, TAKEN)]
        return frame.select(*(mixed.get(name, F.col(f"`{name}`")) for name in kept))


def find_features(model: Any, frame: DataFrame, names: Sequence[str] | None) -> Features:
    """Return the features in columns of a frame; the length of a vector without metadata is that of its first row.

    Parameters
    ----------
    model : pyspark.ml.Transformer
        Its ``inputCols`` or ``featuresCol`` are taken where no names are given.
    frame : pyspark.sql.DataFrame
        The rows.
    names : sequence of str, optional
        Columns.

    Raises
    ------
    ConfigurationError
        If the model doesn't say what it reads, a column is named twice, or two features have the same name.
    SchemaError
        If there is no such column.
    """
    names = list(names) if names is not None else _inputs(model)
    if not names or len(set(names)) < len(names):
        raise ConfigurationError(f"inputCols={names!r} are not accepted; give each column once, one at least")
    columns: list[FeatureColumn] = []
    start = 0
    for name in names:
        field = find_field(frame.schema, name)
        vector = isinstance(field.dataType, VectorUDT)
        column = FeatureColumn(name, _entries(frame, field) if vector else (name,), start, vector)
        start += len(column.names)
        columns.append(column)
    features = Features(tuple(columns))
    alike = [name for name, times in Counter(features.names).items() if times > 1]
    if alike:
        raise ConfigurationError(
            f"several features are named {', '.join(map(repr, alike))}, columns and entries of vectors together; name "
            "other inputCols, or rename the column or the vector's attribute"
        )
    return features


def _inputs(model: Any) -> list[str]:
    for param in ("inputCols", "featuresCol"):
        if model.hasParam(param) and model.isDefined(param) and model.getOrDefault(param):
            value = model.getOrDefault(param)
            return [value] if isinstance(value, str) else list(value)
    raise ConfigurationError(
        f"{type(model).__name__} doesn't say what it reads; name the columns to explain: inputCols=['age', ...]"
    )


def _entries(frame: DataFrame, field: StructField) -> tuple[str, ...]:
    """Return the names of a vector's entries."""
    attributes = field.metadata.get("ml_attr", {})
    described = {each["idx"]: each.get("name") for kind in attributes.get("attrs", {}).values() for each in kind}
    count = attributes.get("num_attrs") or len(described)
    if not count:
        column = F.col(f"`{field.name}`")
        first = frame.where(column.isNotNull()).select(F.size(vector_to_array(column))).first()
        if first is None:
            raise DataError(f"column {field.name!r} holds no vector; there is nothing to explain")
        count = first[0]
    return tuple(described.get(index) or f"{field.name}[{index}]" for index in range(count))
