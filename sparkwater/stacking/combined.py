"""Meta-learners with names: combiners that are cross-validated on level one, and the choice among them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError
from sparkwater.stacking.calibration.choice import CALIBRATIONS, NONE
from sparkwater.stacking.combiners.blocks import Blocks, Layout, open_blocks
from sparkwater.stacking.combiners.choice import BEST, Method, choose, compare_columns
from sparkwater.stacking.combiners.solvers import fit_linear
from sparkwater.stacking.combiners.stages import BestLearner, Combiner, GreedySelection, LogPool, Pool
from sparkwater.stacking.examine import examine, tries
from sparkwater.stacking.level_one.halves import HALF, halve
from sparkwater.stacking.level_one.learners import CLASSIFICATION, REGRESSION
from sparkwater.stacking.level_one.metrics import LABEL, WEIGHT, LearnerMetrics, Losses, labelled
from sparkwater.stacking.level_one.prepared import FOLD
from sparkwater.stacking.meta_learner import (
    LEVEL_ONE,
    LevelOneInput,
    MetaWeights,
    NonNegativeRegression,
    check_meta_learner,
)
from sparkwater.stacking.scores import ENSEMBLE, Levels, interval
from sparkwater.stacking.stack import MetaFit, fit_meta_learner

if TYPE_CHECKING:
    from pyspark.sql import Column

    from sparkwater.stacking.cross_fitting import LevelOneFrame

logger = logging.getLogger(__name__)

AUTO, GLM = "auto", "glm"

#: Combiners by name, the simplest first.
_COMBINERS: dict[str, type[Combiner]] = {
    BEST: BestLearner, "selection": GreedySelection, "pool": Pool, "logPool": LogPool,
}  # fmt: skip

#: Names that a meta-learner may have.
META_LEARNERS = (AUTO, *_COMBINERS, GLM)


def check_given(given: Any, kind: str, reads_more: bool) -> None:
    """Refuse meta-learners that don't fit the learners.

    Parameters
    ----------
    given : str, pyspark.ml.Estimator or None
        The meta-learner.
    kind : {"classification", "regression"}
        Kind of the learners.
    reads_more : bool
        Whether there are passthrough columns or a transform, which combiners don't read.

    Raises
    ------
    ConfigurationError
        With what is accepted.
    """
    named = given is None or isinstance(given, str)
    if named:
        _check_name(given or AUTO, kind)
    elif isinstance(given, LogPool) and kind != CLASSIFICATION:
        raise ConfigurationError("metaLearner LogPool pools probabilities; regression has none: take Pool")
    elif not isinstance(given, Combiner):
        check_meta_learner(given, kind)
    if reads_more and (isinstance(given, Combiner) or (named and given not in (None, AUTO, GLM))):
        raise ConfigurationError(
            f"metaLearner={given!r} reads the learners' predictions alone, as they are; passthroughCols and "
            "metaLearnerTransform need 'glm' or another estimator"
        )


def _check_name(name: str, kind: str) -> None:
    accepted = [one for one in META_LEARNERS if kind == CLASSIFICATION or one != "logPool"]
    if name not in accepted:
        raise ConfigurationError(
            f"metaLearner={name!r} for {kind}; accepted: {', '.join(accepted)}, or a Spark ML Estimator with "
            "featuresCol and labelCol"
        )


def check_calibration(name: str, kind: str) -> None:
    """Refuse calibrations that there are none of, or that are of probabilities where there are none.

    Raises
    ------
    ConfigurationError
        With what is accepted.
    """
    if name not in CALIBRATIONS:
        raise ConfigurationError(f"calibration={name!r}; accepted: {', '.join(CALIBRATIONS)}")
    if name != NONE and kind != CLASSIFICATION:
        raise ConfigurationError(f"calibration={name!r} is for probabilities; regression has none: leave it at 'none'")


def fit_given(
    level_one: LevelOneFrame, reads: LevelOneInput, given: Any, parallelism: int, calibration: str = NONE
) -> MetaFit:
    """Train a meta-learner on all rows, and measure it by cross-validation.

    Parameters
    ----------
    level_one : LevelOneFrame
        The level-one frame.
    reads : LevelOneInput
        The input columns.
    given : str, pyspark.ml.Estimator or None
        The meta-learner.
    parallelism : int
        Fits at a time, where it isn't a combiner.
    calibration : {"none", "temperature", "isotonic", "auto"}
        Calibration of its probabilities.
    """
    given = AUTO if given is None else given
    if given == AUTO and (reads.passthrough or reads.transform != "none"):
        given = GLM
    if given == GLM:
        return fit_meta_learner(level_one, reads, None, parallelism, calibration)
    if isinstance(given, (str, Combiner)):
        return fit_combined(level_one, reads, given, calibration)
    return fit_meta_learner(level_one, reads, given, parallelism, calibration)


def combiners_of(given: Any, task_kind: str, width: int) -> dict[str, Combiner]:
    """Return the combiners that a meta-learner's name stands for, set to the learners' kind; or the given one."""
    values: dict[str, Any] = {"width": width, "task": task_kind}
    if isinstance(given, Combiner):
        own = {one: name for name, one in _COMBINERS.items()}
        name = next((own[one] for one in type(given).__mro__ if one in own), type(given).__name__)
        return {name: given.copy({given.getParam(key): value for key, value in values.items()})}
    names = [
        name for name in _COMBINERS if given in (name, AUTO) and (task_kind == CLASSIFICATION or name != "logPool")
    ]
    return {name: _COMBINERS[name](**values) for name in names}


def fit_combined(
    level_one: LevelOneFrame, reads: LevelOneInput, given: str | Combiner, calibration: str = NONE
) -> MetaFit:
    """Cross-validate the combiners that a name stands for, and return the chosen one.

    Parameters
    ----------
    level_one : LevelOneFrame
        The level-one frame.
    reads : LevelOneInput
        The input columns, without passthrough columns and transform.
    given : str or Combiner
        The meta-learner.
    calibration : {"none", "temperature", "isotonic", "auto"}
        Calibration of its probabilities.
    """
    combiners = combiners_of(given, reads.task.kind, reads.task.width)
    methods: dict[str, Method] = {name: combiner.fit_of for name, combiner in combiners.items()}
    if given == AUTO and reads.task.kind == REGRESSION:
        methods[GLM] = fit_linear
    with _open(level_one, len(methods) > 1 or calibration == AUTO) as (blocks, layout, number):
        if number < 3 and len(methods) > 1:
            logger.warning("two folds that can't be halved leave nothing to choose by: the best learner is taken")
            methods = {BEST: methods[BEST]}
        choice = choose(blocks, layout, methods, number)
        examined = examine(blocks, layout, layout.learners, choice.column, calibration, number)
    folds = [str(fold.value) for fold in level_one.prepared.folds]

    def by_fold(losses: Sequence[Losses]) -> dict[str, Losses]:
        each = len(losses) // len(folds)
        parts = [losses[start : start + each] for start in range(0, len(losses), each)]
        return {fold: reduce(lambda one, other: one + other, part) for fold, part in zip(folds, parts, strict=True)}

    found = {name: by_fold(losses) for name, losses in zip(reads.learners, choice.learners, strict=True)}
    metrics = LearnerMetrics(reads.task.kind, {**found, ENSEMBLE: by_fold(choice.estimate)}, reads.task.deviance)
    if choice.name == GLM:
        weights, (intercept,) = np.array(choice.combination.weights), choice.combination.biases
        model: Any = NonNegativeRegression(featuresCol=LEVEL_ONE).model_of(weights, intercept)
    else:
        model = combiners[choice.name].model_of(choice.combination)._set(featuresCol=LEVEL_ONE)
    tried = {**choice.tried, **({AUTO: choice.nested} if len(choice.tried) > 1 else {})}
    return MetaFit(
        model,
        MetaWeights((choice.combination.weights,), choice.combination.weights),
        metrics,
        dict(zip(reads.learners, choice.difference, strict=True)),
        choice.name,
        tries(tried, reads.task.kind, reads.task.deviance),
        examined,
        choice.honest,
    )


def compare_levels(both: LevelOneFrame, one_level: MetaFit, two_levels: MetaFit) -> Levels:
    """Compare a combiner over two levels with that over the first one, by their nested estimates.

    Parameters
    ----------
    both : LevelOneFrame
        The predictions of both levels, those of the first one first.
    one_level, two_levels : MetaFit
        The combiners.
    """
    count = len(both.names)
    with _open(both, False) as (blocks, _, folds):
        first = {fold: combination.among(count) for fold, combination in one_level.honest.items()}
        mean, low, high = interval(compare_columns(blocks, two_levels.honest, first, folds))
    one, two = (meta.metrics.value(ENSEMBLE) for meta in (one_level, two_levels))
    return Levels(two_levels.metrics.names[0], one, two, mean, low, high)


@contextmanager
def _open(level_one: LevelOneFrame, several: bool) -> Iterator[tuple[Blocks, Layout, int]]:
    """Open the blocks of level one, with their layout and the number of folds.

    Of two folds, one alone leaves nothing to choose by: where there are several to choose among, each is halved.
    """
    prepared, task = level_one.prepared, level_one.task
    folds = [fold.value for fold in prepared.folds]
    number = _number(folds)
    halved = halve(prepared) if several and len(folds) == 2 else None
    if halved is not None:
        prepared, number = replace(prepared, frame=halved), 2 * number + F.col(HALF)
    rows = labelled(prepared, level_one.values, *([] if halved is None else [HALF])).select(
        F.concat(*(F.col(f"`{name}`") for name in level_one.names)).alias("values"),
        F.col(LABEL).alias("label"),
        F.col(WEIGHT).alias("weight"),
        number.alias("fold"),
    )
    layout = Layout(len(level_one.names), task.width, task.kind == CLASSIFICATION, task.deviance)
    with open_blocks(rows, layout, prepared.rows.rows) as blocks:
        yield blocks, layout, len(folds) if halved is None else 2 * len(folds)


def _number(folds: Sequence[Any]) -> Column:
    """Return the folds' numbers, from 0 up."""
    numbered = [F.when(F.col(FOLD) == value, number) for number, value in enumerate(folds)]
    return F.coalesce(*numbered)
