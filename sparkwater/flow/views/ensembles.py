"""Summaries of ensembles, searches and AutoML as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkwater.flow.views.curves import Curves
from sparkwater.flow.views.plots import PlotView, plot_views
from sparkwater.flow.views.tables import Matrix, Table, table_of
from sparkwater.stacking.automl.summary import AutoMLSummary
from sparkwater.stacking.scores import ENSEMBLE, Score
from sparkwater.stacking.search.records import SearchSummary, ranked
from sparkwater.stacking.summary import EnsembleSummary

_TIMES = ("weight", "seconds of fits", "ms for 1,000 rows")


@dataclass(frozen=True)
class Parts:
    """Parts of a model's view; see `sparkwater.flow.views.models.ModelView`."""

    facts: tuple[tuple[str, str], ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    curves: tuple[Curves, ...] = ()
    matrix: Matrix | None = None
    plots: tuple[PlotView, ...] = ()


def ensemble_parts(summary: EnsembleSummary) -> Parts:
    """Return the leaderboard with weights, coefficients, confusion and reliability of an ensemble."""
    facts = [
        ("Verdict", summary.verdict),
        ("Rows", f"{summary.rows:,}"),
        ("Folds", f"{summary.folds}, {summary.strategy}"),
        ("Meta-learner", summary.metaLearner or "as given"),
        ("Seconds", f"{summary.totalSeconds:.1f}"),
    ]
    if summary.calibration:
        facts.insert(4, ("Calibration", summary.calibration))
    tables = [_leaderboard(summary.scores, summary.metrics)]
    if summary.coefficients:
        rows = [
            (name, output, value)
            for output, line in enumerate(summary.coefficients)
            for name, value in zip(summary.columns, line, strict=True)
        ]
        tables.append(table_of("Coefficients of the meta-learner", ("column", "output", "coefficient"), rows))
    bins = summary.diagnostics.calibrated or summary.diagnostics.reliability
    if bins:
        lines = [(one.low, one.high, one.rows, one.predicted, one.observed) for one in bins]
        tables.append(table_of("Reliability", ("from", "to", "rows", "predicted", "observed"), lines))
    skipped = (f"Not asked when scoring, having no weight: {', '.join(summary.skipped)}",) if summary.skipped else ()
    confusion = summary.diagnostics.confusion
    return Parts(
        tuple(facts),
        tuple(tables),
        (*summary.notes, *skipped),
        _curves(summary),
        Matrix(tuple(map(str, summary.classes)), confusion, "rows out of fold") if confusion else None,
        plot_views(Leaderboard=summary.plot, Reliability=lambda: summary.plot("reliability")),
    )


def _curves(summary: EnsembleSummary) -> tuple[Curves, ...]:
    if not summary.curves:
        return ()
    return (Curves("loss of training rows", {one.learner: one.loss for one in summary.curves}),)


def _leaderboard(scores: Sequence[Score], metrics: tuple[str, str], families: Sequence[str] = ()) -> Table:
    first, second = metrics
    columns = ("learner", *(["family"] if families else []), first, "95 % from", "to", second, *_TIMES)
    rows = [
        (
            one.learner,
            *families[place : place + 1],
            one.value,
            one.low,
            one.high,
            one.second,
            one.weight,
            one.fitSeconds,
            one.msPer1000Rows,
        )
        for place, one in enumerate(scores)
    ]
    return table_of("Leaderboard, out of fold", columns, rows)


def automl_parts(summary: AutoMLSummary) -> Parts:
    """Return the leaderboard of an AutoML run, all that was tried, and its remarks."""
    facts = (
        ("Model that scores", summary.chosen),
        ("Task", summary.task),
        ("Rows", f"{summary.rows:,}"),
        ("Folds", str(summary.folds)),
        ("Seconds", f"{summary.totalSeconds:.1f}"),
    )
    board = _leaderboard(
        [one.score for one in summary.entries], summary.metrics, [one.family for one in summary.entries]
    )
    tried = [(one.learner, one.family, _said(one.params), one.error) for one in summary.trials]
    trials = table_of("Learners that were tried", ("learner", "family", "Params", "failed because"), tried)
    plots = plot_views(Leaderboard=summary.plot)
    return Parts(facts, (board, trials), (*summary.notes, *summary.found.splitlines()), plots=plots)


def search_parts(summary: SearchSummary) -> Parts:
    """Return the trials of a search, best first."""
    first, second = summary.metrics
    facts = (
        ("Search", f"{summary.strategy}, {summary.ended}"),
        ("Rows", f"{summary.rows:,}"),
        ("Folds", str(summary.folds)),
        ("Seconds", f"{summary.totalSeconds:.1f}"),
    )
    rows = [
        (one.number, _said(one.params), one.value, one.low, one.high, one.second, one.seconds, one.error)
        for one in ranked(summary.trials)
    ]
    columns = ("trial", "Params", first, "95 % from", "to", second, "seconds", "failed because")
    plots = plot_views(Trials=summary.plot)
    return Parts(facts, (table_of("Trials, out of fold", columns, rows),), (), plots=plots)


def _said(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())


def line_of(summary: EnsembleSummary | AutoMLSummary | SearchSummary) -> tuple[str, dict[str, float | None]]:
    """Return, for a table of several models, the model that scores and its two metrics."""
    if isinstance(summary, SearchSummary):
        best = summary.bestTrial
        return _said(best.params), dict(zip(summary.metrics, (best.value, best.second), strict=True))
    if isinstance(summary, AutoMLSummary):
        scores, name = [one.score for one in summary.entries], summary.chosen
    else:
        scores, name = list(summary.scores), ENSEMBLE
    own = next((one for one in scores if one.learner == name), None)
    values: Sequence[float | None] = (None, None) if own is None else (own.value, own.second)
    return name, dict(zip(summary.metrics, values, strict=True))
