"""Contributions to the output of one row, step by step."""

from __future__ import annotations

from collections.abc import Mapping

from sparkwater.errors import DataError
from sparkwater.plots.drawing.palette import BLUE, INK, VERMILION, number, short
from sparkwater.plots.drawing.plot import Plot, escaped, plain_axes


def contribution_steps(contributions: Mapping[str, float], base: float, output: str = "output", most: int = 12) -> Plot:
    """Return the contributions of features to one row's output, from the base value to the output.

    Parameters
    ----------
    contributions : mapping of str to float
        Contributions by feature.
    base : float
        The base value.
    output : str
        Name of the output.
    most : int
        Features at most; the others are added up in one bar.

    Raises
    ------
    DataError
        If there is no feature.
    """
    if not contributions:
        raise DataError("there are no contributions to show")
    ranked = sorted(contributions.items(), key=lambda item: -abs(item[1]))
    lines = ranked[:most]
    if len(ranked) > most:
        lines.append((f"{len(ranked) - most} others", sum(value for _, value in ranked[most:])))
    plot = Plot(7.2, 1.4 + 0.32 * len(lines))
    total = base + sum(contributions.values())
    title = f"{output}: {number(base)} + contributions = {number(total)}"
    axes = plain_axes(plot.subplots(), title, output, "", "x")
    reached = base
    for line, (_, value) in enumerate(lines):
        up = value >= 0
        axes.barh(
            line, value, left=reached, height=0.6, color=BLUE if up else VERMILION, hatch="" if up else "////",
            edgecolor="white", linewidth=0,
        )  # fmt: skip
        axes.plot([reached + value] * 2, [line - 0.3, line + 1.3], color=INK, linewidth=0.7)
        axes.annotate(
            f"{value:+.3g}", (max(reached, reached + value), line), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8.5, color=INK,
        )  # fmt: skip
        reached += value
    axes.axvline(base, color=INK, linewidth=1, linestyle=(0, (2, 2)))
    axes.set_yticks(range(len(lines)), [escaped(short(name)) for name, _ in lines])
    axes.set_ylim(len(lines) - 0.5, -0.6)
    axes.use_sticky_edges = False  # bars begin anywhere
    axes.margins(x=0.12)
    said = "; ".join(f"{name} {value:+.4g}" for name, value in lines)
    plot.alt = f"Contributions to {output} of one row, from the base value {number(base)} to {number(total)}: {said}."
    return plot
