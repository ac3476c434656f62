"""Spark stages between Spark's filesystem and folders of the driver's machine."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.environment_variables import MLFLOW_DFS_TMP
from pyspark.sql import types as T

from sparkwater.conversions.files.session_files import copy_from_driver, copy_to_driver, files_of
from sparkwater.conversions.sessions.session import current_session, session_of
from sparkwater.conversions.stages.consent import Consent
from sparkwater.conversions.stages.stage_folders import load_stage, save_stage
from sparkwater.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def write_through(write: Callable[[str], None], folder: Path, spark: SparkSession, dfs_tmpdir: str | None) -> None:
    """Write something by Spark to a folder of the driver's machine.

    Spark's writers write on the executors, so it goes to Spark's default filesystem first.

    Parameters
    ----------
    write : callable
        Writes to the folder of the path that it gets.
    folder : pathlib.Path
        The folder; it must not exist.
    spark : pyspark.sql.SparkSession
        The session.
    dfs_tmpdir : str or None
        Folder on Spark's default filesystem; ``MLFLOW_DFS_TMP`` without it, or, where that isn't set and executors
        share the driver's machine, a folder that the user alone may enter.
    """
    with _between(spark, dfs_tmpdir) as between:
        write(between)
        copy_to_driver(spark, between, folder)


def write_stage(model: Any, folder: Path, spark: SparkSession, dfs_tmpdir: str | None) -> None:
    """Write a stage to a folder of the driver's machine, as `write_through` does.

    Raises
    ------
    ConfigurationError
        See `check_metadata`.
    """
    write_through(partial(save_stage, model), folder, spark, dfs_tmpdir)
    check_metadata(folder)


def check_metadata(stage: Path) -> None:
    """Refuse a stage's folder without its metadata, which an executor wrote to a disk of its own.

    Raises
    ------
    ConfigurationError
        With what to set.
    """
    if not any((stage / "metadata").glob("part-*")):
        raise ConfigurationError(
            "the stage was saved, and its metadata isn't where the driver reads it: executors and driver need a "
            "filesystem that they share; set dfs_tmpdir, or the environment variable MLFLOW_DFS_TMP"
        )


def read_stage(folder: Path, dfs_tmpdir: str | None, allowing: Sequence[str]) -> Any:
    """Return the stage in a folder of the driver's machine, as `load_stage` does.

    Parameters
    ----------
    folder : pathlib.Path
        The folder.
    dfs_tmpdir : str or None
        Folder on Spark's default filesystem; ``MLFLOW_DFS_TMP`` without it.
    allowing : sequence of str
        Networks and packages of the user's own.
    """
    spark, consent = current_session(), Consent.given().extended(*allowing)
    if session_of(spark).shares_machine:
        return load_stage(spark, f"file://{folder}", consent)
    with _between(spark, dfs_tmpdir) as between:
        copy_from_driver(spark, folder, between)
        return load_stage(spark, between, consent)


def whole_columns(sample: DataFrame) -> frozenset[str]:
    """Return the columns of a DataFrame that are whole numbers or booleans."""
    kinds = (T.IntegralType, T.BooleanType)
    return frozenset(field.name for field in sample.schema if isinstance(field.dataType, kinds))


@contextmanager
def _between(spark: SparkSession, dfs_tmpdir: str | None) -> Iterator[str]:
    """Give the path of a folder that is not there yet; it is deleted at the end."""
    files = files_of(spark)
    if dfs_tmpdir is None and session_of(spark).shares_machine and not MLFLOW_DFS_TMP.is_set():
        with files.temporary_folder() as folder:
            yield folder
        return
    folder = f"{(dfs_tmpdir or MLFLOW_DFS_TMP.get()).rstrip('/')}/{uuid.uuid4().hex}"
    try:
        yield folder
    finally:
        files.delete(folder)
