"""Samples of rows, the same however the rows are partitioned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.window import Window

from sparkwater.conversions.stages.plain_values import hash_columns
from sparkwater.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: The number of a row in its sample, from 1.
NUMBER = "__sparkwater_number"


def content_hash(frame: DataFrame, salt: int) -> Column:
    """Return a hash of a row's content; variants, whose equal values have many forms, are left out."""
    names = [field.name for field in frame.schema.fields if not isinstance(field.dataType, T.VariantType)]
    return hash_columns(frame.schema, names, salt)


def numbered_sample(frame: DataFrame, count: int, seed: int) -> DataFrame:
    """Return so many rows at most, numbered from 1 in the order of a hash of their content.

    The smallest hashes are taken, so only the sample meets in one task.

    Raises
    ------
    ConfigurationError
        If the number isn't positive.
    """
    if count < 1:
        raise ConfigurationError(f"{count} rows are not accepted; at least 1")
    first, second = "__sparkwater_first", "__sparkwater_second"
    hashed = frame.withColumns({first: content_hash(frame, seed), second: content_hash(frame, seed + 1)})
    smallest = hashed.orderBy(first, second).limit(count)
    numbers = F.row_number().over(Window.orderBy(first, second))
    return smallest.withColumn(NUMBER, numbers).drop(first, second)
