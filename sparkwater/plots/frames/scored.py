"""Plots of scored rows: the reliability of their probabilities.

Driver side. Spark counts; a row a bin comes to the driver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparkwater.plots.drawing.scores import Bin, reliability_diagram
from sparkwater.plots.frames.rows import class_place, probabilities

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.plots.drawing.plot import Plot

#: Bins of equal width.
BINS = 10


def plot_reliability(
    scored: DataFrame,
    *,
    labelCol: str = "label",
    probabilityCol: str = "probability",
    classes: Sequence[Any] | None = None,
) -> Plot:
    """Return observed rates over predicted probabilities, in ten bins; one Spark job.

    Of two classes it is the probability of the second, and the rate is that class's share. Of more it is that of the
    predicted class, and the rate is the share of right predictions (Guo, Pleiss, Sun and Weinberger, On Calibration of
    Modern Neural Networks, ICML 2017, section 2).

    Parameters
    ----------
    scored : pyspark.sql.DataFrame
        Rows that a classifier's ``transform`` gave: those of no training, for a classifier knows its own too well.
    labelCol, probabilityCol : str
        The label: a string, or the class's number; and the vector of probabilities.
    classes : sequence, optional
        The model's ``classes``, as for `plot_largest_losses`.

    Raises
    ------
    ConfigurationError, SchemaError, DataError
        If an argument or a column isn't what is accepted, or there are no rows.
    """
    chances, place = probabilities(scored, probabilityCol), class_place(scored, labelCol, classes)
    known = scored.where(F.col(f"`{labelCol}`").isNotNull() & F.col(f"`{probabilityCol}`").isNotNull())
    rows = known.select(chances.alias("all"), place.alias("place"))
    two, highest = F.size("all") == 2, F.array_max("all")
    right = F.array_position("all", highest) - 1 == F.col("place")
    judged = rows.select(
        F.size("all").alias("size"),
        F.when(two, F.get("all", F.lit(1))).otherwise(highest).alias("given"),
        F.coalesce(F.when(two, F.col("place") == 1).otherwise(right), F.lit(False)).cast("double").alias("hit"),
    )
    bins = judged.groupBy(F.least(F.floor(F.col("given") * BINS), F.lit(BINS - 1)).alias("bin")).agg(
        F.avg("given"), F.avg("hit"), F.count("*"), F.max("size")
    )
    found = bins.orderBy("bin").collect()
    binary = bool(found) and found[0][4] == 2
    what = f"probability of {(classes or (0, 1))[-1]}" if binary else "probability of the predicted class"
    return reliability_diagram({"the model": [Bin(*row[1:4]) for row in found]}, what)
