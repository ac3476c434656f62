"""Cross-fitting: out-of-fold predictions of each row, by models that never saw it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pyspark.ml import Estimator
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.stacking.folds import Folds, role_columns
from sparkwater.stacking.level_one.checkpoints import FitStore
from sparkwater.stacking.level_one.deviance import deviance_of
from sparkwater.stacking.level_one.fit_plan import (
    check_kept,
    check_parallelism,
    count_models,
    count_slots,
    plan_fits,
)
from sparkwater.stacking.level_one.fits import fit_fold, fit_without, retry, run_side_by_side
from sparkwater.stacking.level_one.learners import Learner, find_learners, hide_columns, set_apart
from sparkwater.stacking.level_one.metrics import LearnerMetrics, keep_measured
from sparkwater.stacking.level_one.one_job import check_plan, fit_in_one_job, holds_its_rows
from sparkwater.stacking.level_one.prepare import prepare
from sparkwater.stacking.level_one.prepared import LevelOneTask, Prepared
from sparkwater.stacking.level_one.records import FitRecord, FoldModel, Scored
from sparkwater.stacking.level_one.scoring import FoldFit, score_together
from sparkwater.stacking.level_one.values import LEARNER, VALUES, shown, union_all
from sparkwater.stacking.row_keys import ROW, Fingerprint

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LevelOneFrame:
    """The rows with one out-of-fold prediction of each learner: `frame` shows them, and `StackedEnsemble` stacks them.

    Attributes
    ----------
    prepared : Prepared
        The rows as every fit read them.
    learners : tuple of Learner
        In the order of their columns.
    values : pyspark.sql.DataFrame
        The key of each row and an array of values a learner, in Spark's cache or in files.
    fits : tuple of FitRecord
        Records of the fits.
    models : tuple of FoldModel
        The fold models, where they were kept.
    metrics : LearnerMetrics
        Metrics of each learner, by fold and over all rows.
    checkpoint : FitStore or None
        The folder of rows and fits, where one was given.
    """

    prepared: Prepared
    learners: tuple[Learner, ...]
    values: DataFrame
    fits: tuple[FitRecord, ...]
    models: tuple[FoldModel, ...]
    metrics: LearnerMetrics
    checkpoint: FitStore | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The learners' names."""
        return tuple(learner.name for learner in self.learners)

    @property
    def task(self) -> LevelOneTask:
        """The learning task."""
        return self.prepared.task

    @property
    def fingerprint(self) -> str:
        """Fingerprint of rows and folds; equal for frames whose predictions can be joined."""
        return self.prepared.rows.digest

    @property
    def labels(self) -> Fingerprint:
        """Fingerprint of rows and labels."""
        return self.prepared.labels

    @property
    def frame(self) -> DataFrame:
        """The original rows, the fold, and a column a learner.

        For two classes it is the probability of the second, for more a vector of all, for regression
        the prediction.
        """
        columns = [F.col(f"`{name}`") for name in self.prepared.frame.columns if name != ROW]
        added = [shown(F.col(f"`{name}`"), self.task).alias(name) for name in self.names]
        return self.keyed().select(*columns, *added)

    def keyed(self) -> DataFrame:
        """Return the rows with their keys and the learners' arrays of values."""
        columns = [F.col(f"`{name}`") for name in self.prepared.frame.columns if name != ROW]
        return self.prepared.join(columns, self.values)

    def select(self, names: Sequence[str]) -> LevelOneFrame:
        """Return the frame with some of its learners only.

        Raises
        ------
        ConfigurationError
            If it has no such learner.
        """
        missing = [name for name in names if name not in self.names]
        if missing or not names:
            raise ConfigurationError(f"there is no learner {missing!r} here; there are {', '.join(self.names)}")
        return replace(
            self,
            learners=tuple(learner for name in names for learner in self.learners if learner.name == name),
            values=self.values.select(ROW, *(F.col(f"`{name}`") for name in names)),
            fits=tuple(fit for fit in self.fits if fit.learner in names),
            models=tuple(model for model in self.models if model.learner in names),
            metrics=self.metrics.select(names),
        )

    def join(self, other: LevelOneFrame) -> LevelOneFrame:
        """Return the learners of both, for the same rows in the same folds with the same labels.

        Raises
        ------
        DataError
            If rows, folds or labels differ.
        SchemaError
            If both have a learner of the same name.
        """
        self.check_same(other.prepared)
        doubled = set(self.names) & set(other.names)
        if doubled:
            raise SchemaError(f"both level-one frames have a learner {min(doubled)!r}")
        return replace(
            self,
            learners=self.learners + other.learners,
            values=self.values.join(other.values, ROW),
            fits=self.fits + other.fits,
            models=self.models + other.models,
            metrics=self.metrics.join(other.metrics),
        )

    def check_same(self, other: Prepared) -> None:
        """Refuse other rows, folds or labels than those that the predictions belong to.

        Raises
        ------
        DataError
            With the difference.
        """
        if self.prepared.rows.rows != other.rows.rows:
            raise DataError(
                f"level-one frames of {self.prepared.rows.rows} and {other.rows.rows} rows don't fit together"
            )
        if self.fingerprint != other.rows.digest:
            raise DataError(
                f"level-one frames with fingerprints {self.fingerprint} and {other.rows.digest} hold other rows, or "
                "the rows in other folds: predictions would leak; use the same rows, folds and seed for both"
            )
        mine, theirs = self.task, other.task
        if self.labels != other.labels or (mine.kind, mine.classes) != (theirs.kind, theirs.classes):
            raise DataError("level-one frames of the same rows have different labels")
        if mine.deviance != theirs.deviance:
            raise DataError(
                "level-one frames are judged by different losses, which follow from the distributions of their "
                "learners; cross-fit the learners in one call"
            )
        wrong = [model for model in self.models if model.fingerprint != self.fingerprint]
        if wrong:
            raise DataError(
                f"the fold model of learner {wrong[0].learner!r}, fold {wrong[0].fold!r}, has fingerprint "
                f"{wrong[0].fingerprint}, the level-one frame {self.fingerprint}: it may have seen the rows it scores"
            )

    def unpersist(self) -> None:
        """Free what Spark's cache holds; the frame can't be used any more."""
        self.values.unpersist()
        self.prepared.frame.unpersist()


def cross_fit(
    learners: Mapping[str, Estimator[Any]],
    frame: DataFrame,
    folds: Folds | str = "fold",
    *,
    labelCol: str = "label",
    weightCol: str | None = None,
    idCol: str | None = None,
    parallelism: int | None = None,
    keepModels: bool = False,
    checkpointDir: str | None = None,
) -> LevelOneFrame:
    """Give each row one prediction of each learner, by the model that was fitted without the row's fold.

    The rows are evaluated once. Fits run side by side; one that fails, but for the user's input, is tried once more.

    Parameters
    ----------
    learners : mapping of str to pyspark.ml.Estimator
        By the name of the column that each gives; all give a ``probability`` column, or all are regressors.
    frame : pyspark.sql.DataFrame
        The rows.
    folds : Folds or str
        Assignment of folds, or the column that holds them: integers or any category.
    labelCol : str
        The label of all learners; strings and booleans are numbered for them, in sorted order.
    weightCol : str, optional
        Weights of the rows in the metrics.
    idCol : str, optional
        Column that identifies a row. Default: the content of all columns, and a number for duplicates.
    parallelism : int, optional
        Fits at a time. Default: as many as the slots allow.
    keepModels : bool
        Whether to keep the fold models.
    checkpointDir : str, optional
        Folder that all executors reach, for rows and finished fits; the same call goes on from there. Default:
        Spark's cache, which ``unpersist`` frees.

    Raises
    ------
    ConfigurationError, SchemaError, DataError
        If learners, columns, folds or labels can't be used, before any fit; if a row has no prediction.
    """
    check_parallelism(parallelism)
    found = _find_unfitted(learners, frame, labelCol, role_columns(folds, frame.columns, idCol, weightCol))
    checkpoint = FitStore(frame.sparkSession, checkpointDir) if checkpointDir else None
    store = checkpoint.keep_rows if checkpoint else None
    with ExitStack() as undo:
        if checkpoint:
            undo.callback(checkpoint.discard)
        prepared = prepare(
            frame, folds, found[0].kind, labelCol,
            idCol=idCol, weightCol=weightCol, deviance=deviance_of(found), store=store,
        )  # fmt: skip
        undo.callback(prepared.frame.unpersist)
        prepared = checkpoint.settle(prepared) if checkpoint else prepared
        scored = fit_folds(prepared, found, undo, checkpoint, parallelism, keepModels)
        level_one = collect_level_one(prepared, found, scored)
        undo.pop_all()
    return replace(level_one, checkpoint=checkpoint)


def _find_unfitted(
    learners: Mapping[str, Estimator[Any]], frame: DataFrame, labelCol: str, roles: Sequence[str]
) -> list[Learner]:
    """Return the learners with seeds of their own and without some features, or refuse those that have seen rows."""
    found = find_learners(learners, frame.schema, labelCol)
    fitted = [learner.name for learner in found if learner.fitted]
    if fitted:
        raise ConfigurationError(
            f"learner {fitted[0]!r} is fitted already, so it may have seen any row; blend it instead"
        )
    for learner in found:
        check_plan(learner, frame)
    return [hide_columns(set_apart(learner), roles) for learner in found]


@dataclass(frozen=True)
class _Fits:
    """The ways in which learners are fitted on folds.

    Attributes
    ----------
    prepared : Prepared
        The rows.
    undo : contextlib.ExitStack
        Frees the values of fits if one fails.
    checkpoint : FitStore or None
        Folder of finished fits.
    keepModels : bool
        Whether the folds' models are kept.
    mayWait : bool
        Whether the models of all folds may wait until they score few rows in one job.
    """

    prepared: Prepared
    undo: ExitStack
    checkpoint: FitStore | None
    keepModels: bool
    mayWait: bool

    def alone(self, learner: Learner, number: int) -> list[Scored | FoldFit]:
        """Fit a learner without a fold, and score the fold; of few rows the folds are scored later, in one job."""
        fold = self.prepared.folds[number]
        if self.mayWait and not self.checkpoint and learner.num_workers is None:
            return [fit_without(self.prepared, learner, fold)]
        folder = self.checkpoint.fit_folder(learner, number) if self.checkpoint else None
        return [*self._freed(fit_fold(self.prepared, learner, fold, self.keepModels, folder))]

    def together(self, learners: Sequence[Learner]) -> list[Scored | FoldFit]:
        """Fit learners whose tasks hold their rows, on all folds, as the tasks of one job."""
        what = f"learners {', '.join(one.name for one in learners)}"
        scored, _ = retry(lambda: fit_in_one_job(self.prepared, learners, self.keepModels, self.checkpoint), what)
        return [*self._freed(*scored)]

    def scored(self, found: Sequence[Scored | FoldFit]) -> list[Scored]:
        """Return the predictions of all fits; those that wait for it are scored."""
        waiting = [one for one in found if isinstance(one, FoldFit)]
        done = [one for one in found if isinstance(one, Scored)]
        if waiting:
            last, _ = retry(lambda: score_together(self.prepared, waiting, self.keepModels), "scoring all folds")
            done += self._freed(last)
        return done

    def _freed(self, *scored: Scored) -> Sequence[Scored]:
        for one in scored:
            self.undo.callback(one.unpersist)
        return scored


def fit_folds(
    prepared: Prepared,
    learners: Sequence[Learner],
    undo: ExitStack,
    checkpoint: FitStore | None,
    parallelism: int | None,
    keep_models: bool,
) -> list[Scored]:
    """Fit every learner without each of the folds, side by side, and score them; ``undo`` frees the predictions."""
    slots = count_slots(prepared.frame.sparkSession)
    if keep_models:
        check_kept(prepared.frame.sparkSession, learners, len(prepared.folds))
    plan = plan_fits(learners, len(prepared.folds), slots, parallelism, len(prepared.single))
    logger.info("cross-fitting %d rows: %s", prepared.rows.rows, plan)
    most = session_of(prepared.frame.sparkSession).most_models
    may_wait = prepared.small and (most is None or count_models(learners, len(prepared.folds)) <= most)
    fits = _Fits(prepared, undo, checkpoint, keep_models, may_wait)
    together = [learner for learner in plan.learners if holds_its_rows(learner)]
    work: list[Callable[[], list[Scored | FoldFit]]] = [partial(fits.together, together)] if together else []
    work += [
        partial(fits.alone, learner, number)
        for learner in plan.learners
        if learner not in together
        for number in range(plan.fitsEach)
    ]
    found = [one for some in run_side_by_side(work, plan.parallelism) for one in some]
    return fits.scored(found)


def collect_level_one(prepared: Prepared, learners: Sequence[Learner], scored: Sequence[Scored]) -> LevelOneFrame:
    """Put the predictions of all fits side by side, and measure them."""
    order = {learner.name: position for position, learner in enumerate(learners)}
    together = put_together(prepared, [one.values for one in scored], list(order))
    values, metrics = keep_measured(prepared, together, list(order))
    for one in scored:
        one.unpersist()
    records = [record for one in scored for record in one.records]
    models = [model for one in scored for model in one.models]
    return LevelOneFrame(
        prepared,
        tuple(learners),
        values,
        tuple(sorted(records, key=lambda record: order[record.learner])),
        tuple(sorted(models, key=lambda model: order[model.learner])),
        metrics,
    )


def put_together(prepared: Prepared, parts: Sequence[DataFrame], names: Sequence[str]) -> DataFrame:
    """Return the key of each row and a column of values a learner, from predictions of parts of the rows."""
    stacked = prepared.gather(union_all([part.select(ROW, VALUES, LEARNER) for part in parts]))
    # Each row has one array of each learner: every fold was counted when it was scored.
    columns = [F.max(F.when(F.col(LEARNER) == name, F.col(VALUES))).alias(name) for name in names]
    return stacked.groupBy(ROW).agg(*columns)
