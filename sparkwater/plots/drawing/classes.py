"""Plots of classes: confusion matrix, and precision, recall and F1 by class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkwater.errors import DataError
from sparkwater.plots.drawing.curves import STYLES
from sparkwater.plots.drawing.palette import FAINT, INK, listed, short
from sparkwater.plots.drawing.plot import SMALL, Plot, escaped, legend, plain_axes

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

#: More classes than this have no words in the cells, more than this no names; and bars of so many classes are shown.
_WORDS, _NAMES, BARS = 20, 60, 40

#: Inches of a letter.
_LETTER = 0.085


def confusion_heat_map(labels: Sequence[str], counts: Sequence[Sequence[float]]) -> Plot:
    """Return counts of rows by actual and predicted class; the shade is the share of the actual class's rows.

    Cells have the count and, below it, the share; above 20 classes the shade alone.

    Parameters
    ----------
    labels : sequence of str
        The classes.
    counts : sequence of sequence of float
        Rows, or their weight, by actual class (first) and predicted class.

    Raises
    ------
    DataError
        If there is no row.
    """
    table = np.array(counts, np.float64).reshape(len(labels), len(labels))
    if not table.sum():
        raise DataError("the confusion matrix has no rows")
    totals = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, totals, out=np.zeros_like(table), where=totals > 0)
    cell = min(0.75, max(0.16, 10 / len(labels)))
    places = range(0, len(labels), math.ceil(len(labels) / _NAMES))
    names = [short(labels[place]) for place in places]
    longest = _LETTER * max(map(len, names))
    slanted = longest > cell
    side = max(2.6, cell * len(labels))
    plot = Plot(side + 1.7 + longest, side + 1.1 + (longest if slanted else 0.0))
    axes = plain_axes(plot.subplots(), "Rows by actual and predicted class", "predicted class", "actual class", "")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal", interpolation="nearest")
    words = [escaped(name) for name in names]
    axes.set_xticks(places, words, rotation=90 if slanted else 0)
    axes.set_yticks(places, words)
    _lines_between(axes, len(labels))
    if len(labels) <= _WORDS:
        for i, j in np.argwhere(table > 0):
            inside = f"{_count(table[i, j])}\n{_percent(shares[i, j])}"
            ink = "white" if shares[i, j] > 0.55 else INK
            axes.text(j, i, inside, ha="center", va="center", fontsize=7.5 if cell < 0.7 else 8.5, color=ink)
    bar = plot.colorbar(image, ax=axes, shrink=0.9, aspect=30)
    bar.set_label("share of the actual class's rows", fontsize=SMALL, color=INK)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.outline.set_visible(False)
    plot.alt = _said(labels, table, shares)
    return plot


def _lines_between(axes: Axes, cells: int) -> None:
    """Draw faint lines between cells, and no frame."""
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    edges = np.arange(cells + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(True, which="minor", color=FAINT, linewidth=0.6)
    axes.tick_params(which="minor", length=0)


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or float(value).is_integer() else f"{value:.1f}"


def _percent(share: float, digits: int = 0) -> str:
    """Return a share in per cent that says "0%" of no row alone, and "100%" of all rows alone."""
    step = 10.0**-digits
    said = f"{share:.{digits}%}"
    if share > 0 and said == f"{0:.{digits}%}":
        return f"<{step:.{digits}f}%"
    if share < 1 and said == f"{1:.{digits}%}":
        return f">{100 - step:.{digits}f}%"
    return said


def _said(labels: Sequence[str], table: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]) -> str:
    right, total = float(np.trace(table)), float(table.sum())
    wrong = table - np.diag(np.diag(table))
    worst = [
        f"{_count(wrong[i, j])} of {labels[i]} as {labels[j]} ({_percent(shares[i, j])} of its rows)"
        for i, j in zip(*np.unravel_index(np.argsort(-wrong, axis=None, kind="stable")[:5], wrong.shape), strict=True)
        if wrong[i, j] > 0
    ]
    text = (
        f"Confusion matrix of {len(labels)} classes: {_count(right)} of {_count(total)} rows are right, "
        f"{_percent(right / total, 1)}."
    )
    return f"{text} The most frequent errors: {'; '.join(worst)}." if worst else f"{text} No row is wrong."


def class_bars(labels: Sequence[str], scores: Mapping[str, Sequence[float | None]]) -> Plot:
    """Return scores of each class, such as precision, recall and F1, each between 0 and 1, as points on a line.

    A class's line goes from its lowest to its highest score. Of more than 40 classes those whose last score is lowest
    are shown.

    Parameters
    ----------
    labels : sequence of str
        The classes.
    scores : mapping of str to sequence of float or None
        For each score its values, one a class; None where it is undefined.

    Raises
    ------
    DataError
        If there is no class.
    """
    if not labels:
        raise DataError("there are no classes to show")
    *_, (name, last) = scores.items()
    order = sorted(range(len(labels)), key=lambda at: (math.inf if (value := last[at]) is None else value, at))
    kept = sorted(order[:BARS])
    plot = Plot(6.4, 1.1 + 0.28 * len(kept))
    title = "Scores of each class"
    if len(kept) < len(labels):
        title = f"Scores of the {len(kept)} classes with the lowest {name}, of {len(labels):,}"
    axes = plain_axes(plot.subplots(), title, "score", "", "x")
    table = np.array([[values[at] for at in kept] for values in scores.values()], np.float64)
    for line, found in enumerate(table.T):
        if len(known := found[np.isfinite(found)]):
            axes.plot([known.min(), known.max()], [line, line], color=FAINT, linewidth=3, zorder=1)
    for place, (name, values) in enumerate(zip(scores, table, strict=True)):
        color, _, mark = STYLES[place % len(STYLES)]
        # Points on one another stay visible: those drawn first are larger, and all but the last are rings.
        inside = color if place == len(scores) - 1 else "none"
        look: dict[str, Any] = {"marker": mark, "s": max(20, 80 - 22 * place), "edgecolors": color, "linewidths": 1.6}
        # The axis ends where scores do; a point on an end is drawn whole, beyond it.
        axes.scatter(values, range(len(kept)), facecolors=inside, label=name, zorder=3 + place, clip_on=False, **look)
    axes.set_yticks(range(len(kept)), [escaped(short(labels[at])) for at in kept])
    axes.set_ylim(len(kept) - 0.5, -0.5)
    axes.tick_params(axis="y", pad=7)  # room for half a point, of a score of 0
    lowest = float(np.nanmin(table, initial=0.9))
    axes.set_xlim(max(0.0, lowest - 0.05), 1.0)
    legend(axes, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    plot.alt = _scores_said(labels, scores, order)
    return plot


def _scores_said(labels: Sequence[str], scores: Mapping[str, Sequence[float | None]], order: Sequence[int]) -> str:
    names = [*scores]
    lines = [f"{labels[at]} " + ", ".join(f"{name} {_score(scores[name][at])}" for name in names) for at in order]
    return f"{', '.join(names)} of {len(labels)} classes, lowest {names[-1]} first: {listed(lines)}."


def _score(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
