"""Frame of the programs in jobs/: a session, an exit code, and a last line with the result."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run_job(name: str, program: Callable[[SparkSession], str]) -> int:
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
