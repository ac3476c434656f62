"""Loading of stages that were saved as parameters only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.errors import AnalysisException
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsReader, DefaultParamsWritable

from sparkwater.errors import CheckpointError, UnsafeLoadError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class StageReadable(DefaultParamsReadable[Any]):
    """Mixin: ``load`` and ``read`` for stages without data of their own."""

    @classmethod
    def read(cls) -> StageReader:
        """Return a reader for this class."""
        return StageReader(cls)


class StageWritable(DefaultParamsWritable):
    """Mixin: ``save`` and ``write`` for stages without data of their own."""


class StageReader(DefaultParamsReader[Any]):
    """Spark's reader, held to the class that it was made for.

    Spark imports and instantiates whatever class the saved metadata names.
    """

    def __init__(self, stage: type[Any]) -> None:
        super().__init__(stage)
        self._stage = stage

    def load(self, path: str) -> Any:
        """Load a stage.

        Raises
        ------
        UnsafeLoadError
            If the saved metadata names another class.
        """
        return restore(self._stage, DefaultParamsReader.loadMetadata(path, self.sparkSession), path)


def restore(stage: type[Any], metadata: dict[str, Any], path: str) -> Any:
    """Return an instance of a class with the uid and the Params that were saved.

    Raises
    ------
    UnsafeLoadError
        If the metadata names another class than the one that was asked for.
    """
    expected = f"{stage.__module__}.{stage.__name__}"
    if metadata.get("class") != expected:
        raise UnsafeLoadError(f"{path!r} was saved as {metadata.get('class')!r}; {expected!r} was asked to load it")
    instance = stage()
    instance._resetUid(metadata["uid"])
    DefaultParamsReader.getAndSetParams(instance, metadata)
    return instance


def load_params(spark: SparkSession, stage: type[Any], path: str, what: str) -> tuple[Any, dict[str, Any]]:
    """Return an instance as `restore` does, from a folder that also holds other files, and the folder's metadata.

    Raises
    ------
    CheckpointError
        If the folder holds no metadata; the message names ``what`` was looked for.
    UnsafeLoadError
        If the metadata names another class.
    """
    try:
        metadata = DefaultParamsReader.loadMetadata(path, spark)
    except (AnalysisException, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path!r} holds no saved {what}: {error}") from error
    return restore(stage, metadata, path), metadata
