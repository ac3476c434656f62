"""Categories of string columns: their discovery, and `CategoryToTensor`, which encodes them as numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import CHECKED_TENSOR, checked_frame, find_field
from sparkwater.conversions.stages.executor_functions import executor_function
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.tensor_stages import ToTensor, input_field
from sparkwater.conversions.tensors.record_batches import category_numbers
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError, DataError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: More different strings than this are names, not categories.
MAX_CATEGORIES = 100_000


def find_categories(frame: DataFrame, name: str) -> list[str]:
    """Return the different strings of a column, sorted; one Spark job, and they come to the driver.

    Raises
    ------
    SchemaError
        If the column holds no strings.
    DataError
        If there are none, or more than `MAX_CATEGORIES`.
    """
    field = find_field(frame.schema, name)
    if not isinstance(field.dataType, T.StringType):
        raise SchemaError(f"column {name!r} is {field.dataType.simpleString()}; categories are strings")
    column = F.col(f"`{name}`").alias("category")
    found = frame.select(column).where(F.col("category").isNotNull()).distinct().limit(MAX_CATEGORIES + 1).collect()
    if not found or len(found) > MAX_CATEGORIES:
        raise DataError(f"column {name!r} has {len(found)} or more different strings; accepted: 1 to {MAX_CATEGORIES}")
    return sorted(row["category"] for row in found)


def check_categories(categories: Sequence[str]) -> tuple[str, ...]:
    """Return the categories, or refuse a list that is empty or names one twice."""
    if not categories or len(set(categories)) != len(categories):
        raise ConfigurationError(f"categories={list(categories)!r}; accepted: different strings, at least one")
    return tuple(categories)


class CategoryToTensor(ToTensor):
    """Turn strings into their positions in a list of categories: int64 scalars, for embeddings and labels."""

    categories: Setting[list[str] | None] = setting(
        None, "the strings; the first one becomes 0. find_categories lists those of a column"
    )

    def getCategories(self) -> list[str]:
        """Return the value of ``categories``.

        Raises
        ------
        ConfigurationError
            If it isn't set, is empty, or names a string twice.
        """
        given = self.getOrDefault(self.categories) if self.isDefined(self.categories) else None
        return list(check_categories(given or []))

    def _transform(self, dataset: DataFrame) -> DataFrame:
        field = input_field(self, dataset)
        if not isinstance(field.dataType, T.StringType):
            raise SchemaError(f"column {field.name!r} is {field.dataType.simpleString()}; categories are strings")
        number = executor_function(_number(tuple(self.getCategories())), CHECKED_TENSOR)
        return self._add_tensors(dataset, number(F.col(f"`{field.name}`")), TensorSpec("int64", ()))


def _number(categories: tuple[str, ...]) -> Callable[[pd.Series[Any]], pd.DataFrame]:
    def number(column: pd.Series[Any]) -> pd.DataFrame:
        rows = category_numbers(pa.array(column, pa.string(), from_pandas=True), categories)
        return checked_frame(rows)

    return number
