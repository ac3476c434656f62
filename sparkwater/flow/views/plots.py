"""Plots of summaries, each as an SVG with words."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkwater.errors import DataError
from sparkwater.flow.views.data_urls import SVG, data_url

if TYPE_CHECKING:
    from sparkwater.plots.drawing.plot import Plot


@dataclass(frozen=True)
class PlotView:
    """A plot.

    Attributes
    ----------
    title : str
        What it is.
    url : str
        A ``data:`` URL with the SVG.
    alt : str
        What it shows, in words.
    """

    title: str
    url: str
    alt: str


def plot_views(**plots: Callable[[], Plot]) -> tuple[PlotView, ...]:
    """Return plots as a page shows them, by their titles; without those that have nothing to show."""
    found = []
    for title, draw in plots.items():
        with suppress(DataError):
            plot, data = draw(), io.BytesIO()
            plot.savefig(data, format="svg")
            found.append(PlotView(title, data_url(SVG, data.getvalue()), plot.alt))
    return tuple(found)
