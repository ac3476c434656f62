"""Examination of a trained meta-learner on level one: its diagnostics, and a calibration of its probabilities."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sparkwater.stacking.calibration.choice import AUTO, NONE, Combined, calibrate, name_of
from sparkwater.stacking.combiners.blocks import Blocks, Layout
from sparkwater.stacking.combiners.losses import Combination
from sparkwater.stacking.diagnostics import Diagnostics, diagnose, reliability_of
from sparkwater.stacking.level_one.deviance import SQUARED, Deviance
from sparkwater.stacking.level_one.metrics import LearnerMetrics, Losses
from sparkwater.stacking.scores import Tried

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examined:
    """Outcome of an examination.

    Attributes
    ----------
    diagnostics : Diagnostics
        Diagnostics of the learners and the whole.
    calibration : Combination or None
        The calibration, fitted on all rows; None without one.
    name : str
        Its name; empty where none was asked for.
    tried : tuple of Tried
        Estimates of the calibrations that were tried; ``none`` is the ensemble as it is.
    """

    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    calibration: Combination | None = None
    name: str = ""
    tried: tuple[Tried, ...] = ()


def examine(
    blocks: Blocks, layout: Layout, learners: int, column: Mapping[int, Combination], how: str, folds: int
) -> Examined:
    """Return the diagnostics of a meta-learner, and calibrate it where that is asked for.

    Parameters
    ----------
    blocks : Blocks
        Level one.
    layout : Layout
        Its layout.
    learners : int
        Number of learners; others after them are the whole.
    column : mapping of int to Combination
        What scores each fold.
    how : {"none", "temperature", "isotonic", "auto"}
        The calibration.
    folds : int
        Number of folds.
    """
    diagnostics = diagnose(blocks, learners, layout.outputs if layout.classification else 1, column)
    if how == AUTO and folds < 3:
        logger.warning("two folds leave nothing to choose a calibration by: there is none")
        how = NONE
    if how == NONE:
        return Examined(diagnostics)
    whole = Combined(blocks, column)
    found = calibrate(whole, layout.outputs, how, folds)
    name, tried = (
        name_of(found.name),
        {NONE: found.learners[0], **{name_of(key): one for key, one in found.tried.items()}},
    )
    if len(found.tried) > 1:
        tried[AUTO] = found.estimate
    calibration = None if name == NONE else found.combination
    if calibration is not None:
        diagnostics = replace(diagnostics, calibrated=reliability_of(whole, found.column))
    return Examined(diagnostics, calibration, name, tries(tried, "classification"))


def tries(losses: Mapping[str, Iterable[Losses]], kind: str, deviance: Deviance = SQUARED) -> tuple[Tried, ...]:
    """Return the estimates of what was tried, from losses by fold."""
    metrics = LearnerMetrics(kind, {name: _numbered(list(one)) for name, one in losses.items()}, deviance)
    return tuple(Tried(name, metrics.value(name), *metrics.interval(name)) for name in losses)


def _numbered(losses: Sequence[Losses]) -> dict[str, Losses]:
    return {str(number): one for number, one in enumerate(losses)}
