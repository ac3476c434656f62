"""``save_over``: a stage saved in place of an older one, which stays until all is written."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pyspark.ml import PipelineModel
from pyspark.ml.pipeline import PipelineSharedReadWrite
from pyspark.ml.util import DefaultParamsWriter

from sparkwater.conversions.files.session_files import check_spark_reaches, files_of, new_folder, replacing
from sparkwater.conversions.sessions.session import current_session
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.stage_folders import NewFolder, save_stage
from sparkwater.conversions.stages.store_folders import as_text, write_metadata
from sparkwater.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def save_over(stage: Any, path: str) -> None:
    """Save a stage in place of an older one at the path, where there is one; driver side.

    Spark's own ``write().overwrite().save(path)`` of a pipeline deletes the old one first, so a save that fails leaves
    none. Here the old one stays until all is written. What is saved loads as usual, by ``PipelineModel.load``.

    Parameters
    ----------
    stage : pyspark.ml.PipelineModel or another stage
        A stage with a writer. On a store of objects a pipeline's model, or a stage of this package.
    path : str
        Folder on any filesystem that Spark knows.

    Raises
    ------
    ConfigurationError
        If a stage has no writer, Spark doesn't reach the path, or, on a store, the stage can't be replaced as a whole.
    """
    spark = current_session()
    if isinstance(stage, SavedStage):
        stage.write().overwrite().save(path)
    elif not files_of(spark).is_store(path):
        with replacing(spark, path, True) as folder:
            save_stage(stage, folder)
    elif isinstance(stage, PipelineModel):
        _write_pipeline(spark, stage, path.rstrip("/"))
    else:
        raise ConfigurationError(
            f"{type(stage).__name__} can't be replaced as a whole on a store of objects; save PipelineModel([it])"
        )


def _write_pipeline(spark: SparkSession, model: PipelineModel, path: str) -> None:
    """Write a pipeline as Spark does, but stages to folders of new names, and the metadata that names them last."""
    check_spark_reaches(spark, path)  # by whose reader it is loaded, whatever is in it
    stages: list[Any] = list(model.stages)
    names = [f"{stage.uid}-{uuid.uuid4().hex[:8]}" for stage in stages]
    folders = [
        PipelineSharedReadWrite.getStagePath(name, place, len(stages), "stages") for place, name in enumerate(names)
    ]
    new, files = NewFolder(spark, path), files_of(spark)
    with ExitStack() as unfinished:
        for stage, folder in zip(stages, folders, strict=True):
            unfinished.enter_context(new_folder(files, f"{path}/{folder}"))
            new.write_stage(folder, stage)
    params = {"stageUids": names, "language": "Python"}
    metadata = DefaultParamsWriter._get_metadata_to_save(model, spark, paramMap=params)
    write_metadata(files, path, as_text(metadata), folders)
