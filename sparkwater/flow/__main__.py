"""The web face as a program: a Spark session, and the address to open."""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkwater.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkwater.flow.server import Served


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until the program is interrupted; return its exit code."""
    given = _parser().parse_args(arguments)
    from sparkwater.flow.server import serve

    # NiceGUI looks at all objects there are, also at torch's deprecated ones.
    warnings.filterwarnings("ignore", "`torch.distributed.reduce_op`", FutureWarning)
    try:
        served = serve(
            None,
            given.folder,
            port=given.port,
            host=given.host,
            certificate=given.certificate,
            key=given.key,
            plain_text=given.plain_text,
        )
    except ConfigurationError as error:
        sys.stderr.write(f"sparkwater.flow: {error}\n")
        return 2
    _say(f"Open {served.invite()}\nSpark is starting ...")
    try:
        spark = _start(given.master)
    except Exception as error:
        served.desk.workspace.give_up(str(error)[:2000])
        sys.stderr.write(f"sparkwater.flow: Spark did not start: {error}\n")
        served.stop()
        return 1
    served.attach(spark)
    _say("Spark is ready. Ctrl+C ends both.")
    try:
        _stay(served)
    except KeyboardInterrupt:
        served.stop()
    spark.stop()
    return 0


def _stay(served: Served) -> None:
    """Return when the server ends; an address that was opened is followed by one for another browser."""
    while served.running:
        if not served.has_unused_invite:
            _say(f"For another browser: {served.invite()}")
        time.sleep(0.5)


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def _start(master: str) -> SparkSession:
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # the one that has what this one has
    if master.startswith("sc://"):
        return SparkSession.builder.remote(master).getOrCreate()
    builder = SparkSession.builder.master(master).appName("sparkwater flow")
    # Else each operation on a column asks Java a dozen things about the line that it stands on.
    builder = builder.config("spark.python.sql.dataFrameDebugging.enabled", "false")
    # A picture of 300 bytes doesn't count as 4 MB when files are put into tasks: few tasks read many small files.
    builder = builder.config("spark.sql.files.openCostInBytes", "4096")
    if master.startswith("local"):
        builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
        builder = builder.config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
    return builder.getOrCreate()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m sparkwater.flow", description="sparkwater in a browser")
    parser.add_argument("--master", default="local[2]", help="Spark's master, or sc://... of a Connect server")
    parser.add_argument("--folder", action="append", required=True, help="a folder whose files may be used; repeatable")
    parser.add_argument("--port", type=int, default=54321, help="port; 0 for any free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; others than loopback need TLS")
    parser.add_argument("--certificate", help="PEM file of a TLS certificate")
    parser.add_argument("--key", help="PEM file of its key")
    parser.add_argument(
        "--plain-text", action="store_true", help="serve at another address without TLS: all on the way can read it"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
