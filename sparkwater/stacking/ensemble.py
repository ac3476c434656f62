"""``StackedEnsemble``: the super learner of van der Laan, Polley and Hubbard as a Spark ML Estimator."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator

from sparkwater.conversions.stages.accepts import at_least, location, one_of
from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.stacking.blending import blend
from sparkwater.stacking.calibration.choice import CALIBRATIONS, NONE
from sparkwater.stacking.combined import GLM, check_calibration, check_given, fit_given
from sparkwater.stacking.combiners.stages import Combiner
from sparkwater.stacking.cross_fitting import LevelOneFrame, cross_fit
from sparkwater.stacking.ensemble_files import read_learners, write_learners
from sparkwater.stacking.ensemble_model import BaseModel, FittedEnsemble, StackedEnsembleModel, curves_of
from sparkwater.stacking.ensemble_params import EnsembleParams
from sparkwater.stacking.fold_params import FoldParams
from sparkwater.stacking.folds import Folds, role_columns
from sparkwater.stacking.level_one.fit_plan import count_slots
from sparkwater.stacking.level_one.learners import (
    CLASSIFICATION,
    Learner,
    find_learners,
    hide_columns,
    kind_of,
    set_apart,
    weighted,
)
from sparkwater.stacking.level_one.prepare import prepare
from sparkwater.stacking.meta_learner import TRANSFORMS, LevelOneInput, passthrough_values
from sparkwater.stacking.refit import refit
from sparkwater.stacking.repeats import check_repeats, repeat_folds
from sparkwater.stacking.scores import ENSEMBLE
from sparkwater.stacking.second_level import FEWEST_FOLDS, SecondLevel, find_second
from sparkwater.stacking.stack import summarize

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder

logger = logging.getLogger(__name__)

FINAL_MODELS = ("refit", "average")


def _unchanged(value: Any) -> Any:
    return value


class StackedEnsemble(
    Estimator[StackedEnsembleModel], EnsembleParams, FoldParams, SavedStage,
):  # fmt: skip
    """Combine learners by a meta-learner that is trained on predictions of rows they never saw.

    ``fit`` evaluates the rows once, fits every learner without each of the folds, scores the fold,
    trains the meta-learner on these predictions, and fits the learners again on all rows. A row's
    fold follows from its content or id, so all learners have the same folds and none scores a row
    that it has seen; every prediction is counted against the rows of its fold.
    """

    _unsaved_params = ("learners", "secondLevelLearners", "metaLearner")

    learners: Setting[Mapping[str, Any] | None] = setting(
        None,
        "base learners by name: all classifiers with a probabilityCol, or all regressors. Pipelines, and ensembles "
        "themselves, are learners too",
        convert=_unchanged,
    )
    metaLearner: Setting[str | Estimator[Any] | None] = setting(
        None,
        "what combines the learners' predictions: a name, or any estimator with featuresCol and labelCol. best: one "
        "learner. selection: greedy selection with replacement. pool: convex weights. logPool: non-negative weights "
        "of log probabilities. glm: for two classes a logistic and for regression a linear regression without negative "
        "weights, for more classes a multinomial regression with a ridge penalty. auto, which is taken without it: the "
        "simplest of best, selection, pool, and logPool or for regression glm, that can't be told from the best by "
        "cross-validation; with passthroughCols or metaLearnerTransform it is glm",
        convert=_unchanged,
    )
    metaLearnerTransform: Setting[str] = setting(
        "none",
        "what is done to probabilities before the meta-learner; logit clips them at 1e-9",
        accepts=one_of(*TRANSFORMS),
    )
    passthroughCols: Setting[list[str]] = setting(
        [], "other columns that the meta-learner reads: numbers, vectors or arrays"
    )
    secondLevelLearners: Setting[Mapping[str, Any] | None] = setting(
        None,
        "learners of a second level by name, which read the predictions of the first: estimators with featuresCol and "
        "labelCol. The combiner is over both levels where that gains more than its 95 % interval, else over the first. "
        "The first level is fitted again without each two folds",
        convert=_unchanged,
    )
    secondLevelCols: Setting[list[str]] = setting(
        [], "other columns that the second level reads: numbers, vectors or arrays"
    )
    calibration: Setting[str] = setting(
        NONE,
        "what is done to the ensemble's probabilities, learned from those out of fold. temperature: their logarithms "
        "are divided by one number. isotonic: each class's probability goes through a rising function. auto: the first "
        "of none, temperature and isotonic that can't be told from the best by cross-validation",
        accepts=one_of(*CALIBRATIONS),
    )
    repeats: Setting[int] = setting(
        1,
        "assignments of folds, each with another seed: level one is the mean of their out-of-fold predictions. With "
        "finalModels average all of their models score",
        accepts=at_least(1),
    )
    weightCol: Setting[str | None] = setting(  # type: ignore[assignment]
        None,
        "weights of the rows, for the metrics, the meta-learner, and the learners that have a weightCol that isn't set",
    )
    parallelism: Setting[int | None] = setting(
        None, "fits at a time; without it as many as the slots allow", accepts=at_least(1)
    )
    finalModels: Setting[str] = setting(
        "refit",
        "the base models of the ensemble. refit: each learner is fitted once more, on all rows, with the mean of the "
        "folds' epochs where they stopped early. average: the mean of the fold models scores",
        accepts=one_of(*FINAL_MODELS),
    )
    checkpointDir: Setting[str | None] = setting(
        None,
        "folder where rows and finished fits are kept; a new fit goes on from there",
        convert=location("checkpointDir"),
    )
    keepLevelOne: Setting[bool] = setting(False, "whether model.levelOne keeps the level-one frame, in Spark's cache")

    def getLearners(self) -> dict[str, Any]:
        """Return the value of ``learners``; empty where it isn't set."""
        return self._mapping("learners")

    def getSecondLevelLearners(self) -> dict[str, Any]:
        """Return the value of ``secondLevelLearners``; empty where it isn't set."""
        return self._mapping("secondLevelLearners")

    def _mapping(self, name: str) -> dict[str, Any]:
        return dict((self.getOrDefault(name) if self.isDefined(name) else None) or {})

    @property
    def kind(self) -> str:
        """The kind of the learners: classification or regression."""
        learners = self.getLearners()
        if not learners:
            raise ConfigurationError("an ensemble has no learners; give it learners={'name': estimator, ...}")
        return kind_of(next(iter(learners.values()))) or "regression"

    def copy(self, extra: dict | None = None) -> StackedEnsemble:  # type: ignore[type-arg]
        """Return a copy with other Params, those of learners and meta-learner included."""
        copied: StackedEnsemble = super().copy(extra)
        for name in ("learners", "secondLevelLearners"):
            if self._mapping(name):
                copied._set(**{name: {key: stage.copy(extra) for key, stage in copied._mapping(name).items()}})
        meta = copied.getMetaLearner()
        return copied._set(metaLearner=meta.copy(extra)) if isinstance(meta, Estimator) else copied

    def _fit(self, dataset: DataFrame) -> StackedEnsembleModel:
        started = time.monotonic()
        learners = self.check_fit(dataset)
        level_one = repeat_folds(
            partial(self._cross_fit, dataset, learners),
            self._folds(dataset),
            self.getRepeats(),
        )
        return self._finish(level_one, "cross-validation", None, started)

    def _cross_fit(self, dataset: DataFrame, learners: list[Learner], folds: Folds | str) -> LevelOneFrame:
        return cross_fit(
            {learner.name: learner.stage for learner in learners},
            dataset,
            folds,
            labelCol=self.getLabelCol(),
            weightCol=self.getWeightCol(),
            idCol=self.getIdCol(),
            parallelism=self.getParallelism(),
            keepModels=self.getFinalModels() == "average",
            checkpointDir=self.getCheckpointDir(),
        )

    def fitLevelOne(self, dataset: DataFrame, levelOne: LevelOneFrame) -> StackedEnsembleModel:
        """Fit on a level-one frame that is there already, such as several of `cross_fit` joined.

        Parameters
        ----------
        dataset : pyspark.sql.DataFrame
            The rows that the level-one frame belongs to. Its learners are the ensemble's, by name.
        levelOne : LevelOneFrame
            The level-one frame; it stays as it is, for other ensembles.

        Raises
        ------
        DataError
            If rows, folds or labels are not those of the level-one frame.
        ConfigurationError
            If it lacks a learner, or the fold models for ``finalModels="average"``.
        """
        started = time.monotonic()
        learners = self.check_fit(dataset)
        roles = role_columns(self._folds(dataset), dataset.columns, self.getIdCol(), self.getWeightCol())
        chosen = levelOne.select([learner.name for learner in learners])
        for learner, measured in zip(learners, chosen.learners, strict=True):
            if hide_columns(set_apart(learner), roles).digest != measured.digest:
                raise ConfigurationError(
                    f"learner {learner.name!r} has other Params than the one that gave the level-one predictions"
                )
        given = prepare(
            dataset, self._folds(dataset), levelOne.task.kind, self.getLabelCol(),
            idCol=self.getIdCol(), weightCol=self.getWeightCol(), deviance=levelOne.task.deviance,
        )  # fmt: skip
        try:
            chosen.check_same(given)
        finally:
            given.frame.unpersist()
        if self.getFinalModels() == "average" and len(chosen.models) < len(learners) * len(chosen.prepared.folds):
            raise ConfigurationError(
                "finalModels='average', but cross_fit kept no fold models; give it keepModels=True"
            )
        return self._finish(chosen, "cross-validation", None, started, keep=True)

    def fitBlending(self, holdout: DataFrame, training: DataFrame | None = None) -> StackedEnsembleModel:
        """Fit on the learners' predictions of a hold-out instead of cross-fitting them.

        Parameters
        ----------
        holdout : pyspark.sql.DataFrame
            Rows that no learner saw or sees; the meta-learner is trained on these.
        training : pyspark.sql.DataFrame, optional
            Rows to fit the learners on. Those that are models already are taken as they are.

        Raises
        ------
        DataError
            If rows are in both.
        ConfigurationError
            If a learner isn't fitted and there are no rows to train it on.
        """
        started = time.monotonic()
        learners = self.check_fit(holdout, blending=True)
        level_one, bases = blend(
            learners, holdout, training, self._folds(holdout), self.getLabelCol(), self.getWeightCol(),
            self.getIdCol(), self.getParallelism(),
        )  # fmt: skip
        return self._finish(level_one, "blending", bases, started)

    def _folds(self, dataset: DataFrame) -> Folds | str:
        return self.folds(dataset.schema, self.getLabelCol())

    def check_fit(self, dataset: DataFrame, blending: bool = False) -> list[Learner]:
        """Refuse everything that can be known to be wrong before a Spark job runs."""
        self.check_settings()
        find_field(dataset.schema, self.getLabelCol())
        learners = [
            weighted(learner, self.getWeightCol())
            for learner in find_learners(self.getLearners(), dataset.schema, self.getLabelCol())
        ]
        if ENSEMBLE in self.getLearners():
            raise SchemaError(f"learner {ENSEMBLE!r}: that is what the leaderboard calls the whole; take another name")
        if not blending and any(learner.fitted for learner in learners):
            raise ConfigurationError("a learner is fitted already, so it may have seen any row; use fitBlending")
        kind = learners[0].kind
        reads_more = bool(self.getPassthroughCols()) or self.getMetaLearnerTransform() != "none"
        check_given(self.getMetaLearner(), kind, reads_more)
        if self.getMetaLearnerTransform() == "logit" and kind != CLASSIFICATION:
            raise ConfigurationError("metaLearnerTransform='logit' is for probabilities; regression has none")
        check_calibration(self.getCalibration(), kind)
        self._refuse_columns(dataset, "passthroughCols")
        check_repeats(self.getRepeats(), self._folds(dataset))
        self._refuse_second(dataset, kind, blending)
        return learners

    def _refuse_second(self, dataset: DataFrame, kind: str, blending: bool) -> None:
        """Refuse a second level that can't be, or not with other Params."""
        stages = self.getSecondLevelLearners()
        if self.getSecondLevelCols() and not stages:
            raise ConfigurationError("secondLevelCols are for secondLevelLearners, of which there are none")
        given = self.getMetaLearner()
        clashes = {
            "fitBlending": blending,
            f"repeats={self.getRepeats()}": self.getRepeats() > 1,
            f"embargo={self.getEmbargo()}": self.getEmbargo() > 0,
            f"numFolds={self.getNumFolds()}": not self.getFoldCol() and self.getNumFolds() < FEWEST_FOLDS,
            "passthroughCols": bool(self.getPassthroughCols()),
            f"metaLearnerTransform={self.getMetaLearnerTransform()!r}": self.getMetaLearnerTransform() != "none",
            f"metaLearner={given!r}": given == GLM or not isinstance(given, (Combiner, str, type(None))),
        }
        for what in [what for what, clash in clashes.items() if clash and stages]:
            raise ConfigurationError(
                f"secondLevelLearners with {what}; a second level takes {FEWEST_FOLDS} folds or more without repeats "
                "and embargo, a combiner as the meta-learner, and other columns by secondLevelCols"
            )
        find_second(stages, kind, [*dataset.columns, *self.getLearners(), ENSEMBLE])
        self._refuse_columns(dataset, "secondLevelCols")

    def _refuse_columns(self, dataset: DataFrame, param: str) -> None:
        """Refuse columns beside the predictions that can't be read, and the label."""
        for name in self.getOrDefault(param):
            if name == self.getLabelCol():
                raise ConfigurationError(f"{param}: {name!r} is the label, which is to be predicted; leave it out")
            passthrough_values(dataset.schema, name, param)

    def _finish(
        self, level_one: LevelOneFrame, strategy: str, bases: tuple[BaseModel, ...] | None, started: float,
        keep: bool = False,
    ) -> StackedEnsembleModel:  # fmt: skip
        """Train the meta-learner and the final base models; ``keep`` leaves level one in Spark's cache."""
        with ExitStack() as undo:
            if not keep:
                undo.callback(level_one.unpersist)
            slots = self.getParallelism() or count_slots(level_one.values.sparkSession)
            reads = LevelOneInput(
                level_one.names, level_one.task, self.getMetaLearnerTransform(), tuple(self.getPassthroughCols())
            )
            meta = fit_given(level_one, reads, self.getMetaLearner(), slots, self.getCalibration())
            measured, levels = level_one, None
            over_them: tuple[BaseModel, ...] = ()
            if self.getSecondLevelLearners():
                second = SecondLevel.of(level_one, self.getSecondLevelLearners(), self.getSecondLevelCols(), slots)
                measured, levels, meta = second.compare(meta, self.getMetaLearner(), slots, self.getCalibration())
                if levels.taken:
                    reads, over_them = LevelOneInput(measured.names, level_one.task), second.fit()
            bases = refit(level_one, self.getFinalModels(), self.getParallelism()) if bases is None else bases
            bases = (*bases, *over_them)
            summary = summarize(measured, reads, meta, strategy, time.monotonic() - started, curves_of(bases), levels)
            model = StackedEnsembleModel()
            model.fitted = FittedEnsemble(bases, meta.model, reads, summary, meta.examined.calibration)
            model.levelOne = level_one if self.getKeepLevelOne() else None
            logger.info("%s", summary)
            if self.getKeepLevelOne():
                undo.pop_all()
            return self._copyValues(model._resetUid(self.uid))

    def _save_more(self, folder: NewFolder) -> None:
        write_learners(folder, self.getLearners(), self.getSecondLevelLearners(), self.getMetaLearner())

    def _load_more(self, folder: SavedFolder) -> None:
        self._set(**read_learners(folder))
