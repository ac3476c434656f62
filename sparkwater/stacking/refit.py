"""Final base models: fitted on all rows, or the models of the folds."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sparkwater.stacking.cross_fitting import LevelOneFrame
from sparkwater.stacking.ensemble_model import BaseModel
from sparkwater.stacking.level_one.fit_plan import count_slots, plan_fits
from sparkwater.stacking.level_one.fits import retry, run_side_by_side
from sparkwater.stacking.level_one.learners import Learner, last_stage
from sparkwater.stacking.level_one.records import FitRecord

if TYPE_CHECKING:
    from sparkwater.stacking.level_one.checkpoints import FitStore

logger = logging.getLogger(__name__)


def refit(level_one: LevelOneFrame, how: str, parallelism: int | None) -> tuple[BaseModel, ...]:
    """Return the base models.

    Parameters
    ----------
    level_one : LevelOneFrame
        Its learners, and the rows.
    how : {"refit", "average"}
        ``refit`` on all rows, or the ``average`` of the fold models.
    parallelism : int, optional
        Fits at a time.
    """
    learners, prepared = level_one.learners, level_one.prepared
    if how == "average":
        kept = level_one.models
        return tuple(
            BaseModel(one.name, one.output, tuple(model.model for model in kept if model.learner == one.name))
            for one in learners
        )
    plan = plan_fits(learners, 1, count_slots(level_one.values.sparkSession), parallelism)
    logger.info("fitting the learners on all %d rows: %s", prepared.rows.rows, plan)
    work = [partial(_fit, with_mean_epochs(learner, level_one.fits), level_one) for learner in plan.learners]
    models = dict(zip([one.name for one in plan.learners], run_side_by_side(work, plan.parallelism), strict=True))
    return tuple(BaseModel(one.name, one.output, (models[one.name],)) for one in learners)


def _fit(learner: Learner, level_one: LevelOneFrame) -> Any:
    checkpoint: FitStore | None = level_one.checkpoint
    kept = checkpoint.find_model(learner) if checkpoint else None
    if kept is not None:
        logger.info("learner %r: fitted on all rows by an earlier call", learner.name)
        return kept
    rows = level_one.prepared.all_rows()
    model, _ = retry(lambda: learner.stage.fit(rows), f"learner {learner.name!r} on all rows")
    if checkpoint:
        checkpoint.keep_model(learner, model)
    return model


def with_mean_epochs(learner: Learner, fits: Sequence[FitRecord]) -> Learner:
    """Return a learner that stops early set to train as long as its fold models did, on all rows, as H2O does."""
    last = last_stage(learner.stage)
    stops = last.hasParam("stoppingRounds") and last.isDefined("stoppingRounds") and last.getOrDefault("stoppingRounds")
    epochs = [fit.epochs for fit in fits if fit.learner == learner.name and fit.epochs is not None]
    if not stops or not epochs:
        return learner
    longer = learner.with_params(epochs=max(1, round(sum(epochs) / len(epochs))), stoppingRounds=0)
    last = last_stage(longer.stage)
    for name in ("validationIndicatorCol", "validationDataFrame"):
        if last.hasParam(name):
            last.clear(last.getParam(name))
    return longer
