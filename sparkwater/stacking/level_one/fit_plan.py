"""Plan of parallel fits: their number at a time, and the workers of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml import Pipeline
from pyspark.ml.wrapper import JavaEstimator

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import ConfigurationError
from sparkwater.stacking.level_one.learners import Learner, last_stage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class FitPlan:
    """Parallel fits and their widths.

    Attributes
    ----------
    learners : tuple of Learner
        With the number of workers that each fit uses.
    fitsEach : int
        Fits of each learner.
    slots : int
        Tasks that the cluster runs at a time.
    parallelism : int
        Fits that run at a time.
    """

    learners: tuple[Learner, ...]
    fitsEach: int
    slots: int
    parallelism: int

    def __str__(self) -> str:
        widths = [f"{one.name}: {one.num_workers} worker(s) a fit" for one in self.learners if one.num_workers]
        return (
            f"{self.fitsEach * len(self.learners)} fits ({len(self.learners)} learners, {self.fitsEach} each) on "
            f"{self.slots} slots, {self.parallelism} at a time{'; ' if widths else ''}{', '.join(widths)}"
        )


def plan_fits(
    learners: Sequence[Learner], fitsEach: int, slots: int, parallelism: int | None = None, folds: int | None = None
) -> FitPlan:
    """Return the plan.

    A learner whose fits of all folds fill the slots trains each of them with one worker: many narrow fits lose no time
    to communication. Otherwise it keeps its ``numWorkers``. That depends on this learner only, so the others never
    change what it learns. Fits without each two folds are many more; they are as wide as those without one, as their
    models stand for these.

    Parameters
    ----------
    learners : sequence of Learner
        The learners to fit.
    fitsEach : int
        Fits of each learner.
    slots : int
        Tasks that the cluster runs at a time.
    parallelism : int, optional
        Fits at a time. Default: as many as the widest of them leaves slots for.
    folds : int, optional
        The folds, where they aren't as many as the fits of each learner.

    Raises
    ------
    ConfigurationError
        If ``parallelism`` is below 1.
    """
    check_parallelism(parallelism)
    narrow = [_narrowed(learner) if (folds or fitsEach) >= slots else learner for learner in learners]
    widest = max(learner.num_workers or 1 for learner in narrow)
    # Networks take longest: started first, they don't keep everyone waiting at the end.
    ordered = sorted(narrow, key=lambda learner: learner.num_workers is None)
    return FitPlan(
        tuple(ordered), fitsEach, slots, parallelism or max(1, min(slots // widest, fitsEach * len(learners)))
    )


def check_parallelism(parallelism: int | None) -> None:
    """Refuse a number of fits at a time below 1."""
    if parallelism is not None and parallelism < 1:
        raise ConfigurationError(f"parallelism={parallelism}; accepted: integers from 1 up")


def _narrowed(learner: Learner) -> Learner:
    return learner.with_params(numWorkers=1) if (learner.num_workers or 1) > 1 else learner


def check_kept(spark: SparkSession, learners: Sequence[Learner], folds: int) -> None:
    """Refuse to keep more models of Spark's than its server holds.

    Raises
    ------
    ConfigurationError
        With both numbers.
    """
    most, asked = session_of(spark).most_models, count_models(learners, folds)
    if most is not None and asked > most:
        raise ConfigurationError(
            f"{asked} fold models of Spark's learners are to be kept, but over Spark Connect the server of Spark "
            f"{spark.version} holds {most} and drops the oldest; keep none (finalModels='refit', keepModels=False), or "
            "take fewer folds or learners, or Spark 4.1 and newer"
        )


def count_models(learners: Sequence[Learner], folds: int) -> int:
    """Return how many models of Spark's own the fits of all folds make, those inside of pipelines among them."""
    return folds * sum(_java_stages(learner.stage) for learner in learners)


def _java_stages(stage: Any) -> int:
    if isinstance(stage, Pipeline):
        return sum(map(_java_stages, stage.getStages()))
    return int(isinstance(last_stage(stage), JavaEstimator))


def count_slots(spark: SparkSession) -> int:
    """Return how many tasks the cluster runs at a time."""
    session = session_of(spark)
    slots = session.running_slots(None)
    return max(1, session.default_parallelism if slots is None else slots)
