"""`Plot`: a figure of matplotlib that says in words what it shows."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sparkwater.plots.drawing.palette import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Points of the text on axes, and of titles.
SMALL, MIDDLE = 9.0, 10.5

#: Dots per inch of a picture, unless another number is given.
_DPI = 100


class Plot(Figure):
    """A figure with a text alternative.

    It belongs to no window and to no state of pyplot, so it is made and saved in any thread, with or without a
    display. Files of PNG, SVG and PDF carry the text: as ``Description``, as ``title``, and as ``Subject``.

    Attributes
    ----------
    alt : str
        The text alternative: what the plot shows, in words.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(self)
        self.alt = ""

    def savefig(self, fname: Any, **options: Any) -> None:
        """Save the figure as matplotlib does, with the text alternative in the file.

        Parameters
        ----------
        fname : str, path or file object
            The file; what its name ends in is the format.
        **options
            Options of `matplotlib.figure.Figure.savefig`; given ``metadata`` comes before the text alternative.
        """
        kind = options.get("format") or (Path(fname).suffix[1:] if isinstance(fname, (str, Path)) else "") or "png"
        options["metadata"] = {**self._words(str(kind).lower()), **(options.get("metadata") or {})} or None
        super().savefig(fname, **options)

    def _words(self, kind: str) -> Mapping[str, str | None]:
        """Return the metadata of a format, without the time."""
        if kind == "png":
            return {"Description": self.alt}
        if kind == "svg":
            # Screen readers read the title.
            return {"Title": self.alt, "Date": None}
        return {"Subject": self.alt, "CreationDate": None} if kind == "pdf" else {}

    def _repr_html_(self) -> str:
        """Return a picture with its text alternative, for notebooks."""
        data = io.BytesIO()
        self.savefig(data, format="png")
        text = base64.b64encode(data.getvalue()).decode("ascii")
        return f'<img alt="{escape(self.alt)}" style="max-width: 100%" src="data:image/png;base64,{text}">'


def escaped(text: str) -> str:
    """Return a text that matplotlib shows as it is: between two signs of dollars it would read a formula."""
    return text.replace("$", r"\$")


def plain_axes(axes: Axes, title: str = "", across: str = "", up: str = "", grid: str = "both") -> Axes:
    """Give axes the common look, whatever the user's defaults are.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        The axes.
    title, across, up : str
        Title, and names of the horizontal and the vertical axis.
    grid : {"both", "x", "y", ""}
        Directions with faint lines.
    """
    axes.set_facecolor("white")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    axes.tick_params(labelsize=SMALL, colors=INK, labelcolor=INK)
    axes.set_title(escaped(title), fontsize=MIDDLE, color=INK, loc="left")
    axes.set_xlabel(escaped(across), fontsize=SMALL, color=INK)
    axes.set_ylabel(escaped(up), fontsize=SMALL, color=INK)
    axes.grid(False)
    if grid:
        axes.grid(True, axis=grid, color=FAINT, linewidth=0.6)  # type: ignore[arg-type]
        axes.set_axisbelow(True)
    return axes


def legend(axes: Axes, **options: Any) -> None:
    """Add a legend with the common look."""
    found = axes.legend(fontsize=SMALL, frameon=True, framealpha=0.9, edgecolor=FAINT, facecolor="white", **options)
    for text in found.get_texts():
        text.set_text(escaped(text.get_text()))
        text.set_color(INK)


def whole_numbers(axes: Axes) -> None:
    """Let the horizontal axis have whole numbers only."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
