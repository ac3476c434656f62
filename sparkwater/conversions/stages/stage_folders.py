"""Folders of saved stages: small files, and other stages by their own writers and readers."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml.util import DefaultParamsReader, MLWritable

from sparkwater.conversions.files.session_files import check_spark_reaches, files_of, read_bytes, write_bytes
from sparkwater.conversions.sessions.session import Files, spark_errors
from sparkwater.conversions.stages.consent import Consent
from sparkwater.errors import CheckpointError, ConfigurationError, SparkwaterError, first_line

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: What Spark's readers raise where a folder holds no stage, or a damaged one.
UNREADABLE: tuple[type[Exception], ...] = (*spark_errors(), ValueError, TypeError, KeyError, AttributeError)


@dataclass(frozen=True)
class NewFolder:
    """A folder that a stage is being saved to.

    Attributes
    ----------
    spark : pyspark.sql.SparkSession
        The session.
    path : str
        A folder beside the stage's target, which is swapped in when all is written.
    """

    spark: SparkSession
    path: str

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a file."""
        write_bytes(self.spark, f"{self.path}/{name}", content)

    def write_json(self, name: str, value: Any) -> None:
        """Write a value as JSON."""
        self.write_bytes(name, json.dumps(value, indent=2).encode())

    def write_stage(self, name: str, stage: Any) -> None:
        """Write another stage to a folder in this one.

        Raises
        ------
        ConfigurationError
            If it is a stage of Spark's or of others, and Spark doesn't reach the folder.
        """
        if not _is_own(type(stage)):
            check_spark_reaches(self.spark, self.path)
        save_stage(stage, f"{self.path}/{name}")


@dataclass(frozen=True)
class SavedFolder:
    """A folder that a stage is loaded from.

    Attributes
    ----------
    spark : pyspark.sql.SparkSession
        The session.
    path : str
        The folder.
    consent : Consent
        Names that the user allowed.
    """

    spark: SparkSession
    path: str
    consent: Consent

    def read_bytes(self, name: str) -> bytes:
        """Return the content of a file.

        Raises
        ------
        CheckpointError
            If it is missing or can't be read.
        """
        return read_bytes(self.spark, f"{self.path}/{name}", CheckpointError)

    def read_json(self, name: str) -> Any:
        """Return the value that a file holds as JSON.

        Raises
        ------
        CheckpointError
            If it is missing or damaged.
        """
        content = self.read_bytes(name)
        try:
            return json.loads(content)
        except ValueError as error:
            raise CheckpointError(f"{self.path}/{name} is damaged: {error!r}") from error

    def read_stage(self, name: str) -> Any:
        """Return the stage in a folder of this one, as `load_stage` does."""
        return load_stage(self.spark, f"{self.path}/{name}", self.consent)

    def check_network(self, network: Any) -> None:
        """Refuse a network without consent, as `Consent.check_network` does."""
        self.consent.check_network(self.spark, network, self.path)


def save_stage(stage: Any, path: str) -> None:
    """Write a stage with its own writer.

    Raises
    ------
    ConfigurationError
        If the stage has no writer.
    """
    if not isinstance(stage, MLWritable):
        raise ConfigurationError(f"{type(stage).__name__} can't be saved: it isn't MLWritable")
    stage.write().overwrite().save(path)


def load_stage(spark: SparkSession, path: str, consent: Consent) -> Any:
    """Read a stage, after checking the class names in its metadata and in that of the stages inside.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session.
    path : str
        The folder of the saved stage.
    consent : Consent
        Packages besides Spark ML and sparkwater whose classes may be loaded, and networks, also of the stages inside.

    Raises
    ------
    UnsafeLoadError
        If it names a class or a network without consent.
    CheckpointError
        If the folder is missing or damaged.
    ConfigurationError
        If it is a stage of Spark's or of others, and Spark doesn't reach the folder.
    """
    try:
        for file in _metadata_files(spark, path):
            _check_classes(read_bytes(spark, file, CheckpointError), file, consent)
        with consent.handed_on():
            return _load(spark, path)
    except SparkwaterError:
        raise
    except UNREADABLE as error:
        raise CheckpointError(f"{path!r} holds no saved stage: {first_line(error)}") from error


def _load(spark: SparkSession, path: str) -> Any:
    if files_of(spark).missing_for_spark(path) is None:
        return DefaultParamsReader.loadParamsInstance(path, spark)
    module, _, name = str(read_metadata(spark, path)["class"]).rpartition(".")
    stage = getattr(importlib.import_module(module), name)
    if not _is_own(stage):
        check_spark_reaches(spark, path)
    return stage.load(path)


def _is_own(stage: type[Any]) -> bool:
    """Return whether a stage is saved and loaded by this package's files, not by Spark's writers and readers."""
    return stage.__module__.partition(".")[0] == __name__.partition(".")[0]


def read_metadata(spark: SparkSession, path: str) -> dict[str, Any]:
    """Return the metadata of a saved stage: by Spark where it reaches the folder, else by Python.

    Raises
    ------
    Exception
        One of `UNREADABLE` or a `CheckpointError`, where there is none.
    """
    files = files_of(spark)
    if files.missing_for_spark(path) is None:
        metadata: dict[str, Any] = DefaultParamsReader.loadMetadata(path, spark)
        return metadata
    parts = metadata_parts(files, path)
    if not parts:
        raise ValueError("no metadata is there")
    read: dict[str, Any] = json.loads(files.read(parts[0], CheckpointError))
    return read


def metadata_parts(files: Files, path: str) -> list[str]:
    """Return the full paths of the files that hold a stage's metadata; none where there is no stage."""
    folder = f"{path.rstrip('/')}/metadata"
    if not files.exists(folder):
        return []
    return [file for name, file in sorted(files.list_files(folder).items()) if not _hidden(name)]


def _metadata_files(spark: SparkSession, path: str) -> Iterator[str]:
    """Return all files that Spark reads as a stage's metadata: every file there that isn't hidden."""
    for name, file in files_of(spark).list_files(path).items():
        *folders, last = name.split("/")
        if "metadata" in folders and not _hidden(last):
            yield file


def _hidden(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _check_classes(content: bytes, file: str, consent: Consent) -> None:
    for line in content.decode().splitlines():
        consent.check_class(str(json.loads(line)["class"]), file)
