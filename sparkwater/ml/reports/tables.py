"""Tables beside the metrics: by threshold, by group of rows, by quantile."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sparkwater.gpu.tasks.curves import GAINS, GAINS_COLUMNS, THRESHOLD_COLUMNS, THRESHOLDS
from sparkwater.gpu.tasks.quantiles import QUANTILE_COLUMNS, QUANTILES
from sparkwater.ml.reports.text_table import table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Columns of each table, by its name.
COLUMNS = {THRESHOLDS: THRESHOLD_COLUMNS, GAINS: GAINS_COLUMNS, QUANTILES: QUANTILE_COLUMNS}

#: A table's rows; a value is None where it is undefined.
Rows = tuple[tuple[float | None, ...], ...]


def tables_in(details: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Rows]:
    """Return the tables among a training's details, by name."""
    return {name: read_rows(details[name]) for name in COLUMNS if name in details}


def read_rows(rows: Sequence[Sequence[float | None]]) -> Rows:
    """Return a table's rows from nested lists."""
    return tuple(tuple(None if value is None or math.isnan(value) else value for value in row) for row in rows)


def table_frame(spark: SparkSession, tables: Mapping[str, Rows], name: str) -> DataFrame | None:
    """Return a table as a DataFrame of doubles, or None where there is none of the name."""
    if name not in tables:
        return None
    schema = ", ".join(f"{column} double" for column in COLUMNS[name])
    return spark.createDataFrame(list(tables[name]), schema)


def best_threshold(tables: Mapping[str, Rows]) -> tuple[float, float] | None:
    """Return the threshold with the highest F1 and that F1, or None where there is no table by threshold."""
    rows: Any = tables.get(THRESHOLDS)
    return max(((row[0], row[1]) for row in rows), key=lambda pair: pair[1]) if rows else None


def describe_tables(tables: Mapping[str, Rows]) -> list[str]:
    """Return lines of text on the tables: the best threshold, and all quantiles."""
    lines, best = [], best_threshold(tables)
    if best is not None:
        lines.append(f"F1 is highest, {best[1]:.4f}, for probabilities of the second class from {best[0]:.4f} up")
    if QUANTILES in tables:
        header, *cells = (
            QUANTILE_COLUMNS,
            *([f"{value:.6g}" for value in row if value is not None] for row in tables[QUANTILES]),
        )
        lines.append(table([[f"  {line[0]}", *line[1:]] for line in (header, *cells)]))
    return lines
