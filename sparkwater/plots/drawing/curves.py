"""Learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from sparkwater.errors import DataError
from sparkwater.plots.drawing.palette import AMBER, BLUE, GREEN, INK, PURPLE, SKY, VERMILION, number
from sparkwater.plots.drawing.plot import Plot, legend, plain_axes, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colour, dashes and points of each line.
STYLES = (
    (BLUE, "-", "o"),
    (VERMILION, (0, (5, 2)), "s"),
    (GREEN, (0, (1, 1.2)), "^"),
    (PURPLE, (0, (6, 2, 1, 2)), "D"),
    (AMBER, (0, (3, 1)), "v"),
    (SKY, "-", "P"),
)

#: Longer lines have no point at each value; of values that spread further the axis is logarithmic.
_POINTS, _SPREAD = 30, 50.0

#: The largest difference of equal values, relative and absolute: a loss and a metric may sum the same numbers in
#: another order, by which small ones differ more, and no plot shows it.
_ROUNDING, _NOTHING = 1e-4, 1e-6

#: Epochs, counted from 1, and values of each line by its name.
_Lines: TypeAlias = Mapping[str, Sequence[tuple[int, float]]]


def learning_curves(panels: Mapping[str, Mapping[str, Sequence[float | None]]], best: int | None = None) -> Plot:
    """Return values by epoch: a panel a metric, and in it a line a group of rows or a learner.

    Epochs are counted from 1: a value belongs to the end of its epoch. Metrics of equal values, as the loss and
    ``logloss`` mostly are, share a panel under both names.

    Parameters
    ----------
    panels : mapping of str to mapping of str to sequence of float or None
        For each metric its values by epoch, from the first epoch on, for each name; None where a metric is undefined.
    best : int, optional
        The epoch whose weights the model has, counted from 0 as a summary's ``bestEpoch`` is; it is marked.

    Raises
    ------
    DataError
        If there is no value.
    """
    found = {
        metric: {name: points for name, values in lines.items() if (points := _known(values))}
        for metric, lines in panels.items()
    }
    known = _joined({metric: lines for metric, lines in found.items() if lines})
    if not known:
        raise DataError(
            "there are no values by epoch, so there are no learning curves; a training of no epochs has none"
        )
    across = min(len(known), 3)
    down = math.ceil(len(known) / across)
    plot = Plot(4.4 * across, 3.1 * down)
    grid = plot.subplots(down, across, squeeze=False).ravel()
    marked = None if best is None else best + 1
    for axes, (metric, lines) in zip(grid, known.items(), strict=False):
        _panel(axes, metric, lines, marked)
    for axes in grid[len(known) :]:
        axes.set_visible(False)
    plot.alt = " ".join(["Learning curves.", *(_said(metric, lines) for metric, lines in known.items())])
    if marked is not None:
        plot.alt += f" The model is that of epoch {marked}, counted from 1."
    return plot


def _known(values: Sequence[float | None]) -> list[tuple[int, float]]:
    return [(epoch, value) for epoch, value in enumerate(values, 1) if value is not None and math.isfinite(value)]


def _joined(panels: Mapping[str, _Lines]) -> dict[str, _Lines]:
    """Return the panels by title; where the lines of one are all in another too, this one stands for both."""
    found: list[tuple[list[str], _Lines]] = []
    for metric, lines in panels.items():
        for place, (names, others) in enumerate(found):
            if _within(lines, others) or _within(others, lines):
                found[place] = ([*names, metric], max(others, lines, key=len))
                break
        else:
            found.append(([metric], lines))
    return {_title(*names): lines for names, lines in found}


def _title(first: str, *equal: str) -> str:
    return f"{first} (= {', '.join(equal)})" if equal else first


def _within(lines: _Lines, others: _Lines) -> bool:
    """Return whether all lines are among the others, under the same names."""
    return all(name in others and _same(points, others[name]) for name, points in lines.items())


def _same(points: Sequence[tuple[int, float]], others: Sequence[tuple[int, float]]) -> bool:
    """Return whether points are of the same epochs, with values that differ by their rounding alone."""
    return len(points) == len(others) and all(
        epoch == at and math.isclose(value, other, rel_tol=_ROUNDING, abs_tol=_NOTHING)
        for (epoch, value), (at, other) in zip(points, others, strict=True)
    )


def _panel(axes: Axes, metric: str, lines: _Lines, best: int | None) -> None:
    plain_axes(axes, title=metric, across="epoch")
    whole_numbers(axes)
    for place, (name, points) in enumerate(lines.items()):
        color, dash, mark = STYLES[place % len(STYLES)]
        epochs, values = zip(*points, strict=True)
        shown = mark if len(points) <= _POINTS else None
        axes.plot(epochs, values, color=color, linestyle=dash, marker=shown, markersize=4.5, linewidth=1.7, label=name)
    heights = [value for points in lines.values() for _, value in points]
    if min(heights) > 0 and max(heights) / min(heights) > _SPREAD:
        axes.set_yscale("log")
    if best is not None:
        axes.axvline(best, color=INK, linewidth=1, linestyle=(0, (2, 2)), label="the model's epoch")
    if len(lines) > 1 or best is not None or next(iter(lines)):
        legend(axes)


def _said(metric: str, lines: _Lines) -> str:
    said = []
    for name, points in lines.items():
        (first, start), (last, end) = points[0], points[-1]
        lowest = min(points, key=lambda point: point[1])
        said.append(
            f"{name or 'all rows'}: {number(start)} in epoch {first}, {number(end)} in epoch {last}, "
            f"lowest {number(lowest[1])} in epoch {lowest[0]}"
        )
    return f"{metric[:1].upper()}{metric[1:]}: {'; '.join(said)}."
