"""The choice of AutoML's model: of the ensembles whose learners can be fitted in the time that is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparkwater.stacking.automl.summary import ALL, BEST_OF_FAMILY
from sparkwater.stacking.combiners.model import CombinerModel
from sparkwater.stacking.cross_fitting import LevelOneFrame
from sparkwater.stacking.ensemble_model import StackedEnsembleModel
from sparkwater.stacking.scores import ENSEMBLE
from sparkwater.stacking.search.records import Trial, ranked
from sparkwater.stacking.search.stacked import combine, fit_used, used_by
from sparkwater.stacking.stack import MetaFit
from sparkwater.stacking.summary import EnsembleSummary

#: Seconds of training and measuring the ensembles' combiners.
_COMBINING = 3.0

#: Seconds of a fit's jobs beside the fit itself.
_EACH = 1.0


@dataclass(frozen=True)
class Chosen:
    """The model, and what it was chosen from.

    Attributes
    ----------
    name : str
        Its name in the leaderboard.
    model : StackedEnsembleModel
        Its learners are fitted on all rows.
    levelOne : LevelOneFrame
        The predictions of all learners.
    ensembles : mapping of str to EnsembleSummary
        The ensembles that were measured, by name.
    weights : mapping of str to float
        Share of each learner in the model.
    notes : tuple of str
        Remarks for the reader.
    """

    name: str
    model: StackedEnsembleModel
    levelOne: LevelOneFrame
    ensembles: Mapping[str, EnsembleSummary]
    weights: Mapping[str, float]
    notes: tuple[str, ...]


def best_of_family(trials: Sequence[Trial]) -> list[str]:
    """Return the learners with the lowest metric of their family, best first."""
    found: dict[str, str] = {}
    for one in ranked(trials):
        if one.value is not None:
            found.setdefault(one.family, one.learner)
    return list(found.values())


def refit_seconds(trials: Sequence[Trial]) -> float:
    """Return the seconds that the model will need at the end: for a fit of each family's best, and the combiners."""
    chosen = set(best_of_family(trials))
    return _COMBINING * bool(chosen) + sum(refit_of(one) for one in trials if one.learner in chosen)


def refit_of(trial: Trial) -> float:
    """Return the seconds of a learner's fit on all rows: the mean of its fits on folds, which had fewer rows."""
    return _EACH + trial.seconds / max(1, trial.fits - 1)


def choose_model(
    level_one: LevelOneFrame, trials: Sequence[Trial], parallelism: int | None, seconds: float, calibration: str
) -> Chosen:
    """Return the model: the ensemble with the lower estimate, or the best learner where none is better.

    Parameters
    ----------
    level_one : LevelOneFrame
        The predictions of all learners.
    trials : sequence of Trial
        The trials.
    parallelism : int, optional
        Fits at a time.
    seconds : float
        The time for fits on all rows.
    calibration : {"none", "temperature", "isotonic", "auto"}
        Calibration of the model's probabilities; the choice is made before it.
    """
    ensembles = _measure(level_one, trials, parallelism, calibration)
    best = ranked(trials)[0]
    found = {name: _estimate(summary) for name, (_, _, summary) in ensembles.items()}
    name = min(found, key=lambda one: (found[one], one == ALL), default=best.learner)
    if name in ensembles and best.value is not None and found[name] < best.value:
        frame, meta, summary = ensembles[name]
    else:
        name, frame = best.learner, level_one.select([best.learner])
        meta, summary = combine(frame, "best", parallelism, calibration)
    kept = affordable(meta, frame, {one.learner: refit_of(one) for one in trials}, best.learner, seconds)
    notes: tuple[str, ...] = ()
    if len(kept) < len(used_by(frame.names, meta)):
        frame = level_one.select(kept)
        meta, summary = combine(frame, "selection", parallelism, calibration)
        notes = (f"{name} was cut to what could be fitted on all rows in time: {', '.join(kept)}",)
        name = kept[0] if len(kept) == 1 else name
    if summary.calibration:
        notes += (f"calibration of its probabilities: {summary.calibration}",)
    weights = _weights(frame, meta)
    summaries = {one: summary for one, (_, _, summary) in ensembles.items()}
    return Chosen(name, fit_used(frame, meta, summary, parallelism), level_one, summaries, weights, notes)


def _measure(
    level_one: LevelOneFrame, trials: Sequence[Trial], parallelism: int | None, calibration: str
) -> dict[str, tuple[LevelOneFrame, MetaFit, EnsembleSummary]]:
    """Return the ensembles by name, measured: of all learners, and of each family's best; none of one learner."""
    bests = best_of_family(trials)
    found: dict[str, tuple[LevelOneFrame, MetaFit, EnsembleSummary]] = {}
    for name, names in {ALL: list(level_one.names), BEST_OF_FAMILY: bests}.items():
        if len(names) > 1 and (name == ALL or len(names) < len(level_one.names)):
            frame = level_one.select(names)
            found[name] = (frame, *combine(frame, "selection", parallelism, calibration))
    return found


def _estimate(summary: EnsembleSummary) -> float:
    return next(score.value for score in summary.scores if score.learner == ENSEMBLE)


def _weights(frame: LevelOneFrame, meta: MetaFit) -> dict[str, float]:
    assert isinstance(meta.model, CombinerModel)  # selection and best are combiners
    return dict(zip(frame.names, meta.model.getWeights(), strict=True))


def affordable(
    meta: MetaFit, frame: LevelOneFrame, expected: Mapping[str, float], best: str, seconds: float
) -> list[str]:
    """Return the learners with a weight whose fits on all rows end in time: the heaviest first, and always one."""
    weights = _weights(frame, meta)
    used = sorted(used_by(frame.names, meta), key=lambda name: -weights[name])
    if sum(expected[name] for name in used) <= seconds:
        return used
    kept: list[str] = []
    left = seconds
    for name in sorted(used, key=lambda name: (name != best, -weights[name])):
        if not kept or expected[name] <= left:
            kept.append(name)
            left -= expected[name]
    return kept
