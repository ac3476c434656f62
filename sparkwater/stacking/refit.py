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
from sparkwater.stacking.level_one.one_job import fit_on_all_rows, holds_its_rows
from sparkwater.stacking.level_one.records import FitRecord

if TYPE_CHECKING:
    from sparkwater.stacking.level_one.checkpoints import FitStore
    from sparkwater.stacking.level_one.prepared import Prepared

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
    together = [learner for learner in plan.learners if holds_its_rows(learner)]
    groups = [together] if together else []
    groups += [[with_mean_epochs(learner, level_one.fits)] for learner in plan.learners if learner not in together]
    found = run_side_by_side([partial(_fit, group, level_one) for group in groups], plan.parallelism)
    models = {learner.name: model for group in found for learner, model in group}
    return tuple(BaseModel(one.name, one.output, (models[one.name],)) for one in learners)


def _fit(learners: Sequence[Learner], level_one: LevelOneFrame) -> list[tuple[Learner, Any]]:
    """Return each learner with its model: those of an earlier call, and one learner or those of one job."""
    checkpoint: FitStore | None = level_one.checkpoint
    kept = {learner.name: checkpoint.find_model(learner) if checkpoint else None for learner in learners}
    missing = [learner for learner in learners if kept[learner.name] is None]
    if len(missing) < len(learners):
        logger.info(
            "fitted on all rows by an earlier call: %s", ", ".join(one.name for one in learners if one not in missing)
        )
    if missing:
        what = f"{', '.join(f'learner {one.name!r}' for one in missing)} on all rows"
        models, _ = retry(lambda: _fit_missing(missing, level_one.prepared), what)
        for learner, model in zip(missing, models, strict=True):
            kept[learner.name] = model
            if checkpoint:
                checkpoint.keep_model(learner, model)
    return [(learner, kept[learner.name]) for learner in learners]


def _fit_missing(learners: Sequence[Learner], prepared: Prepared) -> list[Any]:
    if holds_its_rows(learners[0]):
        return fit_on_all_rows(prepared, learners)
    return [learner.stage.fit(prepared.all_rows()) for learner in learners]


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
