"""Fits of learners on folds, side by side: each is retried alone, and finished ones are kept."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

from pyspark.errors import AnalysisException, IllegalArgumentException, ParseException
from pyspark.sql import SparkSession

from sparkwater.conversions.sessions.session import session_of, was_cancelled
from sparkwater.errors import ConfigurationError, DataError, SchemaError, first_line
from sparkwater.stacking.level_one.checks import check_rows
from sparkwater.stacking.level_one.finished import find_finished, finish, write_fit
from sparkwater.stacking.level_one.learners import Learner, last_stage
from sparkwater.stacking.level_one.records import Scored
from sparkwater.stacking.level_one.scoring import FoldFit

if TYPE_CHECKING:
    from sparkwater.stacking.level_one.prepared import FoldRows, Prepared

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Mistakes that a second attempt would only repeat.
_FINAL = (
    ConfigurationError, DataError, SchemaError, AnalysisException, IllegalArgumentException, ParseException,
    TypeError, NotImplementedError,
)  # fmt: skip


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
        found = find_finished(prepared, learner, fold, keep, folder)
        if found is not None:
            return found
    fit = fit_without(prepared, learner, fold)
    fitted, values = time.monotonic(), fit.values(prepared)
    session = session_of(prepared.frame.sparkSession)
    with ExitStack() as undo:
        if folder is None:
            values = session.keep(values)
            undo.callback(values.unpersist)  # where a row has no prediction
        else:
            values = write_fit(values, folder, fit.model if keep else None)
        check_rows(values, fold.rows, fit.where)
        undo.pop_all()
    record = fit.record(time.monotonic() - fitted)
    logger.info(
        "%s: fitted in %.1f s, %d rows scored in %.1f s", fit.where, record.fitSeconds, record.rows, record.scoreSeconds
    )
    if folder is not None:
        finish(record, values, folder)
    if not keep:
        session.release([fit.model], learner.stage)
    return Scored((record,), values, (fit.kept(prepared),) if keep else (), None if folder else values)


def fit_without(prepared: Prepared, learner: Learner, fold: FoldRows) -> FoldFit:
    """Fit a learner on the rows outside of a fold; the fold isn't scored yet."""
    started, training = time.monotonic(), prepared.training(fold)
    model, attempts = retry(lambda: learner.stage.fit(training), f"learner {learner.name!r}, fold {fold.value!r}")
    return FoldFit(learner, fold, model, time.monotonic() - started, attempts, epochs(model))


def epochs(model: Any) -> float | None:
    """Return the passes over the rows of a training that counts them."""
    last = last_stage(model)
    records = getattr(last.summary, "records", None) if hasattr(last, "fitted") else None
    return float(len(records)) if records is not None else None


def retry(work: Callable[[], T], what: str) -> tuple[T, int]:
    """Return the result and the number of attempts; a mistake of the user's, or a cancellation, is raised at once.

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
        if was_cancelled(error):
            raise
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
        futures = [pool.submit(session_of(spark).in_thread(run), one) for one in work]
        try:
            errors = [future.exception() for future in futures]
        except BaseException:  # the user interrupted
            stopped.set()
            raise
    for error in errors:
        if error is not None:
            raise error
    return [future.result() for future in futures]
