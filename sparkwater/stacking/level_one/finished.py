"""Fits in a folder of their own: written when they are finished, and found by a later call."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparkwater.conversions.files.session_files import files_of, read_bytes, write_bytes
from sparkwater.conversions.stages.stage_folders import load_stage
from sparkwater.errors import CheckpointError
from sparkwater.stacking.level_one.checks import check_rows
from sparkwater.stacking.level_one.learners import Learner
from sparkwater.stacking.level_one.prepared import FOLD
from sparkwater.stacking.level_one.records import FitRecord, FoldModel, Scored
from sparkwater.stacking.level_one.values import LEARNER, LEFT_OUT, VALUES
from sparkwater.stacking.row_keys import ROW

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.stacking.level_one.prepared import FoldRows, Prepared

logger = logging.getLogger(__name__)

_DONE_FILE = "fit.json"


def write_fit(values: DataFrame, folder: str, model: Any) -> DataFrame:
    """Write a fit's predictions, and its model where there is one; return the predictions as they were written.

    Parameters
    ----------
    values : pyspark.sql.DataFrame
        The predictions.
    folder : str
        The folder of the fit.
    model : pyspark.ml.Model or None
        The model to keep.
    """
    values.write.mode("overwrite").parquet(f"{folder}/predictions")
    if model is not None:
        model.write().overwrite().save(f"{folder}/model")
    return values.sparkSession.read.parquet(f"{folder}/predictions")


def finish(record: FitRecord, values: DataFrame, folder: str) -> None:
    """Write the record of a fit whose predictions were checked: it counts as finished from now on."""
    write_bytes(values.sparkSession, f"{folder}/{_DONE_FILE}", json.dumps(asdict(record)).encode())


def find_finished(prepared: Prepared, learner: Learner, fold: FoldRows, keep: bool, folder: str) -> Scored | None:
    """Return the fit that an earlier call finished, or None.

    Raises
    ------
    CheckpointError
        If its record is damaged.
    DataError
        If its predictions are of other rows.
    """
    spark = prepared.frame.sparkSession
    files, done = files_of(spark), f"{folder}/{_DONE_FILE}"
    if not files.exists(done) or (keep and not files.exists(f"{folder}/model")):
        files.delete(done)
        return None
    try:
        fields = json.loads(read_bytes(spark, f"{folder}/{_DONE_FILE}", CheckpointError))
        record = FitRecord(**{**fields, "attempts": 0})
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{folder}/{_DONE_FILE} is damaged: {error}; delete this folder") from error
    written = spark.read.parquet(f"{folder}/predictions")
    named = {LEARNER: learner.name, LEFT_OUT: str(fold.value)}
    values = written.select(ROW, FOLD, VALUES, *(F.lit(value).alias(name) for name, value in named.items()))
    check_rows(values, fold.rows, f"the predictions in {folder!r}")
    models: tuple[FoldModel, ...] = ()
    if keep:
        model = load_stage(spark, f"{folder}/model", learner.consent)
        models = (FoldModel(learner.name, fold.value, prepared.rows.digest, model),)
    logger.info("learner %r, fold %r: finished by an earlier call", learner.name, fold.value)
    return Scored((record,), values, models)
