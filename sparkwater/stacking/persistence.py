"""Persistence of other makers' stages in a saved ensemble: by their own writers, from trusted modules only."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.ml.util import DefaultParamsReader, MLReader, MLWritable

from sparkwater.conversions.files.hadoop import read_bytes, resolve
from sparkwater.errors import CheckpointError, ConfigurationError, UnsafeLoadError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from typing_extensions import Self

#: Packages whose classes may be loaded.
TRUSTED = ("pyspark.ml.", "sparkwater.", "org.apache.spark.ml.")


class TrustingReader(MLReader[Any]):
    """Reads a stage with others in it; their classes are Spark ML's, sparkwater's, or of packages that are named.

    Parameters
    ----------
    stage : type
        The class to read.
    """

    def __init__(self, stage: type[Any]) -> None:
        super().__init__()
        self._stage = stage
        self._trusted: tuple[str, ...] = ()

    def allowing(self, *packages: str) -> Self:
        """Let stages of these packages be loaded."""
        self._trusted = (*self._trusted, *packages)
        return self


def save_stage(stage: Any, path: str) -> None:
    """Write a stage with its own writer.

    Raises
    ------
    ConfigurationError
        If it has none.
    """
    if not isinstance(stage, MLWritable):
        raise ConfigurationError(f"{type(stage).__name__} can't be saved: it isn't MLWritable")
    stage.write().overwrite().save(path)


def load_stage(spark: SparkSession, path: str, trusted: Sequence[str] = ()) -> Any:
    """Read a stage after a look at the classes that it, and everything in it, names.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session.
    path : str
        The folder of the stage.
    trusted : sequence of str
        Packages besides Spark ML and sparkwater whose classes may be loaded.

    Raises
    ------
    UnsafeLoadError
        If a class is in no trusted package.
    CheckpointError
        If the folder is missing or damaged.
    """
    try:
        for file in _metadata_files(spark, path):
            _check_class(read_bytes(spark, file, CheckpointError), file, (*TRUSTED, *(f"{name}." for name in trusted)))
        return DefaultParamsReader.loadParamsInstance(path, spark)
    except (AnalysisException, Py4JJavaError, ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, UnsafeLoadError):
            raise
        raise CheckpointError(f"{path!r} holds no saved stage: {str(error).splitlines()[0]}") from error


def _metadata_files(spark: SparkSession, path: str) -> Iterator[str]:
    filesystem, folder = resolve(spark, path)
    files = filesystem.listFiles(folder, True)
    while files.hasNext():
        file = files.next().getPath()
        if file.getParent().getName() == "metadata" and file.getName().startswith("part-"):
            yield file.toString()


def _check_class(content: bytes, file: str, trusted: Sequence[str]) -> None:
    for line in content.decode().splitlines():
        name = str(json.loads(line)["class"])
        if not name.startswith(tuple(trusted)):
            raise UnsafeLoadError(
                f"{file!r} asks to load {name!r}; accepted: Spark ML's and sparkwater's classes, and those of packages "
                "named with read().allowing('package')"
            )
