"""Trials on the same folds, in waves: fitted side by side, measured in one job, and kept with their predictions."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.sessions.session import was_cancelled
from sparkwater.errors import first_line
from sparkwater.ml.launch.display import counted
from sparkwater.stacking.cross_fitting import LevelOneFrame, collect_level_one
from sparkwater.stacking.folds import Folds
from sparkwater.stacking.level_one.checkpoints import FitStore
from sparkwater.stacking.level_one.deviance import SQUARED, Deviance
from sparkwater.stacking.level_one.fit_plan import FitPlan, count_slots, plan_fits
from sparkwater.stacking.level_one.fits import fit_fold, run_side_by_side
from sparkwater.stacking.level_one.learners import Learner
from sparkwater.stacking.level_one.one_job import fit_in_one_job, holds_its_rows
from sparkwater.stacking.level_one.prepare import prepare
from sparkwater.stacking.level_one.prepared import Prepared
from sparkwater.stacking.level_one.records import FitRecord, Scored
from sparkwater.stacking.search.budget import Budget, converged_after
from sparkwater.stacking.search.pruning import Pruned, Pruner, curve_of, pruned_at
from sparkwater.stacking.search.records import Trial

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

#: Trials that are fitted and measured together, where nothing may end the search between them.
_WAVE = 8


@dataclass(frozen=True)
class Candidate:
    """A learner to try.

    Attributes
    ----------
    learner : Learner
        The estimator with its Params set, and a name of its own.
    params : dict of str to object
        The Params that are tried, for reports: JSON's types.
    family : str
        The kind of learner, where a search tries several.
    error : Exception or None
        The reason why it can't be fitted.
    """

    learner: Learner
    params: dict[str, Any]
    family: str = ""
    error: Exception | None = None


#: It gets the trials so far, and a number; it returns at most so many candidates, and none to end the search.
Propose = Callable[[Sequence[Trial], int], Sequence[Candidate]]


@dataclass(frozen=True)
class Rows:
    """The rows of all trials.

    Attributes
    ----------
    prepared : Prepared
        The rows, evaluated once.
    checkpoint : FitStore or None
        The folder of rows and fits.
    pruner : Pruner or None
        The rule that ends trainings early.
    """

    prepared: Prepared
    checkpoint: FitStore | None = None
    pruner: Pruner | None = None


@dataclass
class Explored:
    """Trials so far, and their predictions.

    Attributes
    ----------
    trials : list of Trial
        In their order.
    frames : list of LevelOneFrame
        Predictions of the trials that succeeded, a frame a wave.
    errors : list of Exception
        The reasons of those that failed.
    ended : str
        The reason why no more is tried.
    """

    trials: list[Trial] = field(default_factory=list)
    frames: list[LevelOneFrame] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    ended: str = ""

    def best(self) -> Trial | None:
        """Return the best trial; None where all failed."""
        return min((one for one in self.trials if one.value is not None), key=lambda one: one.value, default=None)  # type: ignore[arg-type,return-value]

    def unpersist(self) -> None:
        """Free what Spark's cache holds of the predictions."""
        for frame in self.frames:
            frame.values.unpersist()


@contextmanager
def open_rows(
    frame: DataFrame, folds: Folds | str, kind: str, labelCol: str, weightCol: str | None, idCol: str | None,
    checkpointDir: str | None, pruner: Pruner | None = None, deviance: Deviance = SQUARED,
) -> Iterator[Rows]:  # fmt: skip
    """Prepare the rows for the length of a ``with`` block, as `cross_fit` does; they stay where it ends well."""
    checkpoint = FitStore(frame.sparkSession, checkpointDir) if checkpointDir else None
    store = checkpoint.keep_rows if checkpoint else None
    with ExitStack() as undo:
        if checkpoint:
            undo.callback(checkpoint.discard)
        columns = {"idCol": idCol, "weightCol": weightCol}
        prepared = prepare(frame, folds, kind, labelCol, **columns, deviance=deviance, store=store)
        undo.callback(prepared.frame.unpersist)
        yield Rows(checkpoint.settle(prepared) if checkpoint else prepared, checkpoint, pruner)
        undo.pop_all()


def explore(
    rows: Rows, propose: Propose, budget: Budget, parallelism: int | None, explored: Explored, adaptive: bool = False
) -> None:
    """Try candidates until there are none, or the budget ends; all is added to ``explored``.

    Parameters
    ----------
    rows : Rows
        The rows.
    propose : callable
        Source of the candidates.
    budget : Budget
        Limits. The first trial is always finished.
    parallelism : int, optional
        Fits at a time. Default: as many as the slots allow.
    explored : Explored
        The trials so far.
    adaptive : bool
        Whether candidates follow from the trials before: then no more are asked for at a time than the slots need.
    """
    folds = len(rows.prepared.folds)
    slots = count_slots(rows.prepared.frame.sparkSession)
    size = max(1, -(-(parallelism or slots) // folds)) if budget.limited or adaptive else _WAVE
    with _bar(rows, budget) as tell:
        while not explored.ended:
            wanted = budget.more(len(explored.trials), size)
            wave = list(propose(explored.trials, wanted)) if wanted else []
            if not wave:
                explored.ended = _said(budget, wanted, adaptive)
            elif explored.trials and not budget.allows(expected_seconds(explored.trials, wave[0].family)):
                explored.ended = f"no more trials fit into maxRuntimeSecs={budget.seconds:g}"
            else:
                plan = plan_fits([one.learner for one in wave], folds, slots, parallelism)
                _add_wave(rows, wave, plan, budget, explored)
                _stop_early(explored, budget)
                tell(explored)


@contextmanager
def _bar(rows: Rows, budget: Budget) -> Iterator[Callable[[Explored], None]]:
    """Show a bar of seconds or trials, whichever are limited, with the best trial; as trainings show theirs."""
    by_time, conf = bool(budget.seconds), rows.prepared.frame.sparkSession.conf
    total, unit = (budget.seconds, " s") if by_time else (budget.models or float("inf"), " trials")
    with counted(total, unit, conf.get("spark.ui.showConsoleProgress", "false") == "true") as tell:

        def after(explored: Explored) -> None:
            best, count = explored.best(), len(explored.trials)
            words = f"{count} trials" + ("" if best is None else f", best {best.learner} {best.value:.5f}")
            tell(budget.seconds - budget.remaining() if by_time else count, words)

        yield after


def _said(budget: Budget, wanted: int, adaptive: bool) -> str:
    """Return the reason why there are no more candidates."""
    if not wanted:
        return f"maxModels={budget.models} were tried"
    return "no candidates are left" + f" that fit into maxRuntimeSecs={budget.seconds:g}" * bool(
        adaptive and budget.seconds
    )


def expected_seconds(trials: Sequence[Trial], family: str) -> float:
    """Return the wall time that a trial may take, by the slowest of its family's last two; 0 where none is known.

    The first of a family, which may be dearer than all before, counts as one fit of the last trial. Trials that failed
    or were ended early don't count: they may have stopped at once.
    """
    whole = [one for one in trials if one.error is None]
    same = [one.wallSeconds for one in whole if one.family == family]
    if same:
        return max(same[-2:])
    return whole[-1].wallSeconds / max(1, whole[-1].fits) if whole else 0.0


#: What came of a piece of work: the scores of its fits, an error, an early end, or None where it wasn't begun.
_Found = list[Scored] | Exception | Pruned | None


def _add_wave(rows: Rows, wave: Sequence[Candidate], plan: FitPlan, budget: Budget, explored: Explored) -> None:
    """Fit the candidates of a wave, measure those that succeeded, and add both."""
    started = time.monotonic()
    found = _fit_wave(rows, wave, plan, budget, not explored.frames)
    good: dict[int, list[Scored]] = {}
    for number, parts in enumerate(found):
        scored = [one for part in parts if isinstance(part, list) for one in part]
        if all(isinstance(part, list) for part in parts):
            good[number] = scored
        else:
            for one in scored:
                one.unpersist()
    frame = None
    if good:
        learners = [wave[number].learner for number in good]
        frame = collect_level_one(rows.prepared, learners, [one for scored in good.values() for one in scored])
        explored.frames.append(frame)
    wall = time.monotonic() - started
    for candidate, parts in zip(wave, found, strict=True):
        trial = replace(_trial(len(explored.trials), candidate, parts, frame, budget), wallSeconds=wall)
        explored.trials.append(trial)
        explored.errors += [part for part in parts if isinstance(part, Exception)][:1]
        said = trial.error or f"{trial.value:.5f}"
        logger.info("trial %d, %s: %s in %.1f s of fits", trial.number, trial.learner, said, trial.seconds)


def _fit_wave(rows: Rows, wave: Sequence[Candidate], plan: FitPlan, budget: Budget, first: bool) -> list[list[_Found]]:
    """Return what came of each candidate: of each fold, or of all folds together where one job fits them."""
    planned = {learner.name: learner for learner in plan.learners}
    done: list[list[_Found]] = [[] for _ in wave]
    curves: dict[int, tuple[float, ...]] = {}

    def fit(number: int, fold: int | None) -> _Found:
        own, candidate = done[number], wave[number]
        may_begin = (first and number == 0) or budget.allows(_of_next(own))
        if not may_begin or any(isinstance(part, (Exception, Pruned)) for part in own):
            return None
        try:
            if candidate.error is not None:
                raise candidate.error
            found: _Found
            if fold == 0 and rows.pruner is not None:
                found, curves[number] = _fit_watched(rows, rows.pruner, planned[candidate.learner.name])
            else:
                found = _fit(rows, planned[candidate.learner.name], fold)
        except Exception as error:  # whatever a learner raises: the others go on
            if was_cancelled(error):
                raise
            found = error
        own.append(found)
        return found

    work = [
        (number, fold)
        for number, candidate in enumerate(wave)
        for fold in ([None] if holds_its_rows(candidate.learner) else range(plan.fitsEach))
    ]
    try:
        results = run_side_by_side([partial(fit, *one) for one in work], plan.parallelism)
    except BaseException:
        for one in (scored for own in done for part in own if isinstance(part, list) for scored in part):
            one.unpersist()
        raise
    if rows.pruner is not None:
        rows.pruner.curves += [curves[number] for number in sorted(curves) if curves[number]]
    pairs = list(zip(work, results, strict=True))
    return [[result for (owner, _), result in pairs if owner == number] for number in range(len(wave))]


def _fit(rows: Rows, learner: Learner, fold: int | None) -> list[Scored]:
    """Fit a learner without a fold, or without each of them in one job, and score what it left out."""
    if fold is None:
        return fit_in_one_job(rows.prepared, [learner], False, rows.checkpoint)
    folder = rows.checkpoint.fit_folder(learner, fold) if rows.checkpoint else None
    return [fit_fold(rows.prepared, learner, rows.prepared.folds[fold], False, folder)]


def _fit_watched(rows: Rows, pruner: Pruner, learner: Learner) -> tuple[list[Scored] | Pruned, tuple[float, ...]]:
    """Fit a network without the first fold; return its scores or its early end, and the losses of a whole training."""
    # A training that may be ended early isn't kept: with other trials before it, it would have come to its end.
    kept = rows.checkpoint if not pruner.limits() else None
    folder = kept.fit_folder(learner, 0) if kept else None
    scored = fit_fold(rows.prepared, pruner.watched(learner), rows.prepared.folds[0], True, folder)
    curve = curve_of(scored.models[0].model)
    if pruned_at(curve, pruner.limits()) is not None:
        scored.unpersist()
        return Pruned(curve), ()
    return [replace(scored, models=())], curve


def _records(parts: Sequence[_Found]) -> list[FitRecord]:
    return [record for part in parts if isinstance(part, list) for one in part for record in one.records]


def _of_next(done: Sequence[_Found]) -> float:
    """Return the seconds that the next fit of a candidate may take, by those before."""
    return max((one.fitSeconds + one.scoreSeconds for one in _records(done)), default=0.0)


def _trial(
    number: int, candidate: Candidate, parts: Sequence[_Found], frame: LevelOneFrame | None, budget: Budget
) -> Trial:
    records, name = _records(parts), candidate.learner.name
    begun = Trial(
        number,
        name,
        candidate.params,
        seconds=float(sum(one.fitSeconds + one.scoreSeconds for one in records)),
        fits=len(records),
        family=candidate.family,
    )
    pruned = next((part for part in parts if isinstance(part, Pruned)), None)
    if pruned is not None:
        said = f"ended after epoch {len(pruned.curve)}: its loss was above the median of the trials before"
        return replace(begun, error=said, curve=pruned.curve)
    error = next((part for part in parts if isinstance(part, Exception)), None)
    if error is not None:
        return replace(begun, error=f"{type(error).__name__}: {first_line(error)}")
    if frame is None or name not in frame.names:
        said = f"{len(records)} of {len(parts)} fits were done when maxRuntimeSecs={budget.seconds:g} ended"
        return replace(begun, error=said)
    metrics = frame.metrics
    low, high = metrics.interval(name)
    return replace(
        begun,
        value=metrics.value(name),
        deviation=metrics.deviation(name),
        low=low,
        high=high,
        second=metrics.error(name),
    )


def plain(value: Any) -> Any:
    """Return a Param's value as JSON's types; others as text."""
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)


def _stop_early(explored: Explored, budget: Budget) -> None:
    """End the search where its best metric stopped improving; what ran beside the last trial doesn't count."""
    last = converged_after(explored.trials, budget.rounds, budget.tolerance)
    if last is None:
        return
    explored.trials[:] = explored.trials[:last]
    explored.ended = f"the best metric stopped improving (stoppingRounds={budget.rounds})"
