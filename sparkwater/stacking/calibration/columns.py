"""Calibrations as Spark expressions on arrays of probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparkwater.stacking.calibration.isotonic import Isotonic
from sparkwater.stacking.combiners.blocks import SMALLEST
from sparkwater.stacking.combiners.model import bound, softmax_column, total

if TYPE_CHECKING:
    from pyspark.sql import Column

    from sparkwater.stacking.combiners.losses import Combination


def calibrated(probabilities: Column, calibration: Combination) -> Column:
    """Return calibrated probabilities, an array column as it was given: of all classes."""
    if not isinstance(calibration, Isotonic):
        weight = calibration.weights[0]
        return softmax_column(F.transform(probabilities, lambda p: F.log(F.greatest(p, F.lit(SMALLEST))) * weight))
    if len(calibration.points) == 1:
        return bound(_through(probabilities[1], calibration.points[0]), lambda second: F.array(1.0 - second, second))
    raised = [_through(probabilities[place], points) for place, points in enumerate(calibration.points)]
    summed = bound(F.array(*raised), lambda row: F.struct(row.alias("values"), total(row).alias("total")))
    return bound(summed, lambda row: F.transform(row["values"], lambda value: value / row["total"]))


def _through(value: Column, points: Sequence[tuple[float, float]]) -> Column:
    """Return the line through some points: the first point's value, and what each piece adds."""
    values = [
        {"start": left, "width": right - left, "slope": (high - low) / (right - left)}
        for (left, low), (right, high) in pairwise(points)
    ]
    pieces = [F.struct(*(F.lit(value).alias(name) for name, value in piece.items())) for piece in values]
    if not pieces:
        return F.lit(points[0][1])

    def add(so_far: Column, piece: Column) -> Column:
        return so_far + piece["slope"] * F.greatest(F.lit(0.0), F.least(piece["width"], value - piece["start"]))

    return F.aggregate(F.array(*pieces), F.lit(points[0][1]), add)
