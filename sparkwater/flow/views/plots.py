"""Plots of summaries, each as an SVG with words."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparkwater.plots import Plot


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


def plot_view(title: str, plot: Plot) -> PlotView:
    """Return a plot under a title as a page shows it."""
    data = io.BytesIO()
    plot.savefig(data, format="svg")
    return PlotView(title, f"data:image/svg+xml;base64,{base64.b64encode(data.getvalue()).decode()}", plot.alt)
