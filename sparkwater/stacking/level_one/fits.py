"""Fits of learners on folds, side by side: each is retried alone, and finished ones are kept."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pyspark import StorageLevel
from pyspark.errors import AnalysisException, IllegalArgumentException, ParseException, PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.util import inheritable_thread_target

from sparkwater.conversions.files.hadoop import read_bytes, resolve, write_bytes
from sparkwater.conversions.stages.stage_folders import first_line, load_stage
from sparkwater.errors import CheckpointError, ConfigurationError, DataError, SchemaError, raised_on_executor
from sparkwater.stacking.level_one.learners import Learner, last_stage
from sparkwater.stacking.level_one.prepare import FOLD
from sparkwater.stacking.level_one.values import VALUES, add_values
from sparkwater.stacking.row_keys import ROW, Fingerprint, fingerprint_columns, plain_column

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.stacking.level_one.prepare import FoldRows, Prepared

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Mistakes that a second attempt would only repeat.
_FINAL = (
    ConfigurationError, DataError, SchemaError, AnalysisException, IllegalArgumentException, ParseException,
    TypeError, NotImplementedError,
)  # fmt: skip
_DONE_FILE = "fit.json"


@dataclass(frozen=True)
class FitRecord:
    """Record of one fit.

    Attributes
    ----------
    learner : str
        Its name.
    fold : str
        The held-out fold.
    rows : int
        The held-out rows that its model scored.
    fitSeconds, scoreSeconds : float
        Wall time of both, side by side with other fits.
    attempts : int
        Attempts in this call; 0 where an earlier call finished it.
    epochs : float or None
        Passes over the rows, for learners that report them.
    """

    learner: str
    fold: str
    rows: int
    fitSeconds: float
    scoreSeconds: float
    attempts: int
    epochs: float | None = None


@dataclass(frozen=True)
class FoldModel:
    """A model with its held-out fold.

    Attributes
    ----------
    learner : str
        Its name.
    fold : object
        The value of the held-out fold.
    fingerprint : str
        Fingerprint of the rows and folds that it belongs to.
    model : pyspark.ml.Model
        The fitted model.
    """

    learner: str
    fold: Any
    fingerprint: str
    model: Any


@dataclass(frozen=True)
class Scored:
    """One learner's predictions of one fold, with the record of the fit; the model on request."""

    record: FitRecord
    values: DataFrame
    model: FoldModel | None


def fit_fold(prepared: Prepared, learner: Learner, fold: FoldRows, keep: bool, folder: str | None) -> Scored:
    """Fit a learner on the rows outside of a fold, and score the fold.

    Parameters
    ----------
    prepared : Prepared
        The rows.
    learner : Learner
        The learner to fit.
    fold : FoldRows
        The fold to leave out.
    keep : bool
        Whether to keep the model.
    folder : str, optional
        Folder of the predictions and the model, searched first. Default: Spark's cache.
    """
    if folder is not None:
        found = _finished(prepared, learner, fold, keep, folder)
        if found is not None:
            return found
    started = time.monotonic()
    training, where = prepared.training(fold), f"learner {learner.name!r}, fold {fold.value!r}"
    model, attempts = retry(lambda: learner.stage.fit(training), where)
    fitted = time.monotonic()
    values = add_values(prepared.scorable(fold), model, learner, prepared.task).select(ROW, FOLD, VALUES)
    if folder is None:
        values = values.persist(StorageLevel.MEMORY_AND_DISK)
    else:
        values.write.mode("overwrite").parquet(f"{folder}/predictions")
        values = values.sparkSession.read.parquet(f"{folder}/predictions")
        if keep:
            model.write().overwrite().save(f"{folder}/model")
    check_rows(values, fold.rows, where)
    record = FitRecord(
        learner.name,
        str(fold.value),
        fold.rows.rows,
        fitted - started,
        time.monotonic() - fitted,
        attempts,
        epochs(model),
    )
    if folder is not None:
        write_bytes(values.sparkSession, f"{folder}/{_DONE_FILE}", json.dumps(asdict(record)).encode())
    logger.info(
        "%s: fitted in %.1f s, %d rows scored in %.1f s", where, record.fitSeconds, record.rows, record.scoreSeconds
    )
    kept = FoldModel(learner.name, fold.value, prepared.rows.digest, model) if keep else None
    return Scored(record, values, kept)


def _finished(prepared: Prepared, learner: Learner, fold: FoldRows, keep: bool, folder: str) -> Scored | None:
    """Return the fit that an earlier call finished, or None."""
    spark = prepared.frame.sparkSession
    filesystem, path = resolve(spark, f"{folder}/{_DONE_FILE}")
    if not filesystem.exists(path) or (keep and not filesystem.exists(resolve(spark, f"{folder}/model")[1])):
        filesystem.delete(path, False)
        return None
    try:
        fields = json.loads(read_bytes(spark, f"{folder}/{_DONE_FILE}", CheckpointError))
        record = FitRecord(**{**fields, "attempts": 0})
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{folder}/{_DONE_FILE} is damaged: {error}; delete this folder") from error
    values = spark.read.parquet(f"{folder}/predictions")
    check_rows(values, fold.rows, f"the predictions in {folder!r}")
    model = None
    if keep:
        model = FoldModel(
            learner.name, fold.value, prepared.rows.digest, load_stage(spark, f"{folder}/model", learner.consent)
        )
    logger.info("learner %r, fold %r: finished by an earlier call", learner.name, fold.value)
    return Scored(record, values, model)


def check_rows(values: DataFrame, expected: Fingerprint, where: str) -> None:
    """Refuse predictions that don't match the rows one to one.

    Raises
    ------
    DataError
        If rows are missing, doubled or strange, have no prediction, or not one for each class.
    """
    rows, total, mixed = fingerprint_columns(F.col(ROW), plain_column(values.schema, FOLD))
    empty = F.count_if(F.col(VALUES).isNull() | F.exists(VALUES, lambda value: value.isNull() | F.isnan(value)))
    sums = values.agg(rows.alias("rows"), total.alias("total"), mixed.alias("mixed"), empty.alias("empty"))
    try:
        found = sums.first()
    except PySparkException as error:
        mistake = raised_on_executor(error)
        if mistake is None:
            raise
        raise mistake from error
    assert found is not None  # an aggregate has a row
    if Fingerprint(found["rows"], int(found["total"]), found["mixed"]) != expected:
        raise DataError(
            f"{where}: {found['rows']} rows were scored where there are {expected.rows}, or not the same ones; a "
            "learner must keep every row (handleInvalid='error'), and the input must give the same rows again where "
            "Spark evaluates it again (write it to a file first, or use checkpointDir)"
        )
    if found["empty"]:
        raise DataError(f"{where}: {found['empty']} rows have no prediction, or NaN; mend or leave out such rows")


def epochs(model: Any) -> float | None:
    """Return the passes over the rows of a training that counts them."""
    last = last_stage(model)
    records = getattr(last.summary, "records", None) if hasattr(last, "fitted") else None
    return float(len(records)) if records is not None else None


def retry(work: Callable[[], T], what: str) -> tuple[T, int]:
    """Return the result and the number of attempts; a mistake of the user's is raised at once.

    Raises
    ------
    Exception
        The last one.
    """
    try:
        return work(), 1
    except _FINAL:
        raise
    except Exception as error:
        logger.warning("%s failed and is tried again: %s", what, first_line(error))
    return work(), 2


def run_side_by_side(work: Sequence[Callable[[], T]], parallelism: int) -> list[T]:
    """Run functions in threads and return their results in order.

    After a failure none is started any more, and those that run come to their end.

    Raises
    ------
    Exception
        The first one.
    """
    spark, stopped = SparkSession.active(), threading.Event()

    def run(one: Callable[[], T]) -> T | None:
        if stopped.is_set():
            return None
        try:
            return one()
        except BaseException:
            stopped.set()
            raise

    with ThreadPoolExecutor(max(1, min(parallelism, len(work)))) as pool:
        futures = [pool.submit(inheritable_thread_target(spark)(run), one) for one in work]
        try:
            errors = [future.exception() for future in futures]
        except BaseException:  # the user interrupted
            stopped.set()
            raise
    for error in errors:
        if error is not None:
            raise error
    return [future.result() for future in futures]
