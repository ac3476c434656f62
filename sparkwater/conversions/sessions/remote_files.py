"""Files of a Spark Connect session: in a task on the server's side, or in this process where it shares its machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sparkwater.conversions.files.filesystems import LOCAL_SCHEMES, is_store, scheme_of
from sparkwater.conversions.sessions.connectors import lacks_filesystem, missing_connector
from sparkwater.conversions.sessions.python_files import PythonFiles, done
from sparkwater.conversions.sessions.shipping import Inline, Shipped, ship
from sparkwater.errors import CheckpointError, ConfigurationError, first_line, raised_on_executor

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PIECES = "number int, piece binary"


class RemoteFiles(PythonFiles):
    """Files of a Spark Connect session.

    Parameters
    ----------
    spark : pyspark.sql.connect.session.SparkSession
        The session.
    here : bool
        Whether this process sees the server's local files; elsewhere each call is a job of one task.
    """

    def __init__(self, spark: SparkSession, here: bool) -> None:
        self._spark: Any = spark
        self._here = here

    def missing_for_spark(self, path: str) -> str | None:
        """Return what Spark's own readers and writers lack to reach a store; the server is asked, without a job."""
        if not is_store(self._url(path)):
            return None
        try:
            _ = self._spark.read.text(path).schema
        except Exception as error:
            return missing_connector(path, None) if lacks_filesystem(error) else None
        return None

    @contextmanager
    def temporary_folder(self) -> Iterator[str]:
        """Give the path of a folder that is not there yet, in a private one; it is deleted at the end.

        Raises
        ------
        ConfigurationError
            If the server is elsewhere: no folder is known to be its as well as this process's.
        """
        if not self._here:
            raise ConfigurationError(
                "this needs a folder that Spark's server and executors share, and over Spark Connect none is known; "
                "save the model, and do it in a session with a SparkContext that loads it"
            )
        with super().temporary_folder() as folder:
            yield folder

    def _near(self, path: str) -> bool:
        return self._here and scheme_of(self._url(path)) in LOCAL_SCHEMES

    def _url(self, path: str) -> str:
        """Return a path with the scheme that Spark's settings give to paths without."""
        default = self._spark.conf.get("spark.hadoop.fs.defaultFS", None) or ""
        if scheme_of(path) or scheme_of(default) in LOCAL_SCHEMES:
            return str(Path(path).absolute()) if self._here and not scheme_of(path) else path
        return f"{default.rstrip('/')}/{path.lstrip('/')}"

    def _sent(self, path: str, content: bytes) -> Inline | Shipped:
        # Rows of a task may have 128 MiB at most on a cluster.
        return Inline(content) if self._near(path) else ship(self._spark, content)

    def _run(self, path: str, work: Callable[[str], list[bytes]]) -> list[bytes]:
        url = self._url(path)
        if self._near(path):
            return done(work, path, url)

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for _ in batches:
                pass
            for number, piece in enumerate(done(work, path, url)):
                yield _batch([(number, piece)])

        try:
            rows = self._spark.range(0, 1, 1, 1).mapInArrow(run, _PIECES).collect()
        except Exception as error:
            raise raised_on_executor(error) or CheckpointError(f"{path!r}: {first_line(error)}") from error
        return [bytes(row["piece"]) for row in sorted(rows, key=lambda row: row["number"])]


def _batch(rows: list[tuple[int, bytes]]) -> pa.RecordBatch:
    numbers, pieces = pa.array([row[0] for row in rows], pa.int32()), pa.array([row[1] for row in rows], pa.binary())
    return pa.RecordBatch.from_arrays([numbers, pieces], names=["number", "piece"])
