"""``StackedEnsemble``: the super learner of van der Laan, Polley and Hubbard as a Spark ML Estimator."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Estimator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasSeed, HasWeightCol
from pyspark.ml.util import MLReadable, MLWritable

from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.params import HasIdCol, with_setters
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.stacking.blending import blend
from sparkwater.stacking.cross_fitting import LevelOneFrame, cross_fit
from sparkwater.stacking.ensemble_files import EnsembleReader, EnsembleWriter
from sparkwater.stacking.ensemble_model import BaseModel, FittedEnsemble, StackedEnsembleModel
from sparkwater.stacking.ensemble_params import OUTPUTS, EnsembleParams
from sparkwater.stacking.folds import ASSIGNMENTS, Folds
from sparkwater.stacking.level_one.fit_plan import count_slots
from sparkwater.stacking.level_one.learners import CLASSIFICATION, Learner, find_learners, last_stage, set_apart
from sparkwater.stacking.level_one.prepare import prepare
from sparkwater.stacking.meta_learner import TRANSFORMS, LevelOneInput, check_meta_learner, passthrough_values
from sparkwater.stacking.refit import refit
from sparkwater.stacking.stack import fit_meta_learner, summarize
from sparkwater.stacking.summary import ENSEMBLE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

FINAL_MODELS = ("refit", "average")


def _param(name: str, doc: str, converter: Any = None) -> Param[Any]:
    return Param(Params._dummy(), name, doc, converter)


@with_setters
class StackedEnsemble(
    Estimator[StackedEnsembleModel], EnsembleParams, HasWeightCol, HasSeed, HasIdCol,
    MLReadable["StackedEnsemble"], MLWritable,
):  # fmt: skip
    """Combine learners by a meta-learner that is trained on predictions of rows they never saw.

    ``fit`` evaluates the rows once, fits every learner without each of the folds, scores the fold,
    trains the meta-learner on these predictions, and fits the learners again on all rows. A row's
    fold follows from its content or id, so all learners have the same folds and none scores a row
    that it has seen; every prediction is counted against the rows of its fold.

    Parameters
    ----------
    learners : mapping of str to pyspark.ml.Estimator
        The base learners by name: all classifiers with a ``probabilityCol``, or all regressors.
        Pipelines, and ensembles themselves, are learners too.
    metaLearner : pyspark.ml.Estimator, optional
        Any with ``featuresCol`` and ``labelCol``. Default: for two classes a logistic and for
        regression a linear regression without negative weights; for more classes a multinomial
        regression with a ridge penalty. None of them standardises.
    metaLearnerTransform : {"none", "logit"}
        What is done to probabilities before the meta-learner; ``logit`` clips them at 1e-9. Default
        ``none``.
    passthroughCols : list of str
        Numbers, vectors or arrays that the meta-learner reads as well. Default none.
    numFolds : int
        Folds. Default 5.
    foldAssignment : {"random", "modulo", "stratified"}
        As in `assign_folds`. Default ``random``.
    foldCol : str, optional
        Column that holds the folds, integers or any category; they aren't assigned then.
    groupCol, timeCol : str, optional
        As in `assign_folds`.
    embargo : float
        As in `Folds`. Default 0.
    labelCol : str
        What all learners learn; strings and booleans are numbered for them. Default ``label``.
    idCol : str, optional
        Column that identifies a row; without it the content of all columns does.
    weightCol : str, optional
        Weights of rows, for the metrics, the meta-learner and those learners that have a
        ``weightCol`` that isn't set.
    seed : int
        What the folds follow from. Default 42.
    parallelism : int, optional
        Fits at a time. Default: as many as the slots allow.
    finalModels : {"refit", "average"}
        ``refit``: each learner is fitted once more, on all rows, with the mean of the folds' epochs
        where they stopped early. ``average``: the mean of the fold models scores. Default ``refit``.
    checkpointDir : str, optional
        Folder where rows and finished fits are kept; a new ``fit`` goes on from there.
    keepLevelOne : bool
        Whether ``model.levelOne`` keeps the level-one frame, in Spark's cache. Default False.
    predictionCol, probabilityCol, rawPredictionCol, predictedLabelCol : str
        Columns that the model adds.
    includeBasePredictions : bool
        Whether the model adds a column with each learner's prediction. Default False.
    """

    _input_kwargs: dict[str, Any]

    learners: Param[Any] = _param("learners", "base learners by name")
    metaLearner: Param[Any] = _param("metaLearner", "estimator that combines the learners' predictions")
    metaLearnerTransform: Param[str] = _param(
        "metaLearnerTransform", f"one of {', '.join(TRANSFORMS)}", TypeConverters.toString
    )
    passthroughCols: Param[list[str]] = _param(
        "passthroughCols", "other columns that the meta-learner reads", TypeConverters.toListString
    )
    numFolds: Param[int] = _param("numFolds", "folds (>= 2)", TypeConverters.toInt)
    foldAssignment: Param[str] = _param("foldAssignment", f"one of {', '.join(ASSIGNMENTS)}", TypeConverters.toString)
    foldCol: Param[str] = _param("foldCol", "column that holds the folds", TypeConverters.toString)
    groupCol: Param[str] = _param("groupCol", "rows with the same value share a fold", TypeConverters.toString)
    timeCol: Param[str] = _param("timeCol", "folds are spans of this time", TypeConverters.toString)
    embargo: Param[float] = _param(
        "embargo", "rows this near to a fold's span of time aren't trained on (>= 0)", TypeConverters.toFloat
    )
    parallelism: Param[int] = _param("parallelism", "fits at a time (>= 1)", TypeConverters.toInt)
    finalModels: Param[str] = _param("finalModels", f"one of {', '.join(FINAL_MODELS)}", TypeConverters.toString)
    checkpointDir: Param[str] = _param(
        "checkpointDir", "folder where rows and finished fits are kept", TypeConverters.toString
    )
    keepLevelOne: Param[bool] = _param("keepLevelOne", "keep the level-one frame", TypeConverters.toBoolean)

    @keyword_only
    def __init__(
        self,
        *,
        learners: Mapping[str, Any] | None = None,
        metaLearner: Estimator[Any] | None = None,
        metaLearnerTransform: str = "none",
        passthroughCols: list[str] | None = None,
        numFolds: int = 5,
        foldAssignment: str = "random",
        foldCol: str | None = None,
        groupCol: str | None = None,
        timeCol: str | None = None,
        embargo: float = 0.0,
        labelCol: str = "label",
        idCol: str | None = None,
        weightCol: str | None = None,
        seed: int = 42,
        parallelism: int | None = None,
        finalModels: str = "refit",
        checkpointDir: str | None = None,
        keepLevelOne: bool = False,
        predictionCol: str = "prediction",
        probabilityCol: str = "probability",
        rawPredictionCol: str = "rawPrediction",
        predictedLabelCol: str = "predictedLabel",
        includeBasePredictions: bool = False,
    ) -> None:
        super().__init__()
        self._setDefault(
            **OUTPUTS, metaLearnerTransform="none", passthroughCols=[], numFolds=5, foldAssignment="random",
            embargo=0.0, seed=42, finalModels="refit", keepLevelOne=False,
        )  # fmt: skip
        self._set(**self._input_kwargs)

    def getLearners(self) -> dict[str, Any]:
        """Return the value of ``learners``; empty where it isn't set."""
        return dict(self._value(self.learners) or {})

    def getMetaLearner(self) -> Any:
        """Return the value of ``metaLearner``, or None for the default one."""
        return self._value(self.metaLearner)

    def getMetaLearnerTransform(self) -> str:
        """Return the value of ``metaLearnerTransform``."""
        return self.getOrDefault(self.metaLearnerTransform)

    def getPassthroughCols(self) -> list[str]:
        """Return the value of ``passthroughCols``."""
        return self.getOrDefault(self.passthroughCols)

    def getNumFolds(self) -> int:
        """Return the value of ``numFolds``."""
        return self.getOrDefault(self.numFolds)

    def getFoldAssignment(self) -> str:
        """Return the value of ``foldAssignment``."""
        return self.getOrDefault(self.foldAssignment)

    def getFoldCol(self) -> str | None:
        """Return the value of ``foldCol``, or None where it isn't set."""
        return self._value(self.foldCol)

    def getGroupCol(self) -> str | None:
        """Return the value of ``groupCol``, or None where it isn't set."""
        return self._value(self.groupCol)

    def getTimeCol(self) -> str | None:
        """Return the value of ``timeCol``, or None where it isn't set."""
        return self._value(self.timeCol)

    def getEmbargo(self) -> float:
        """Return the value of ``embargo``."""
        return self.getOrDefault(self.embargo)

    def getParallelism(self) -> int | None:
        """Return the value of ``parallelism``, or None where it isn't set."""
        return self._value(self.parallelism)

    def getFinalModels(self) -> str:
        """Return the value of ``finalModels``."""
        return self.getOrDefault(self.finalModels)

    def getCheckpointDir(self) -> str | None:
        """Return the value of ``checkpointDir``, or None where it isn't set."""
        return self._value(self.checkpointDir)

    def getKeepLevelOne(self) -> bool:
        """Return the value of ``keepLevelOne``."""
        return self.getOrDefault(self.keepLevelOne)

    def _value(self, param: Param[Any]) -> Any:
        return self.getOrDefault(param) if self.isDefined(param) else None

    @property
    def kind(self) -> str:
        """What the learners are for: classification or regression."""
        learners = self.getLearners()
        if not learners:
            raise ConfigurationError("an ensemble has no learners; give it learners={'name': estimator, ...}")
        first = last_stage(next(iter(learners.values())))
        own = getattr(first, "kind", None)
        return str(own) if own else (CLASSIFICATION if first.hasParam("probabilityCol") else "regression")

    def copy(self, extra: dict | None = None) -> StackedEnsemble:  # type: ignore[type-arg]
        """Return a copy with other Params, those of learners and meta-learner included."""
        copied: StackedEnsemble = super().copy(extra)
        if self.getLearners():
            copied._set(learners={name: stage.copy(extra) for name, stage in copied.getLearners().items()})
        if self.getMetaLearner() is not None:
            copied._set(metaLearner=copied.getMetaLearner().copy(extra))
        return copied

    def _fit(self, dataset: DataFrame) -> StackedEnsembleModel:
        started = time.monotonic()
        learners = self._refuse(dataset)
        level_one = cross_fit(
            {learner.name: learner.stage for learner in learners},
            dataset,
            self._folds(dataset),
            labelCol=self.getLabelCol(),
            weightCol=self._value(self.weightCol),
            idCol=self.getIdCol(),
            parallelism=self.getParallelism(),
            keepModels=self.getFinalModels() == "average",
            checkpointDir=self.getCheckpointDir(),
        )
        return self._finish(level_one, "cross-validation", None, started)

    def fitLevelOne(self, dataset: DataFrame, levelOne: LevelOneFrame) -> StackedEnsembleModel:
        """Fit on a level-one frame that is there already, such as several of `cross_fit` joined.

        Parameters
        ----------
        dataset : pyspark.sql.DataFrame
            The rows that the level-one frame belongs to. Its learners are the ensemble's, by name.
        levelOne : LevelOneFrame
            Stays as it is, for other ensembles.

        Raises
        ------
        DataError
            If rows, folds or labels are not those of the level-one frame.
        ConfigurationError
            If it lacks a learner, or the fold models for ``finalModels="average"``.
        """
        started = time.monotonic()
        learners = self._refuse(dataset)
        chosen = levelOne.select([learner.name for learner in learners])
        for learner, measured in zip(learners, chosen.learners, strict=True):
            if set_apart(learner).digest != measured.digest:
                raise ConfigurationError(
                    f"learner {learner.name!r} has other Params than the one that gave the level-one predictions"
                )
        given = prepare(
            dataset, self._folds(dataset), levelOne.task.kind, self.getLabelCol(),
            idCol=self.getIdCol(), weightCol=self._value(self.weightCol),
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
            What the learners are fitted on. Those that are models already are taken as they are.

        Raises
        ------
        DataError
            If rows are in both.
        ConfigurationError
            If a learner isn't fitted and there are no rows to train it on.
        """
        started = time.monotonic()
        learners = self._refuse(holdout, blending=True)
        level_one, bases = blend(
            learners, holdout, training, self._folds(holdout), self.getLabelCol(), self._value(self.weightCol),
            self.getIdCol(), self.getParallelism(),
        )  # fmt: skip
        return self._finish(level_one, "blending", bases, started)

    def _folds(self, dataset: DataFrame) -> Folds | str:
        return self.getFoldCol() or Folds(
            numFolds=self.getNumFolds(),
            foldAssignment=self.getFoldAssignment(),
            seed=self.getSeed(),
            idCol=self.getIdCol(),
            labelCol=self.getLabelCol(),
            groupCol=self.getGroupCol(),
            timeCol=self.getTimeCol(),
            embargo=self.getEmbargo(),
            foldCol="fold" if "fold" not in dataset.columns else "__sparkwater_assigned",
        )

    def _refuse(self, dataset: DataFrame, blending: bool = False) -> list[Learner]:
        """Refuse everything that can be known to be wrong before a Spark job runs."""
        for name, accepted in (("metaLearnerTransform", TRANSFORMS), ("finalModels", FINAL_MODELS)):
            if self.getOrDefault(name) not in accepted:
                raise ConfigurationError(f"{name}={self.getOrDefault(name)!r}; accepted: {', '.join(accepted)}")
        find_field(dataset.schema, self.getLabelCol())
        learners = [
            self._weighted(learner) for learner in find_learners(self.getLearners(), dataset.schema, self.getLabelCol())
        ]
        if ENSEMBLE in self.getLearners():
            raise SchemaError(f"learner {ENSEMBLE!r}: that is what the leaderboard calls the whole; take another name")
        if not blending and any(learner.fitted for learner in learners):
            raise ConfigurationError("a learner is fitted already, so it may have seen any row; use fitBlending")
        kind = learners[0].kind
        if self.getMetaLearner() is not None:
            check_meta_learner(self.getMetaLearner(), kind)
        if self.getMetaLearnerTransform() == "logit" and kind != CLASSIFICATION:
            raise ConfigurationError("metaLearnerTransform='logit' is for probabilities; regression has none")
        for name in self.getPassthroughCols():
            passthrough_values(dataset.schema, name)
        folds = self._folds(dataset)
        if isinstance(folds, Folds):
            folds.check()
        return learners

    def _weighted(self, learner: Learner) -> Learner:
        weight, last = self._value(self.weightCol), last_stage(learner.stage)
        if not weight or learner.fitted:
            return learner
        if not last.hasParam("weightCol"):
            logger.warning("learner %r has no weightCol: its rows count alike", learner.name)
            return learner
        return learner if last.isDefined("weightCol") else learner.with_params(weightCol=weight)

    def _finish(
        self, level_one: LevelOneFrame, strategy: str, bases: tuple[BaseModel, ...] | None, started: float,
        keep: bool = False,
    ) -> StackedEnsembleModel:  # fmt: skip
        """Train the meta-learner and the final base models."""
        try:
            slots = self.getParallelism() or count_slots(level_one.values.sparkSession)
            reads = LevelOneInput(
                level_one.names, level_one.task, self.getMetaLearnerTransform(), tuple(self.getPassthroughCols())
            )
            meta = fit_meta_learner(level_one, reads, self.getMetaLearner(), slots)
            if bases is None:
                bases = refit(level_one, self.getFinalModels(), self.getParallelism())
            summary = summarize(level_one, reads, meta, strategy, time.monotonic() - started)
            model = StackedEnsembleModel()
            model.fitted = FittedEnsemble(bases, meta.model, reads, summary)
            model.levelOne = level_one if self.getKeepLevelOne() else None
            logger.info("%s", summary)
            return self._copyValues(model._resetUid(self.uid))
        finally:
            if not (keep or self.getKeepLevelOne()):
                level_one.unpersist()

    def write(self) -> EnsembleWriter:
        """Return a writer of the Params, the learners and the meta-learner."""
        return EnsembleWriter(self, self.getLearners(), self.getMetaLearner())

    @classmethod
    def read(cls) -> EnsembleReader:
        """Return a reader for this class."""
        return EnsembleReader(cls)
