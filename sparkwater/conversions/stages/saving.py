"""Saved stages: one format of folders for all, replaced as a whole when written and checked when read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter

from sparkwater import __version__
from sparkwater.conversions.files.session_files import files_of, replacing
from sparkwater.conversions.sessions.session import spark_errors
from sparkwater.conversions.stages.consent import Consent
from sparkwater.conversions.stages.stage_folders import UNREADABLE, NewFolder, SavedFolder, read_metadata
from sparkwater.conversions.stages.store_folders import as_text, content_of, write_to_store
from sparkwater.errors import (
    CheckpointError,
    ConfigurationError,
    SparkwaterError,
    UnsafeLoadError,
    first_line,
    root_cause,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from typing_extensions import Self

#: Newest format that is written and read: the files of a stage's folder and their content. On stores of objects the
#: metadata names a folder of the files; elsewhere the format before is written, so that older versions read it.
FORMAT = 2
_FORMAT_OF_FOLDERS = 1

#: Key of the metadata that holds the format, and the version of sparkwater that wrote it.
_KEY = "sparkwater"


class SavedStage(MLReadable[Any], MLWritable):
    """Mixin for stages that are saved and loaded: their Params and, by `_save_more` and `_load_more`, other content."""

    #: Params that the metadata leaves out: JSON can't hold their values, or another file does.
    _unsaved_params: ClassVar[tuple[str, ...]] = ()

    def write(self) -> StageWriter:
        """Return a writer."""
        return StageWriter(self)

    @classmethod
    def read(cls) -> StageReader:
        """Return a reader; see `StageReader.allowing` for networks and stages of the user's own."""
        return StageReader(cls)

    @classmethod
    def load(cls, path: str) -> Self:
        """Load a stage, as ``read().load(path)`` does."""
        stage: Self = cls.read().load(path)
        return stage

    def _save_more(self, folder: NewFolder) -> None:
        """Write the stage's content other than Params."""

    def _load_more(self, folder: SavedFolder) -> None:
        """Read the content that `_save_more` wrote, and check the loaded Params that need consent."""


class StageWriter(MLWriter):
    """Writer of a stage: beside its target, then swapped in, so that a failed save leaves the old one.

    On a store of objects, which renames nothing, the files have a new name and the metadata is written last.

    Parameters
    ----------
    stage : SavedStage
        The stage to write.
    """

    def __init__(self, stage: Any) -> None:
        super().__init__()
        self._stage = stage

    def save(self, path: str) -> None:
        """Write the stage; driver side.

        Raises
        ------
        ConfigurationError
            If something is at the path and may not be overwritten, or the stage holds values that can't be saved.
        """
        stage, spark = self._stage, self.sparkSession
        if files_of(spark).is_store(path):
            write_to_store(
                spark,
                path,
                self.shouldOverwrite,
                lambda folder: stage._save_more(NewFolder(spark, folder)),
                lambda content: _metadata(stage, spark, content),
            )
            return
        params = _saved_params(stage)
        own = {_KEY: {"format": _FORMAT_OF_FOLDERS, "version": __version__}}
        with replacing(spark, path, self.shouldOverwrite) as folder:
            try:
                DefaultParamsWriter.saveMetadata(stage, folder, spark, extraMetadata=own, paramMap=params)
            except spark_errors() as error:
                said = root_cause(str(error)) or first_line(error)
                raise CheckpointError(f"{path!r} can't be written: {said}") from error
            if not files_of(spark).exists(f"{folder}/metadata"):
                raise ConfigurationError(
                    f"path={path!r}: Spark's writers and this package reach different places by it; give a path with "
                    "its scheme (hdfs://..., s3a://..., file:/...) on a filesystem that all hosts share"
                )
            stage._save_more(NewFolder(spark, folder))


class StageReader(MLReader[Any]):
    """Reader of stages of one class; Spark's own readers import any class that the metadata names.

    Parameters
    ----------
    stage : type of SavedStage
        The class to load.
    """

    def __init__(self, stage: type[Any]) -> None:
        super().__init__()
        self._stage = stage
        self._consent = Consent.given()

    def allowing(self, *names: str) -> Self:
        """Allow code of the user's own to run: a network's when it is built, a stage's when it is loaded.

        Parameters
        ----------
        *names : str
            Import paths of networks, ``package.module:factory``; and packages or modules, in which all networks and
            all classes of stages are allowed then. They count for the stages inside this one, too.
        """
        self._consent = self._consent.extended(*names)
        return self

    def load(self, path: str) -> Any:
        """Load a stage; driver side.

        Raises
        ------
        CheckpointError
            If a file is missing or damaged, or the folder is of another format.
        UnsafeLoadError
            If the folder holds another class, or names a network or a class that nobody allowed.
        """
        path = path.rstrip("/")
        metadata = _read_metadata(self.sparkSession, self._stage, path)
        _check_class(metadata, self._stage, path)
        _check_format(metadata, self._stage, path)
        loaded = _with_params(metadata, self._stage, path)
        folder = content_of(path, metadata.get(_KEY))
        loaded._load_more(SavedFolder(self.sparkSession, folder, self._consent))
        return loaded


def _saved_params(stage: Any) -> dict[str, Any]:
    return {param.name: value for param, value in stage._paramMap.items() if param.name not in stage._unsaved_params}


def _metadata(stage: Any, spark: SparkSession, content: str) -> str:
    """Return the metadata of a stage on a store of objects, as Spark's text files hold it."""
    own = {_KEY: {"format": FORMAT, "version": __version__, "content": content}}
    given: str = DefaultParamsWriter._get_metadata_to_save(stage, spark, own, _saved_params(stage))
    return as_text(given)


def _read_metadata(spark: SparkSession, stage: type[Any], path: str) -> dict[str, Any]:
    try:
        metadata = read_metadata(spark, path)
    except SparkwaterError:
        raise
    except UNREADABLE as error:
        raise CheckpointError(f"{path!r} holds no saved {stage.__name__}: {first_line(error)}") from error
    return metadata


def _check_class(metadata: dict[str, Any], stage: type[Any], path: str) -> None:
    expected = f"{stage.__module__}.{stage.__name__}"
    if metadata["class"] != expected:
        raise UnsafeLoadError(f"{path!r} was saved as {metadata['class']!r}; {expected!r} was asked to load it")


def _check_format(metadata: dict[str, Any], stage: type[Any], path: str) -> None:
    """Refuse other formats. Stages of Params only were written alike before there was a format number."""
    own = metadata.get(_KEY)
    if own is None:
        if stage._save_more is SavedStage._save_more:
            return
        raise CheckpointError(
            f"{path!r} has no format number: it was saved by an early sparkwater 0.1.0, in an earlier format; this "
            f"sparkwater ({__version__}) reads format {FORMAT}. Train or save it again with this version, or load it "
            "with the one that saved it"
        )
    number = own.get("format") if isinstance(own, dict) else None
    if type(number) is not int or number < 1:
        raise CheckpointError(f"{path!r} is damaged: its metadata says {_KEY}={own!r}")
    if number > FORMAT:
        raise CheckpointError(
            f"{path!r} has format {number}: it was saved by sparkwater {own.get('version')}; this sparkwater "
            f"({__version__}) reads format {FORMAT}. Update sparkwater"
        )


def _with_params(metadata: dict[str, Any], stage: type[Any], path: str) -> Any:
    try:
        loaded = stage()
        loaded._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(loaded, metadata)
    except SparkwaterError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
        raise CheckpointError(
            f"{path!r}: its Params aren't those of this sparkwater's {stage.__name__}: {error}; make and save it again"
        ) from error
    return loaded
