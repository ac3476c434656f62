"""Plots of a model's output by the value of one column, over all rows and by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkwater.errors import DataError
from sparkwater.plots.drawing.palette import BLUE, GREY, INK, number, short
from sparkwater.plots.drawing.plot import Plot, escaped, legend, plain_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def dependence_plot(
    values: Sequence[Any],
    mean: Sequence[float],
    curves: Sequence[Sequence[float]] = (),
    *,
    column: str = "value",
    output: str = "prediction",
    own: Sequence[Any] = (),
) -> Plot:
    """Return the mean output at each value of a column, and thin lines for single rows.

    Parameters
    ----------
    values : sequence
        Values of the column: numbers on an axis, strings and booleans in their order.
    mean : sequence of float
        The mean output at each.
    curves : sequence of sequence of float
        The output at each value, a row each.
    column, output : str
        Names of the column and the output.
    own : sequence
        Values that the rows have themselves, shown as marks on the axis; for columns of numbers.

    Raises
    ------
    DataError
        If there is no value.
    """
    if not len(values):
        raise DataError("there are no values to show")
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in map(_plain, values))
    places: Any = np.array(values, np.float64) if numbers else np.arange(len(values))
    plot = Plot(6.4, 4.0)
    axes = plain_axes(plot.subplots(), "", column, output)
    for place, curve in enumerate(curves):
        label = f"single rows ({len(curves)})" if not place else None
        axes.plot(places, curve, color=GREY, linewidth=0.8, alpha=_alpha(len(curves)), label=label)
    style: dict[str, Any] = {"color": BLUE, "marker": "o", "markersize": 5, "linewidth": 2.4}
    if not numbers:
        style["linestyle"] = (0, (1, 1.5))
        axes.set_xticks(places, [escaped(short(str(value))) for value in values])
    axes.plot(places, mean, label="mean over rows", zorder=5, **style)
    if numbers and len(own):
        _marks(axes, own)
    legend(axes)
    plot.alt = _said(values, mean, curves, column, output)
    return plot


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _alpha(count: int) -> float:
    return max(0.15, min(0.7, 20 / max(count, 1)))


def _marks(axes: Axes, own: Sequence[Any]) -> None:
    """Draw the rows' own values as short lines on the horizontal axis."""
    known = [value for value in own if value is not None]
    axes.plot(
        known, np.zeros(len(known)), "|", color=INK, markersize=9, alpha=0.6, transform=axes.get_xaxis_transform(),
        clip_on=False, label="values of the rows",
    )  # fmt: skip


def _said(
    values: Sequence[Any], mean: Sequence[float], curves: Sequence[Sequence[float]], column: str, output: str
) -> str:
    low, high = int(np.argmin(mean)), int(np.argmax(mean))
    text = (
        f"Partial dependence of {output} on {column}: the mean goes from {number(mean[0])} at {values[0]} to "
        f"{number(mean[-1])} at {values[-1]}; lowest {number(mean[low])} at {values[low]}, highest "
        f"{number(mean[high])} at {values[high]}."
    )
    if not len(curves):
        return text
    table = np.array(curves, np.float64)
    changes = table[:, -1] - table[:, 0]
    return (
        f"{text} Of {len(table)} single rows {int((changes > 0).sum())} are higher at the last value than at the "
        f"first, {int((changes < 0).sum())} lower."
    )
