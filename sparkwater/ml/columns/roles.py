"""Roles of rows in a training: weights, and rows to validate on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field
from sparkwater.errors import SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column


@dataclass(frozen=True)
class RowColumns:
    """Columns of row weights and of rows to validate on.

    Attributes
    ----------
    weight : str or None
        The column of weights; None where all weigh 1.
    held_out : str, bool or None
        The column that is true for rows to validate on, or one value for all rows; None without such rows.
    """

    weight: str | None = None
    held_out: str | bool | None = None

    def check(self, schema: T.StructType) -> None:
        """Refuse columns of other types than numbers and booleans.

        Raises
        ------
        SchemaError
            With the type that it has.
        """
        for param, name, accepted in (
            ("weightCol", self.weight, T.NumericType),
            ("validationIndicatorCol", self.held_out, T.BooleanType),
        ):
            field = find_field(schema, name) if isinstance(name, str) else None
            if field is not None and not isinstance(field.dataType, accepted):
                kind = "numbers from 0 up" if accepted is T.NumericType else "booleans"
                raise SchemaError(f"{param}={name!r} is {field.dataType.simpleString()}; accepted: {kind}")

    def weight_value(self) -> Column:
        """Return the weight as a double; 1 where there is no column."""
        return F.lit(1.0) if self.weight is None else F.col(f"`{self.weight}`").cast("double")

    def held_out_value(self) -> Column:
        """Return whether a row is to validate on."""
        return F.col(f"`{self.held_out}`") if isinstance(self.held_out, str) else F.lit(self.held_out or False)

    def training_weight(self) -> Column:
        """Return the weight of a row to train on; null in all other rows."""
        return F.when(self.problem().isNull() & ~self.held_out_value(), self.weight_value())

    def problem(self) -> Column:
        """Return a column of the problems of rows with these columns; null for usable rows."""
        weight = self.weight_value()
        fine = (weight >= 0) & (weight < float("inf"))  # Spark's NaN is above everything
        reasons = [
            F.when(weight.isNull(), "the weight is null"),
            F.when(~fine, F.concat(F.lit("the weight is "), weight.cast("string"))),
            F.when(self.held_out_value().isNull(), "the validation indicator is null"),
        ]
        return reduce(lambda one, other: F.coalesce(one, other), reasons)
