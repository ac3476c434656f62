"""Partial dependence of a model's output on one column, and the curves of single rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.sessions.session import session_of
from sparkwater.conversions.stages.columns import find_field
from sparkwater.ml.explanations.grid import grid_values
from sparkwater.ml.explanations.outputs import output_values
from sparkwater.ml.explanations.samples import NUMBER, numbered_sample

if TYPE_CHECKING:
    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame

VALUE = "__sparkwater_value"


def partial_dependence(
    model: Transformer,
    frame: DataFrame,
    inputCol: str,
    *,
    outputCol: str = "prediction",
    grid: int | Sequence[Any] = 20,
    maxRows: int = 1000,
    seed: int = 42,
) -> DataFrame:
    """Return the mean output of a model over rows whose value in one column is replaced by each of a grid.

    Friedman, Greedy Function Approximation, Annals of Statistics 29 (2001), section 8.2. Where columns depend on each
    other, rows come up that don't exist. Runs on executors; ``maxRows`` x grid rows are scored when the result is used.

    Parameters
    ----------
    model : pyspark.ml.Transformer
        Any fitted model, pipelines included.
    frame : pyspark.sql.DataFrame
        Rows with what the model reads.
    inputCol : str
        The column to vary: numbers, strings or booleans.
    outputCol : str
        The model's output: a number, or a vector such as ``probability``.
    grid : int or sequence
        The values to put in, an array too, of the column's type or equal to values of it; or how many: quantiles of
        numbers, the most frequent of others. Finding them starts a job.
    maxRows : int
        Rows at most, chosen by a hash of their content.
    seed : int
        Source of the sample.

    Returns
    -------
    pyspark.sql.DataFrame
        ``value`` (of the column's type), ``index`` (entry of the output, 0 for a number), ``mean``, ``deviation`` (over
        rows, divided by their number), ``rows``; in the order of values and entries.

    Raises
    ------
    ConfigurationError, SchemaError
        If a parameter or a column isn't what is accepted.
    DataError
        If the column holds no value.
    """
    rows = _varied(model, frame, inputCol, outputCol, grid, maxRows, seed)
    entries = rows.select("value", F.posexplode("output").alias("index", "output"))
    return (
        entries.groupBy("value", "index")
        .agg(
            F.avg("output").alias("mean"),
            F.stddev_pop("output").alias("deviation"),
            F.count("output").alias("rows"),
        )
        .orderBy("value", "index")
    )


def individual_curves(
    model: Transformer,
    frame: DataFrame,
    inputCol: str,
    *,
    outputCol: str = "prediction",
    grid: int | Sequence[Any] = 20,
    maxRows: int = 100,
    seed: int = 42,
) -> DataFrame:
    """Return the output of each of some rows when its value in one column is replaced by each of a grid.

    Individual conditional expectation: Goldstein, Kapelner, Bleich and Pitkin, Journal of Computational and Graphical
    Statistics 24 (2015), section 3. Their mean is `partial_dependence` of the same rows.

    Parameters
    ----------
    model, frame, inputCol, outputCol, grid, maxRows, seed
        As in `partial_dependence`.

    Returns
    -------
    pyspark.sql.DataFrame
        ``row`` (its number in the sample, from 1), ``value``, ``output`` (array of double, one value for a number), and
        the row's own value, ``original``.

    Raises
    ------
    ConfigurationError, SchemaError, DataError
        As in `partial_dependence`.
    """
    rows = _varied(model, frame, inputCol, outputCol, grid, maxRows, seed)
    return rows.select(F.col(NUMBER).alias("row"), "value", "output", "original").orderBy("row", "value")


def _varied(
    model: Transformer, frame: DataFrame, name: str, output: str, grid: int | Sequence[Any], count: int, seed: int
) -> DataFrame:
    """Return each row of the sample once for each value of the grid, scored."""
    field = find_field(frame.schema, name)
    values = grid_values(frame, field, grid)
    original = "__sparkwater_original"
    sample = numbered_sample(frame, count, seed).withColumn(original, F.col(f"`{name}`"))
    lines = frame.sparkSession.createDataFrame(
        [(value,) for value in values], T.StructType([T.StructField(VALUE, field.dataType)])
    )
    crossed, column = sample.crossJoin(F.broadcast(lines)), F.col(VALUE).alias(name, metadata=field.metadata)
    varied = session_of(frame.sparkSession).with_columns(crossed, {name: column})
    scored = model.transform(varied)
    return scored.select(
        NUMBER,
        F.col(VALUE).alias("value"),
        output_values(scored, output).alias("output"),
        F.col(original).alias("original"),
    )
