"""Second level: learners of the first level's predictions, cross-fitted so that no label reaches its own prediction."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import DataError, SchemaError
from sparkwater.stacking.combined import compare_levels, fit_given
from sparkwater.stacking.cross_fitting import LevelOneFrame, collect_level_one, fit_folds, put_together
from sparkwater.stacking.ensemble_model import BaseModel
from sparkwater.stacking.level_one.checks import check_rows
from sparkwater.stacking.level_one.fits import epochs, retry, run_side_by_side
from sparkwater.stacking.level_one.learners import CLASSIFICATION, Learner
from sparkwater.stacking.level_one.prepared import FOLD, FoldRows, Prepared
from sparkwater.stacking.level_one.records import FitRecord, Scored
from sparkwater.stacking.level_one.values import LEARNER, LEFT_OUT, VALUES, add_values
from sparkwater.stacking.meta_learner import LevelOneInput, check_meta_learner, measured_output
from sparkwater.stacking.row_keys import ROW
from sparkwater.stacking.scores import Levels
from sparkwater.stacking.stack import MetaFit, configured, ordered_level_one

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

#: Folds that a second level needs: one to score, one to train on, and one for the predictions that this one reads.
FEWEST_FOLDS = 3


def find_second(stages: Mapping[str, Any], kind: str, taken: Sequence[str]) -> list[Learner]:
    """Return the learners of the second level, or refuse them before anything is trained.

    Parameters
    ----------
    stages : mapping of str to pyspark.ml.Estimator
        The learners by name.
    kind : {"classification", "regression"}
        Kind of the first level's learners.
    taken : sequence of str
        Names of columns and of other learners.

    Raises
    ------
    ConfigurationError
        If one can't learn from a vector of predictions, or is of another kind.
    SchemaError
        If one has the name of a column or of another learner.
    """
    output = measured_output(kind)
    for name, stage in stages.items():
        check_meta_learner(stage, kind, f"secondLevelLearners[{name!r}]")
        if not name or name in taken:
            raise SchemaError(f"secondLevelLearners: {name!r} is the name of a column or another learner already")
    return [Learner(name, stage, kind, output) for name, stage in stages.items()]


def cross_fit_second(
    level_one: LevelOneFrame, learners: Sequence[Learner], passthrough: Sequence[str], parallelism: int | None
) -> LevelOneFrame:
    """Give each row one prediction of each learner of the second level, which its label had no part in.

    The first level is fitted again without each two folds. Of these models, those that left a fold out predict the
    rows outside of it: they saw neither the fold nor the row, and the second level is trained on that. Level one as it
    is would do for nothing: its predictions outside of the fold are by models that saw the fold's labels, from which a
    learner can tell them.

    Parameters
    ----------
    level_one : LevelOneFrame
        The first level; its predictions of a fold are what the models of the second level score it by.
    learners : sequence of Learner
        From `find_second`.
    passthrough : sequence of str
        Other columns that they read.
    parallelism : int, optional
        Fits at a time.

    Raises
    ------
    DataError
        If there are fewer than three folds, or rows of a class in fewer.
    """
    prepared = level_one.prepared
    _check_folds(prepared)
    reads = LevelOneInput(level_one.names, level_one.task, passthrough=tuple(passthrough))
    with ExitStack() as undo:
        scored: list[Scored] = []
        with ExitStack() as done:
            pairs = prepared.in_pairs()
            kept = level_one.checkpoint.within("pairs") if level_one.checkpoint else None
            logger.info("second level: the first level is fitted without each two folds")
            parts = fit_folds(pairs, level_one.learners, done, kept, parallelism, False)
            rows = ordered_level_one(prepared, level_one.values, reads).persist()
            done.callback(rows.unpersist)
            for fold in prepared.folds:
                inner = ordered_level_one(prepared, outside(fold, pairs, parts, level_one.names), reads)
                scored += _score(fold, inner, rows, level_one, learners, parallelism, undo)
        found = collect_level_one(prepared, learners, scored)
        undo.pop_all()
    return found


def outside(fold: FoldRows, pairs: Prepared, parts: Sequence[Scored], names: Sequence[str]) -> DataFrame:
    """Return the predictions of the rows outside of a fold by the models that saw neither the fold nor theirs.

    Parameters
    ----------
    fold : FoldRows
        The fold.
    pairs : Prepared
        The rows, with pairs of folds.
    parts : sequence of Scored
        The predictions of all pairs; of these parts only those with a pair of the fold are read.
    names : sequence of str
        Names of the learners.
    """
    own = [str(pair.value) for pair in pairs.folds if fold in pair.both]
    here = F.col(LEFT_OUT).isin(own) & ~F.col(FOLD).eqNullSafe(F.lit(fold.value))
    read = [part.values.where(here) for part in parts if any(record.fold in own for record in part.records)]
    return put_together(pairs, read, names)


def _check_folds(prepared: Prepared) -> None:
    """Refuse folds of which two can't be left out at a time; takes a Spark job for classes."""
    if len(prepared.folds) < FEWEST_FOLDS:
        raise DataError(
            f"foldCol={prepared.foldCol!r} holds {len(prepared.folds)} folds; a second level needs {FEWEST_FOLDS} or "
            "more"
        )
    if prepared.task.kind == CLASSIFICATION:
        folds = F.count_distinct(F.col(f"`{prepared.foldCol}`")).alias("folds")
        rows = prepared.frame.groupBy(F.col(f"`{prepared.labelCol}`").alias("label")).agg(folds)
        rare = rows.where(F.col("folds") < FEWEST_FOLDS).orderBy("label").first()
        if rare is not None:
            raise DataError(
                f"labelCol={prepared.labelCol!r}: the rows of {rare['label']!r} are in {rare['folds']} folds only; a "
                "second level leaves out two at a time, so its learners would never see it: use "
                "foldAssignment='stratified', or leave such rows out"
            )


def _score(
    fold: FoldRows, inner: DataFrame, rows: DataFrame, level_one: LevelOneFrame, learners: Sequence[Learner],
    parallelism: int | None, undo: ExitStack,
) -> list[Scored]:  # fmt: skip
    """Fit the second level on predictions of the rows outside of a fold, and score the fold by level one."""
    training = inner.persist()
    try:
        scorable = rows.where(F.col(FOLD).eqNullSafe(F.lit(fold.value)))
        work = [partial(_fit, learner, fold, training, scorable, level_one, undo) for learner in learners]
        return run_side_by_side(work, parallelism or len(work))
    finally:
        training.unpersist()


def _fit(
    learner: Learner, fold: FoldRows, training: DataFrame, scorable: DataFrame, level_one: LevelOneFrame,
    undo: ExitStack,
) -> Scored:  # fmt: skip
    where = f"learner {learner.name!r} of the second level, fold {fold.value!r}"
    started = time.monotonic()
    stage = configured(learner.stage, bool(level_one.prepared.weightCol))
    model, attempts = retry(lambda: stage.fit(training), where)
    fitted = time.monotonic()
    values = add_values(scorable, model, learner, level_one.task).select(
        ROW, FOLD, VALUES, F.lit(learner.name).alias(LEARNER)
    )
    session = session_of(scorable.sparkSession)
    values = session.keep(values)
    undo.callback(values.unpersist)  # where this fit, or another one, fails
    check_rows(values, fold.rows, where)
    session.release([model], stage)
    seconds = time.monotonic() - fitted
    record = FitRecord(
        learner.name, str(fold.value), fold.rows.rows, fitted - started, seconds, attempts, epochs(model)
    )
    return Scored((record,), values, (), values)


@dataclass(frozen=True)
class SecondLevel:
    """A second level on top of a first one.

    Attributes
    ----------
    first, second : LevelOneFrame
        The out-of-fold predictions of both.
    passthrough : tuple of str
        Other columns that the second level reads.
    """

    first: LevelOneFrame
    second: LevelOneFrame
    passthrough: tuple[str, ...]

    @classmethod
    def of(
        cls, first: LevelOneFrame, stages: Mapping[str, Any], passthrough: Sequence[str], parallelism: int
    ) -> SecondLevel:
        """Cross-fit the second level; see `cross_fit_second`."""
        learners = find_second(stages, first.task.kind, first.names)
        return cls(first, cross_fit_second(first, learners, passthrough, parallelism), tuple(passthrough))

    def compare(
        self, meta: MetaFit, given: Any, parallelism: int, calibration: str
    ) -> tuple[LevelOneFrame, Levels, MetaFit]:
        """Return the predictions of both levels, their comparison, and the combiner: over both or the first.

        Parameters
        ----------
        meta : MetaFit
            The combiner over the first level.
        given : str, Combiner or None
            The meta-learner.
        parallelism : int
            Fits at a time.
        calibration : {"none", "temperature", "isotonic", "auto"}
            Calibration of its probabilities.
        """
        both = self.first.join(self.second)
        try:
            over_both = fit_given(both, LevelOneInput(both.names, both.task), given, parallelism, calibration)
            levels = compare_levels(both, meta, over_both)
        finally:
            self.second.values.unpersist()
        over_one = replace(meta, metrics=meta.metrics.join(self.second.metrics))
        return both, levels, over_both if levels.taken else over_one

    def fit(self) -> tuple[BaseModel, ...]:
        """Fit the second level on all rows of the first level's predictions, and return its models."""
        first = self.first
        reads = LevelOneInput(first.names, first.task, passthrough=self.passthrough)
        rows = ordered_level_one(first.prepared, first.values, reads).persist()
        try:
            return tuple(
                BaseModel(learner.name, learner.output, (_fit_on(learner, rows, first.prepared),), reads)
                for learner in self.second.learners
            )
        finally:
            rows.unpersist()


def _fit_on(learner: Learner, rows: DataFrame, prepared: Prepared) -> Any:
    stage = configured(learner.stage, bool(prepared.weightCol))
    return retry(lambda: stage.fit(rows), f"learner {learner.name!r} of the second level")[0]
