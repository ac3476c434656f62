"""Values for executor functions: inside the function, or beside it where a message would be too large.

A plan travels to a Spark Connect server with each question about it, and gRPC takes 128 MiB at most.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Pickles up to this size stay inside the functions.
_INLINE_BYTES = 1024 * 1024

#: The files that a server has, by its session and their names.
_sent: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Inline:
    """A value that travels inside a function."""

    value: Any

    def get(self) -> Any:
        """Return the value."""
        return self.value


@dataclass(frozen=True)
class Shipped:
    """A value in a file that the session's executors have.

    Attributes
    ----------
    name : str
        Name of the file, by its content.
    """

    name: str

    def get(self) -> Any:
        """Return the value; on an executor."""
        return _read(self.name)


@lru_cache(maxsize=2)
def _read(name: str) -> Any:
    from pyspark import SparkFiles

    return pickle.loads(Path(SparkFiles.get(name)).read_bytes())  # noqa: S301 - Spark's own way of sending functions


def ship(spark: SparkSession, value: Any) -> Inline | Shipped:
    """Return a value for executor functions of a Spark Connect session; a large one is sent once a session.

    It travels as Spark's functions do, pickled, as an artifact of the session.
    """
    from pyspark.serializers import CloudPickleSerializer

    pickles: Any = CloudPickleSerializer
    content: bytes = pickles().dumps(value)
    if len(content) <= _INLINE_BYTES:
        return Inline(value)
    name = f"sparkwater-{hashlib.sha256(content).hexdigest()}"
    remote: Any = spark
    if (remote.session_id, name) not in _sent:
        with tempfile.TemporaryDirectory(prefix="sparkwater-") as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            remote.addArtifacts(str(path), file=True)
        _sent.add((remote.session_id, name))
    return Shipped(name)
