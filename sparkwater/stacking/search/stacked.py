"""Ensembles of predictions that are there already: only learners with a weight are fitted on all rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sparkwater.stacking.calibration.choice import NONE
from sparkwater.stacking.combined import check_calibration, check_given, fit_given
from sparkwater.stacking.combiners.model import CombinerModel
from sparkwater.stacking.cross_fitting import LevelOneFrame
from sparkwater.stacking.ensemble_model import FittedEnsemble, StackedEnsembleModel
from sparkwater.stacking.level_one.fit_plan import count_slots
from sparkwater.stacking.meta_learner import LevelOneInput
from sparkwater.stacking.refit import refit
from sparkwater.stacking.stack import MetaFit, summarize
from sparkwater.stacking.summary import EnsembleSummary


def combine(
    level_one: LevelOneFrame, given: Any, parallelism: int | None, calibration: str = NONE
) -> tuple[MetaFit, EnsembleSummary]:
    """Train a meta-learner on a level-one frame and measure it; no learner is fitted.

    Parameters
    ----------
    level_one : LevelOneFrame
        The predictions.
    given : str, pyspark.ml.Estimator or None
        The meta-learner, as `StackedEnsemble` takes it.
    parallelism : int, optional
        Fits at a time, where it isn't a combiner.
    calibration : {"none", "temperature", "isotonic", "auto"}
        Calibration of its probabilities.

    Raises
    ------
    ConfigurationError
        If the meta-learner or the calibration doesn't fit the learners.
    """
    started = time.monotonic()
    check_given(given, level_one.task.kind, False)
    check_calibration(calibration, level_one.task.kind)
    reads = LevelOneInput(level_one.names, level_one.task)
    slots = parallelism or count_slots(level_one.values.sparkSession)
    meta = fit_given(level_one, reads, given, slots, calibration)
    return meta, summarize(level_one, reads, meta, "cross-validation", time.monotonic() - started)


def stack(level_one: LevelOneFrame, given: Any, parallelism: int | None, calibration: str) -> StackedEnsembleModel:
    """Return the ensemble of a level-one frame's learners; see `combine`."""
    return fit_used(level_one, *combine(level_one, given, parallelism, calibration), parallelism)


def fit_used(
    level_one: LevelOneFrame, meta: MetaFit, summary: EnsembleSummary, parallelism: int | None
) -> StackedEnsembleModel:
    """Fit the learners with a weight on all rows, and return the ensemble of these alone."""
    used = used_by(level_one.names, meta)
    model = StackedEnsembleModel()
    model.fitted = FittedEnsemble(
        bases=refit(level_one.select(used), "refit", parallelism),
        meta=_reading(meta.model, level_one.names, used),
        reads=LevelOneInput(tuple(used), level_one.task),
        summary=summary,
        calibration=meta.examined.calibration,
    )
    return model._set(labelCol=level_one.prepared.labelCol)


def used_by(names: Sequence[str], meta: MetaFit) -> list[str]:
    """Return the learners that a combiner gives a weight; all, for another meta-learner."""
    if not isinstance(meta.model, CombinerModel):
        return list(names)
    weights = meta.model.getWeights()
    return [name for name, weight in zip(names, weights, strict=True) if weight] or list(names[:1])


def _reading(model: Any, names: Sequence[str], used: Sequence[str]) -> Any:
    """Return the combiner for the values of some learners only: those that it gives a weight."""
    if not isinstance(model, CombinerModel):
        return model
    weights = dict(zip(names, model.getWeights(), strict=True))
    return model.copy()._set(weights=[weights[name] for name in used])
