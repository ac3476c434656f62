"""Parts of the programs in jobs/: a session, an exit code, a last line with the result, and tables as arguments."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def run_program(name: str, program: Callable[[SparkSession], str]) -> int:
    """Run a program in a Spark session.

    Parameters
    ----------
    name : str
        Spark's name for the application.
    program : callable
        Does the work and returns what the last line says.

    Returns
    -------
    int
        The exit code: 0, or 1 where the program raised; the last line names the cause then.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("py4j").setLevel(logging.WARNING)
    if "PYSPARK_GATEWAY_PORT" not in os.environ:  # started by python, not by spark-submit
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        from pyspark.sql import SparkSession

        spark = SparkSession.builder.appName(name).getOrCreate()
        try:
            last_line = f"{name}: {program(spark)}"
            code = 0
        finally:
            spark.stop()
    except Exception as error:
        logging.getLogger(__name__).debug("the cause", exc_info=error)
        last_line = f"{name} failed: {type(error).__name__}: {_in_one_line(error)}"
        code = 1
    sys.stdout.flush()
    print(last_line, file=sys.stderr if code else sys.stdout, flush=True)
    return code


def _in_one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else "no message"


def read_table(spark: SparkSession, path: str, null: str) -> DataFrame:
    """Return the rows of a CSV file with a header, or of Parquet; ``null`` is a missing value in CSV."""
    if path.endswith((".csv", ".csv.gz")):
        return spark.read.csv(path, header=True, inferSchema=True, nullValue=null)
    return spark.read.parquet(path)


def split_rows(rows: DataFrame, fraction: float, seed: int) -> tuple[DataFrame, DataFrame]:
    """Return the rows to train on and to test on; a row's part follows from its content."""
    from pyspark.sql import functions as F

    place = F.pmod(F.xxhash64(*(F.col(f"`{name}`") for name in rows.columns), F.lit(seed)), F.lit(10_000))
    is_test = place < int(fraction * 10_000)
    return rows.where(~is_test), rows.where(is_test)


def named_value(text: str) -> tuple[str, Any]:
    """Return name and value of ``NAME=VALUE``; the value as JSON, or as text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
