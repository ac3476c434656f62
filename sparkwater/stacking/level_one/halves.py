"""Halves of two folds: a choice between combiners needs other rows than their fits and their estimate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparkwater.conversions.stages.plain_values import hash_columns
from sparkwater.stacking.folds import time_value
from sparkwater.stacking.level_one.prepared import FOLD

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.stacking.level_one.prepared import Prepared

#: The column with a row's half of its fold, 0 or 1.
HALF = "__sparkwater_half"

#: Ways to halve by hash, of which the most even one is taken: few groups can share a half by chance.
_WAYS = 8


def halve(prepared: Prepared) -> DataFrame | None:
    """Return the rows with the half of their fold, or None if a fold can't be halved; one Spark job.

    Rows that share a fold on purpose share a half: groups, rows of one time, and equal rows. Of spans of time the
    first half is the earlier one.
    """
    fold = F.col(f"`{prepared.foldCol}`").alias(FOLD)
    halves = _by_time(prepared, fold) if prepared.timeCol else _by_hash(prepared, fold)
    return None if halves is None else prepared.frame.withColumn(HALF, halves)


def _by_time(prepared: Prepared, fold: Column) -> Column | None:
    time = time_value(prepared.frame.schema, str(prepared.timeCol))
    found = (
        prepared.frame.groupBy(fold)
        .agg(
            F.percentile_approx(time, 0.5, 100_000).alias("middle"), F.min(time).alias("low"), F.max(time).alias("high")
        )
        .collect()
    )
    if any(row["low"] == row["high"] for row in found):
        return None
    # Where the last time is the most frequent one, all before it are the first half.
    later = [
        (fold.eqNullSafe(F.lit(row[FOLD])))
        & (time > row["middle"] if row["middle"] < row["high"] else time >= row["high"])
        for row in found
    ]
    return _any(later).cast("int")


def _any(conditions: list[Column]) -> Column:
    found = conditions[0]
    for one in conditions[1:]:
        found = found | one
    return F.coalesce(found, F.lit(False))


def _by_hash(prepared: Prepared, fold: Column) -> Column | None:
    names = [prepared.unitCol] if prepared.unitCol else list(prepared.columns)
    ways = [F.pmod(hash_columns(prepared.frame.schema, names, way), F.lit(2)).cast("int") for way in range(_WAYS)]
    counts = [F.sum(half).alias(f"way{number}") for number, half in enumerate(ways)]
    found = prepared.frame.groupBy(fold).agg(F.count(F.lit(1)).alias("rows"), *counts).collect()

    def smallest(way: int) -> float:
        return min(min(row[f"way{way}"], row["rows"] - row[f"way{way}"]) / row["rows"] for row in found)

    best = max(range(_WAYS), key=smallest)
    return ways[best] if smallest(best) > 0 else None
