"""Plots of scores with their intervals: leaderboard, importance of features, and reliability of probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkwater.errors import DataError
from sparkwater.plots.drawing.intervals import wilson
from sparkwater.plots.drawing.palette import BLUE, GREY, INK, VERMILION, listed, number, short
from sparkwater.plots.drawing.plot import Plot, escaped, legend, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: More lines than this are left out of a plot.
MOST_LINES = 40

#: Above this ratio of the largest to the smallest value a leaderboard's axis is logarithmic.
_SPREAD = 50.0


@dataclass(frozen=True)
class Measured:
    """A value with its interval.

    Attributes
    ----------
    name : str
        What was measured: a model, a feature.
    value : float
        The value.
    low, high : float
        Its interval; NaN where there is none.
    """

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Bin:
    """Rows whose predicted probability lies in one span.

    Attributes
    ----------
    predicted : float
        Mean of the predicted probability.
    observed : float
        Rate that was observed.
    rows : float
        Number of rows.
    """

    predicted: float
    observed: float
    rows: float


def leaderboard(scores: Sequence[Measured], metric: str, marked: Sequence[str] = (), interval: str = "95 %") -> Plot:
    """Return models with a metric and its interval, best first; the lower, the better.

    Parameters
    ----------
    scores : sequence of Measured
        The models; 40 of them at most are shown, the best.
    metric : str
        Name of the metric.
    marked : sequence of str
        Models that are diamonds of another colour, such as ensembles; a line goes from the best of them through all.
    interval : str
        What the intervals cover.

    Raises
    ------
    DataError
        If no model has a finite value.
    """
    ranked = sorted((one for one in scores if math.isfinite(one.value)), key=lambda one: one.value)
    if not ranked:
        raise DataError("no model has a finite value to show")
    shown = ranked[:MOST_LINES]
    plot = Plot(7.2, 1.1 + 0.3 * len(shown))
    axes = plain_axes(plot.subplots(), "", f"{metric} with its {interval} interval (lower is better)", "", "x")
    _points(axes, shown, marked)
    best = next((one for one in shown if one.name in marked), None)
    if best is not None and len(shown) > 1:
        axes.axvline(best.value, color=VERMILION, linewidth=1, linestyle=(0, (5, 4)), zorder=1)
    ends = [end for one in shown for end in (one.low, one.high, one.value) if math.isfinite(end)]
    if min(ends) > 0 and max(ends) / min(ends) > _SPREAD:
        axes.set_xscale("log")
    plot.alt = f"Leaderboard of {len(ranked)} models by {metric}, best first: {listed(_said(ranked))}."
    return plot


def importance_plot(features: Sequence[Measured], measure: str = "importance", interval: str = "95 %") -> Plot:
    """Return features with their importance and its interval, the most important first.

    Parameters
    ----------
    features : sequence of Measured
        The features; 40 of them at most are shown, the most important.
    measure : str
        What the importance is.
    interval : str
        What the intervals cover.

    Raises
    ------
    DataError
        If there is no feature.
    """
    ranked = sorted(features, key=lambda one: -one.value)
    if not ranked:
        raise DataError("there are no features to show")
    shown = ranked[:MOST_LINES]
    plot = Plot(7.2, 1.1 + 0.3 * len(shown))
    with_interval = any(math.isfinite(one.low) for one in shown)
    across = f"{measure} with its {interval} interval" if with_interval else measure
    axes = plain_axes(plot.subplots(), "", across, "", "x")
    axes.barh(range(len(shown)), [one.value for one in shown], height=0.5, color=BLUE, alpha=0.35, zorder=1)
    _points(axes, shown, ())
    axes.axvline(0, color=INK, linewidth=1)
    plot.alt = f"{measure[:1].upper()}{measure[1:]} of {len(ranked)} features, largest first: {listed(_said(ranked))}."
    return plot


def _points(axes: Axes, shown: Sequence[Measured], marked: Sequence[str]) -> None:
    """Draw a point and its interval a line, the first on top."""
    for line, one in enumerate(shown):
        special = one.name in marked
        color = VERMILION if special else BLUE
        if math.isfinite(one.low) and math.isfinite(one.high):
            ends = [[max(0.0, one.value - one.low)], [max(0.0, one.high - one.value)]]
            axes.errorbar(one.value, line, xerr=ends, color=color, elinewidth=1.8, capsize=3.5, fmt="none")
        axes.plot(one.value, line, "D" if special else "o", color=color, markersize=7 if special else 5.5)
    axes.set_yticks(range(len(shown)), [escaped(short(one.name)) for one in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)


def _said(ranked: Sequence[Measured]) -> list[str]:
    return [
        f"{one.name} {number(one.value)}"
        + (f" ({number(one.low)} to {number(one.high)})" if math.isfinite(one.low) else "")
        for one in ranked
    ]


def share_bars(shares: Sequence[tuple[str, float]], measure: str) -> Plot:
    """Return shares of a whole as bars, largest first.

    Parameters
    ----------
    shares : sequence of (str, float)
        Names and shares between 0 and 1; 40 of them at most are shown, the largest.
    measure : str
        What is shared out.

    Raises
    ------
    DataError
        If there is none.
    """
    ranked = sorted(shares, key=lambda one: -one[1])
    if not ranked:
        raise DataError(f"there is no {measure} to show")
    shown = ranked[:MOST_LINES]
    plot = Plot(7.2, 1.1 + 0.3 * len(shown))
    axes = plain_axes(plot.subplots(), "", measure, "", "x")
    bars = axes.barh(range(len(shown)), [share for _, share in shown], height=0.6, color=BLUE)
    axes.bar_label(bars, fmt="%.3f", padding=4, fontsize=8.5, color=INK)
    axes.set_yticks(range(len(shown)), [escaped(short(name)) for name, _ in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(0, 1.08 * max(share for _, share in shown) or 1.0)
    plot.alt = f"{measure[:1].upper()}{measure[1:]}: {listed([f'{name} {share:.3f}' for name, share in ranked])}."
    return plot


def reliability_diagram(series: Mapping[str, Sequence[Bin]], what: str = "probability") -> Plot:
    """Return observed rates over predicted probabilities, and beside them the rows of each bin.

    Bars through the points are 95 % intervals of the observed rates (Wilson 1927). The diagonal is perfect calibration.

    Parameters
    ----------
    series : mapping of str to sequence of Bin
        Bins by name, such as before and after a calibration; two series at most are told apart by their look.
    what : str
        What was predicted.

    Raises
    ------
    DataError
        If there is no bin.
    """
    series = {name: bins for name, bins in series.items() if bins}
    if not series:
        raise DataError("there are no bins of probabilities; a reliability diagram is for classes")
    plot = Plot(8.6, 4.4)
    left, right = plot.subplots(1, 2, width_ratios=(1.25, 1))
    plain_axes(left, "", f"predicted {what}", "observed rate")
    left.plot([0, 1], [0, 1], color=INK, linewidth=1.2, linestyle=(0, (1, 2)), label="perfect calibration")
    looks: list[dict[str, Any]] = [
        {"color": VERMILION, "marker": "s", "markerfacecolor": "white", "linestyle": (0, (5, 3))},
        {"color": BLUE, "marker": "o", "linestyle": "-"},
    ]
    for place, (name, bins) in enumerate(series.items()):
        reach = [wilson(one.observed, one.rows) for one in bins]
        ends = [
            [max(0.0, one.observed - low) for one, (low, _) in zip(bins, reach, strict=True)],
            [max(0.0, high - one.observed) for one, (_, high) in zip(bins, reach, strict=True)],
        ]
        look = looks[(place + (len(series) == 1)) % 2]
        across, up = [one.predicted for one in bins], [one.observed for one in bins]
        left.errorbar(across, up, yerr=ends, elinewidth=1, capsize=2.5, linewidth=1.7, label=name, **look)
    left.set_xlim(-0.02, 1.02)
    left.set_ylim(-0.02, 1.02)
    left.set_aspect("equal")
    legend(left, loc="upper left")
    first = next(iter(series.values()))
    plain_axes(right, "", f"predicted {what}", "rows", "y")
    right.bar([one.predicted for one in first], [one.rows for one in first], width=0.05, color=GREY)
    right.set_xlim(-0.02, 1.02)
    plot.alt = "Reliability diagram. " + " ".join(_gap(name, bins) for name, bins in series.items())
    return plot


def _gap(name: str, bins: Sequence[Bin]) -> str:
    rows = sum(one.rows for one in bins)
    gap = sum(one.rows * abs(one.predicted - one.observed) for one in bins) / rows
    worst = max(bins, key=lambda one: abs(one.predicted - one.observed))
    return (
        f"{name}: predicted and observed differ by {gap:.3f} in the mean over {rows:,.0f} rows, at most where "
        f"{worst.predicted:.2f} was predicted and {worst.observed:.2f} observed."
    )
