"""Loading of stages that were saved as parameters only."""

from __future__ import annotations

from typing import Any

from pyspark.ml.util import DefaultParamsReadable, DefaultParamsReader, DefaultParamsWritable

from sparkwater.errors import UnsafeLoadError


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
