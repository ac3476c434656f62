"""Checks of out-of-fold predictions: the rows of their fold, each with a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparkwater.conversions.sessions.jobs import run_job
from sparkwater.conversions.stages.plain_values import plain_column
from sparkwater.errors import DataError
from sparkwater.stacking.level_one.prepared import FOLD
from sparkwater.stacking.level_one.values import VALUES
from sparkwater.stacking.row_keys import ROW, Fingerprint, fingerprint_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType

#: Counts of a fit that scored no rows.
NO_ROWS = {"rows": 0, "total": 0, "mixed": 0, "empty": 0}


def check_rows(values: DataFrame, expected: Fingerprint, where: str) -> None:
    """Refuse predictions that don't match the rows one to one; a Spark job.

    Raises
    ------
    DataError
        If rows are missing, doubled or strange, have no prediction, or not one for each class.
    """
    found = run_job(values.agg(*check_columns(values.schema)).first)
    assert found is not None  # an aggregate has a row
    check_counts(found, expected, where)


def check_columns(schema: StructType) -> list[Column]:
    """Return the aggregates of predictions that `check_counts` reads."""
    rows, total, mixed = fingerprint_columns(F.col(ROW), plain_column(schema, FOLD))
    empty = F.count_if(F.col(VALUES).isNull() | F.exists(VALUES, lambda value: value.isNull() | F.isnan(value)))
    return [rows.alias("rows"), total.alias("total"), mixed.alias("mixed"), empty.alias("empty")]


def check_counts(found: Any, expected: Fingerprint, where: str) -> None:
    """Refuse predictions by their `check_columns`.

    Raises
    ------
    DataError
        If they don't match the rows one to one.
    """
    if Fingerprint(found["rows"], int(found["total"]), found["mixed"]) != expected:
        raise DataError(
            f"{where}: {found['rows']} rows were scored where there are {expected.rows}, or not the same ones; a "
            "learner must keep every row (handleInvalid='error'), and the input must give the same rows again where "
            "Spark evaluates it again (write it to a file first, or use checkpointDir)"
        )
    if found["empty"]:
        raise DataError(f"{where}: {found['empty']} rows have no prediction, or NaN; mend or leave out such rows")
