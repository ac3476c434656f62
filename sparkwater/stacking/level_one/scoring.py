"""Scoring of folds by the models that left them out: of one, or of all in one Spark job."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparkwater.conversions.sessions.jobs import run_job
from sparkwater.conversions.sessions.session import session_of
from sparkwater.stacking.level_one.checks import NO_ROWS, check_columns, check_counts
from sparkwater.stacking.level_one.learners import Learner
from sparkwater.stacking.level_one.prepared import FOLD
from sparkwater.stacking.level_one.records import FitRecord, FoldModel, Scored
from sparkwater.stacking.level_one.values import LEARNER, LEFT_OUT, VALUES, add_values, union_all
from sparkwater.stacking.row_keys import ROW

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.stacking.level_one.prepared import FoldRows, Prepared

logger = logging.getLogger(__name__)

_FIT = "__sparkwater_fit"


@dataclass(frozen=True)
class FoldFit:
    """A model that left a fold out.

    Attributes
    ----------
    learner : Learner
        Its learner.
    fold : FoldRows
        The fold.
    model : pyspark.ml.Model
        The model.
    seconds : float
        Wall time of the fit.
    attempts : int
        Attempts that it took.
    epochs : float or None
        Passes over the rows, for learners that report them.
    """

    learner: Learner
    fold: FoldRows
    model: Any
    seconds: float
    attempts: int
    epochs: float | None

    @property
    def where(self) -> str:
        """The learner and the fold, for messages."""
        return f"learner {self.learner.name!r}, fold {self.fold.value!r}"

    def values(self, prepared: Prepared) -> DataFrame:
        """Return the fold's predictions."""
        values = add_values(prepared.scorable(self.fold), self.model, self.learner, prepared.task)
        left_out = F.lit(str(self.fold.value)).alias(LEFT_OUT)
        return values.select(ROW, FOLD, VALUES, F.lit(self.learner.name).alias(LEARNER), left_out)

    def record(self, score_seconds: float) -> FitRecord:
        """Return the record of the fit."""
        return FitRecord(
            self.learner.name,
            str(self.fold.value),
            self.fold.rows.rows,
            self.seconds,
            score_seconds,
            self.attempts,
            self.epochs,
        )

    def kept(self, prepared: Prepared) -> FoldModel:
        """Return the model with its fold."""
        return FoldModel(self.learner.name, self.fold.value, prepared.rows.digest, self.model)


def score_together(prepared: Prepared, fits: Sequence[FoldFit], keep: bool) -> Scored:
    """Score the folds of several fits and check the predictions of all; one Spark job.

    Parameters
    ----------
    prepared : Prepared
        The rows; they are few.
    fits : sequence of FoldFit
        The fits.
    keep : bool
        Whether to keep the models.

    Raises
    ------
    DataError
        If a learner doesn't give each row of a fold a prediction.
    """
    started = time.monotonic()
    parts = [fit.values(prepared).withColumn(_FIT, F.lit(number)) for number, fit in enumerate(fits)]
    session = session_of(prepared.frame.sparkSession)
    values = session.keep(prepared.gather(union_all(parts)))
    try:
        found = run_job(values.groupBy(_FIT).agg(*check_columns(values.schema)).collect)
        counts = {row[_FIT]: row for row in found}
        for number, fit in enumerate(fits):
            check_counts(counts.get(number, NO_ROWS), fit.fold.rows, fit.where)
    except BaseException:
        values.unpersist()
        raise
    each = (time.monotonic() - started) / len(fits)
    logger.info("%d fits scored in %.1f s", len(fits), each * len(fits))
    records = tuple(fit.record(each) for fit in fits)
    models = tuple(fit.kept(prepared) for fit in fits) if keep else ()
    for fit in () if keep else fits:
        session.release([fit.model], fit.learner.stage)
    return Scored(records, values.select(ROW, FOLD, VALUES, LEARNER, LEFT_OUT), models, values)
