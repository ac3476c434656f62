"""Roles of rows in a training: weights, offsets, and rows to validate on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field
from sparkwater.errors import SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: Digits of a hash by which a share is chosen: as many as a double holds.
_BITS = 53


@dataclass(frozen=True)
class Share:
    """A share of the rows by a hash of their content: the same rows on any partitioning, and equal rows together.

    Attributes
    ----------
    columns : tuple of str
        The columns that are hashed.
    fraction : float
        In (0, 1).
    seed : int
        Another one gives other rows.
    """

    columns: tuple[str, ...]
    fraction: float
    seed: int

    def chosen(self) -> Column:
        """Return whether a row is one of them."""
        content = [F.col(f"`{name}`") for name in self.columns]
        # A hash of its own: those of folds and of workers leave only some values to their rows.
        number = F.xxhash64(F.lit("validationFraction"), F.lit(self.seed), *content)
        return F.shiftrightunsigned(number, 64 - _BITS) < F.lit(round(self.fraction * 2**_BITS))


@dataclass(frozen=True)
class RowColumns:
    """Columns of row weights, of offsets, and of rows to validate on.

    Attributes
    ----------
    weight : str or None
        The column of weights; None where all weigh 1.
    held_out : str, Share, bool or None
        The column that is true for rows to validate on, a share of the rows, or one value for all rows; None without
        such rows.
    offset : str or None
        The column of offsets, on the scale of the link; None where all are 0.
    """

    weight: str | None = None
    held_out: str | Share | bool | None = None
    offset: str | None = None

    def check(self, schema: T.StructType) -> None:
        """Refuse columns of other types than numbers and booleans.

        Raises
        ------
        SchemaError
            With the type that it has.
        """
        for param, name, accepted, kind in (
            ("weightCol", self.weight, T.NumericType, "numbers from 0 up"),
            ("offsetCol", self.offset, T.NumericType, "numbers"),
            ("validationIndicatorCol", self.held_out, T.BooleanType, "booleans"),
        ):
            field = find_field(schema, name) if isinstance(name, str) else None
            if field is not None and not isinstance(field.dataType, accepted):
                raise SchemaError(f"{param}={name!r} is {field.dataType.simpleString()}; accepted: {kind}")

    def weight_value(self) -> Column:
        """Return the weight as a double; 1 where there is no column."""
        return F.lit(1.0) if self.weight is None else F.col(f"`{self.weight}`").cast("double")

    def offset_value(self) -> Column:
        """Return the offset as a double; 0 where there is no column."""
        if self.offset is None:
            return F.lit(0.0)
        return F.col(f"`{self.offset}`").cast("double") + 0.0  # -0.0 becomes the 0.0 that it equals

    def held_out_value(self) -> Column:
        """Return whether a row is to validate on."""
        if isinstance(self.held_out, Share):
            return self.held_out.chosen()
        return F.col(f"`{self.held_out}`") if isinstance(self.held_out, str) else F.lit(self.held_out or False)

    def training_weight(self) -> Column:
        """Return the weight of a row to train on; null in all other rows."""
        return F.when(self.problem().isNull() & ~self.held_out_value(), self.weight_value())

    def problem(self) -> Column:
        """Return a column of the problems of rows with these columns; null for usable rows."""
        weight, offset = self.weight_value(), self.offset_value()
        # Spark's NaN is above everything.
        fine = (weight >= 0) & (weight < float("inf"))
        reasons = [
            F.when(weight.isNull(), "the weight is null"),
            F.when(~fine, F.concat(F.lit("the weight is "), weight.cast("string"))),
            F.when(offset.isNull(), "the offset is null"),
            F.when(F.abs(offset) >= float("inf"), F.concat(F.lit("the offset is "), offset.cast("string"))),
            F.when(self.held_out_value().isNull(), "the validation indicator is null"),
        ]
        return reduce(lambda one, other: F.coalesce(one, other), reasons)


def less_offsets(rows: DataFrame, logarithmic: bool) -> DataFrame:
    """Return rows whose labels have the mean that, beside the offsets, is the best constant.

    With the identity as link labels are less by their offsets. With a logarithm the mean is
    ``sum(w * y) / sum(w * exp(o))``: that of the labels ``y * exp(-o)`` by the weights ``w * exp(o)``.

    Parameters
    ----------
    rows : pyspark.sql.DataFrame
        Columns ``label``, ``weight`` and ``offset``; the first two are changed.
    logarithmic : bool
        Whether the link is the logarithm.
    """
    label, offset = F.col("label"), F.col("offset")
    if not logarithmic:
        return rows.withColumn("label", label - offset)
    return rows.withColumns({"label": label * F.exp(-offset), "weight": F.col("weight") * F.exp(offset)})
