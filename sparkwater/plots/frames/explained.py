"""Plots of explanations: importance, dependence and contributions, from their DataFrames.

Driver side. Each function reads a bounded number of rows in one job or two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field, vector_numbers
from sparkwater.errors import ConfigurationError, DataError
from sparkwater.plots.drawing.contributions import contribution_bars, contributions_swarm
from sparkwater.plots.drawing.dependence import dependence_plot
from sparkwater.plots.drawing.kinds import check_kind
from sparkwater.plots.drawing.scores import MOST_LINES, Measured, importance_plot
from sparkwater.plots.drawing.waterfall import contribution_steps
from sparkwater.plots.frames.rows import check_bound, check_columns, first_rows

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.plots.drawing.plot import Plot

#: Values of a grid that are read, at most.
MOST_VALUES = 1000


def plot_importance(importance: DataFrame, *, measure: str = "loss of the metric", interval: str = "95 %") -> Plot:
    """Return the features of `permutation_importance` with their intervals, the most important first.

    The first 40 rows are read; they are sorted already.

    Parameters
    ----------
    importance : pyspark.sql.DataFrame
        What `sparkwater.ml.permutation_importance` gives, or rows of ``feature``, ``importance``, ``lower`` and
        ``upper``.
    measure, interval : str
        What the importance is, and what the intervals cover.

    Raises
    ------
    SchemaError, DataError
        If a column isn't there, or there are no rows.
    """
    columns: list[Any] = ["feature", "importance", "lower", "upper"]
    rows = first_rows(importance, columns, MOST_LINES, "rows").collect()
    return importance_plot([Measured(*row) for row in rows], measure, interval)


def plot_dependence(
    dependence: DataFrame,
    curves: DataFrame | None = None,
    *,
    column: str = "value",
    output: str = "prediction",
    outputIndex: int = 0,
    maxRows: int = 100,
) -> Plot:
    """Return the mean output by value, and the curves of single rows.

    Of ``dependence`` 1,000 values at most are read, of ``curves`` the rows whose number is up to ``maxRows``.

    Parameters
    ----------
    dependence : pyspark.sql.DataFrame
        What `sparkwater.ml.partial_dependence` gives.
    curves : pyspark.sql.DataFrame, optional
        What `sparkwater.ml.individual_curves` gives for the same ``grid``.
    column, output : str
        Names for the axes.
    outputIndex : int
        The entry of the output.
    maxRows : int
        Rows that have a curve, at most.

    Raises
    ------
    ConfigurationError
        If the entry isn't there, a bound isn't positive, or both have other values.
    SchemaError, DataError
        If a column isn't there, or there are no rows.
    """
    check_bound(maxRows, "maxRows")
    check_columns(dependence, "value", "index", "mean")
    if curves is not None:
        check_columns(curves, "row", "value", "original", "output")
    own = dependence.where(F.col("index") == outputIndex).orderBy("value")
    means = first_rows(own, ["value", "mean"], MOST_VALUES, "values").collect()
    if not means:
        raise DataError(f"there are no values of output {outputIndex}; there is nothing to show")
    values = [row["value"] for row in means]
    lines, originals = ([], []) if curves is None else _curves(curves, values, outputIndex, maxRows)
    return dependence_plot(values, [row["mean"] for row in means], lines, column=column, output=output, own=originals)


def _curves(curves: DataFrame, values: list[Any], index: int, most: int) -> tuple[list[list[float]], list[Any]]:
    """Return the curves of the first rows that have an output at each value, and these rows' own values."""
    columns: list[Any] = ["row", "value", "original", F.get("output", F.lit(index)).alias("output")]
    rows = first_rows(curves.where(F.col("row") <= most), columns, most * len(values), "maxRows").collect()
    found: dict[int, dict[Any, float]] = {}
    originals = {}
    for row in rows:
        if row["value"] not in values:
            raise ConfigurationError(
                f"the curves have the value {row['value']!r}, and the means haven't; give both the same grid"
            )
        originals[row["row"]] = row["original"]
        if row["output"] is not None:
            found.setdefault(row["row"], {})[row["value"]] = row["output"]
    whole = [number for number in sorted(found) if len(found[number]) == len(values)]
    return [[found[number][value] for value in values] for number in whole], [originals[number] for number in whole]


def plot_contributions(
    explained: DataFrame,
    *,
    kind: str = "swarm",
    valuesCol: str | None = None,
    contributionsCol: str = "contributions",
    output: str = "output",
    features: int = 15,
    maxRows: int = 500,
) -> Plot:
    """Return the contributions of features over many rows: a point a row, or bars of their mean size.

    The first ``maxRows`` rows that have contributions are read.

    Parameters
    ----------
    explained : pyspark.sql.DataFrame
        What `sparkwater.ml.shapley_values` and `sparkwater.ml.exact_shapley_values` give.
    kind : {"swarm", "bars"}
        Points, or bars.
    valuesCol : str, optional
        A vector column with the features' values, in the order of its names; points are coloured by them. By default
        columns of numbers that are named as features are.
    contributionsCol, output : str
        The column of contributions, and the output's name.
    features : int
        Features that are shown, at most: those with the largest mean size.
    maxRows : int
        Rows at most.

    Raises
    ------
    ConfigurationError, SchemaError, DataError
        If an argument or a column isn't what is accepted, or no row has contributions.
    """
    check_kind(kind, ("swarm", "bars"))
    find_field(explained.schema, contributionsCol)
    whole = explained.where(F.col(f"`{contributionsCol}`").isNotNull())
    numbers = [
        field.name
        for field in explained.schema.fields
        if valuesCol is None and isinstance(field.dataType, (T.NumericType, T.BooleanType)) and kind == "swarm"
    ]
    columns: list[Any] = [F.col(f"`{contributionsCol}`").alias("__contributions")]
    columns += [F.col(f"`{name}`").cast("double").alias(f"__value_{at}") for at, name in enumerate(numbers)]
    if valuesCol is not None:
        columns.append(_vector(explained, valuesCol).alias("__vector"))
    rows = first_rows(whole, columns, maxRows, "maxRows").collect()
    if not rows:
        raise DataError("no row has contributions; there is nothing to show")
    names = list(rows[0]["__contributions"])
    table = [[row["__contributions"][name] for name in names] for row in rows]
    if kind == "bars":
        return contribution_bars(names, table, output=output, features=features)
    values = _values(names, [row.asDict() for row in rows], numbers)
    return contributions_swarm(names, table, values, output=output, features=features)


def _vector(explained: DataFrame, name: str) -> Column:
    if not isinstance(find_field(explained.schema, name).dataType, VectorUDT):
        raise ConfigurationError(f"valuesCol={name!r} is no vector column")
    return vector_numbers(F.col(f"`{name}`"))


def _values(
    names: Sequence[str], rows: Sequence[dict[str, Any]], numbers: Sequence[str]
) -> list[list[float | None]] | None:
    """Return the features' values by row, in the order of their names; None where none is known.

    Raises
    ------
    DataError
        If a vector has another number of entries than there are features.
    """
    if "__vector" in rows[0]:
        vectors = [row["__vector"] for row in rows]
        wrong = next((len(found) for found in vectors if found is not None and len(found) != len(names)), None)
        if wrong is not None:
            raise DataError(f"a vector of valuesCol has {wrong} entries, and there are {len(names)} features")
        return [[math.nan] * len(names) if found is None else [*found] for found in vectors]
    places = {name: f"__value_{at}" for at, name in enumerate(numbers)}
    if not places.keys() & set(names):
        return None
    return [[row[places[name]] if name in places else math.nan for name in names] for row in rows]


def plot_first_row(
    explained: DataFrame,
    *,
    contributionsCol: str = "contributions",
    baseValueCol: str = "baseValue",
    output: str = "output",
    features: int = 12,
) -> Plot:
    """Return the contributions to the output of the first row, from the base value to the output.

    One row is read: choose it by a filter.

    Parameters
    ----------
    explained : pyspark.sql.DataFrame
        As for `plot_contributions`.
    contributionsCol, baseValueCol, output : str
        The columns, and the output's name.
    features : int
        Features that have a bar of their own, at most.

    Raises
    ------
    SchemaError, DataError
        If a column isn't there, or no row has contributions.
    """
    find_field(explained.schema, contributionsCol)
    whole = explained.where(F.col(f"`{contributionsCol}`").isNotNull())
    rows = first_rows(whole, [contributionsCol, baseValueCol], 1, "rows").collect()
    if not rows:
        raise DataError("no row has contributions; there is nothing to show")
    return contribution_steps(rows[0][0], rows[0][1], output, features)
