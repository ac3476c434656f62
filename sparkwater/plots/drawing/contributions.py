"""Plots of Shapley values over many rows: points by feature, and bars of their mean size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize

from sparkwater.errors import DataError
from sparkwater.plots.drawing.palette import BLUE, GREY, INK, listed, number, short
from sparkwater.plots.drawing.plot import SMALL, Plot, escaped, plain_axes

if TYPE_CHECKING:
    Numbers = npt.NDArray[np.float64]

#: Cividis (Nuñez, Anderton and Renslow, PLoS ONE 13, 2018), the same for colour-blind readers, whose lightness rises
#: all the way; without its last part, which is too light on white.
VALUES = LinearSegmentedColormap.from_list("values", colormaps["cividis"](np.linspace(0.0, 0.92, 256)))

#: Bins of the contributions' range in which points of a line are counted, and half the height of a line of points.
_BINS, _HEIGHT = 80, 0.38


def contributions_swarm(
    names: Sequence[str],
    contributions: Sequence[Sequence[float]],
    values: Sequence[Sequence[float | None]] | None = None,
    *,
    output: str = "output",
    features: int = 15,
) -> Plot:
    """Return the contributions of features to an output, a point a row, coloured by the feature's value.

    The summary plot of Lundberg et al., Nature Machine Intelligence 2 (2020), figure 4. Where points would lie on each
    other they are moved up and down. Colours go from a feature's lowest value to its highest, by rank.

    Parameters
    ----------
    names : sequence of str
        The features.
    contributions : sequence of sequence of float
        Contributions, ``(rows, features)``.
    values : sequence of sequence of float or None, optional
        Values of the features, of the same shape; grey where there is none, or all are one.
    output : str
        Name of the output.
    features : int
        Features at most, those with the largest mean size.

    Raises
    ------
    DataError
        If there is no row.
    """
    table, sizes = _sizes(names, contributions)
    order = np.argsort(-sizes, kind="stable")[:features]
    plot = Plot(7.4, 1.2 + 0.42 * len(order))
    axes = plain_axes(plot.subplots(), "", f"contribution to {output}", "", "x")
    axes.axvline(0, color=INK, linewidth=1)
    width = float(np.ptp(table[:, order])) or 1.0
    for line, at in enumerate(order):
        heights = line + _spread(table[:, at], width)
        ranks = _ranks(None if values is None else np.array([row[at] for row in values], np.float64))
        if ranks is None:
            axes.scatter(table[:, at], heights, s=13, color=GREY, linewidths=0)
            continue
        known = np.isfinite(ranks)
        axes.scatter(table[~known, at], heights[~known], s=13, color=GREY, linewidths=0)
        axes.scatter(table[known, at], heights[known], s=13, c=ranks[known], cmap=VALUES, vmin=0, vmax=1, linewidths=0)
    axes.set_yticks(range(len(order)), [escaped(short(names[at])) for at in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    if values is not None:
        bar = plot.colorbar(ScalarMappable(Normalize(0, 1), VALUES), ax=axes, ticks=[0, 1], aspect=30)
        bar.ax.set_yticklabels(["low", "high"], fontsize=SMALL, color=INK)
        bar.set_label("value of the feature, by rank", fontsize=SMALL, color=INK)
        bar.outline.set_visible(False)
    plot.alt = _said(names, table, sizes, values, output)
    return plot


def contribution_bars(
    names: Sequence[str], contributions: Sequence[Sequence[float]], *, output: str = "output", features: int = 15
) -> Plot:
    """Return the mean size of the features' contributions as bars.

    Parameters
    ----------
    names, contributions, output, features
        As in `contributions_swarm`.

    Raises
    ------
    DataError
        If there is no row.
    """
    table, sizes = _sizes(names, contributions)
    order = np.argsort(-sizes, kind="stable")[:features]
    plot = Plot(7.0, 1.1 + 0.3 * len(order))
    axes = plain_axes(plot.subplots(), "", f"mean size of the contribution to {output}", "", "x")
    axes.barh(range(len(order)), sizes[order], height=0.6, color=BLUE)
    for line, at in enumerate(order):
        axes.annotate(
            number(sizes[at]), (sizes[at], line), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8.5,
            color=INK,
        )  # fmt: skip
    axes.set_yticks(range(len(order)), [escaped(short(names[at])) for at in order])
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.margins(x=0.1)
    plot.alt = _said(names, table, sizes, None, output)
    return plot


def _sizes(names: Sequence[str], contributions: Sequence[Sequence[float]]) -> tuple[Numbers, Numbers]:
    table = np.array(contributions, np.float64).reshape(-1, len(names))
    if not table.size:
        raise DataError("there are no contributions to show: no row has some")
    return table, np.abs(table).mean(axis=0)


def _spread(points: Numbers, width: float) -> Numbers:
    """Return how far each point is moved up or down, so that those of like contributions lie beside each other."""
    bins = np.floor((points - points.min()) / width * _BINS).astype(np.int64)
    counts = np.bincount(bins)
    order = np.argsort(bins, kind="stable")
    place = np.empty(len(points), np.int64)
    place[order] = np.arange(len(points)) - np.repeat(np.cumsum(counts) - counts, counts)
    # 0, 1, -1, 2, -2, ... from the middle of a line.
    steps = np.where(place % 2, (place + 1) // 2, -(place // 2))
    return steps * min(0.09, _HEIGHT / max(1, counts.max() // 2))


def _ranks(values: Numbers | None) -> Numbers | None:
    """Return the rank of each value between 0 and 1, equal values alike; None where there are no two values."""
    if values is None:
        return None
    known, places = np.unique(values[np.isfinite(values)], return_inverse=True)
    if len(known) < 2:
        return None
    found = np.full(len(values), np.nan)
    found[np.isfinite(values)] = places / (len(known) - 1)
    return found


def _said(
    names: Sequence[str],
    table: Numbers,
    sizes: Numbers,
    values: Sequence[Sequence[float | None]] | None,
    output: str,
) -> str:
    parts = []
    for at in np.argsort(-sizes, kind="stable"):
        text = f"{names[at]} {number(float(sizes[at]))}"
        ranks = _ranks(None if values is None else np.array([row[at] for row in values], np.float64))
        if ranks is not None:
            known = np.isfinite(ranks)
            if np.ptp(table[known, at]) > 0:
                slope = float(np.corrcoef(ranks[known], table[known, at])[0, 1])
                text += f" (correlation with the value's rank {slope:+.2f})"
        parts.append(text)
    return f"Contributions to {output} of {len(table):,} rows, mean size by feature, largest first: {listed(parts)}."
