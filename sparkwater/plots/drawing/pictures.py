"""Galleries of pictures with words below them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sparkwater.errors import DataError
from sparkwater.plots.drawing.palette import BLUE, FAINT, INK, listed
from sparkwater.plots.drawing.plot import MIDDLE, Plot, escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches of a picture, and of a line of words.
_SIDE, _LINE = 1.35, 0.17


@dataclass(frozen=True)
class Picture:
    """A picture with words.

    Attributes
    ----------
    pixels : numpy.ndarray
        ``(height, width)``, ``(channels, height, width)`` or ``(height, width, channels)``, 1 or 3 channels, uint8
        or floats. Floats are shown between their own lowest and highest value.
    words : str
        Words below it; lines end in a line break.
    """

    pixels: npt.NDArray[Any]
    words: str = ""


def gallery(pictures: Sequence[Picture], *, columns: int = 6, title: str = "") -> Plot:
    """Return pictures in a grid, row by row.

    Parameters
    ----------
    pictures : sequence of Picture
        The pictures; each keeps its ratio of width to height.
    columns : int
        Pictures beside each other.
    title : str
        Title of the whole.

    Raises
    ------
    DataError
        If there is none, or one has another shape.
    """
    if not pictures:
        raise DataError("there are no pictures to show")
    across = min(columns, len(pictures))
    rows = [pictures[start : start + across] for start in range(0, len(pictures), across)]
    plot = _grid(rows, across, title)
    said = listed([one.words.replace("\n", ", ") for one in pictures if one.words], 24)
    plot.alt = f"{title or 'Gallery'}: {len(pictures)} pictures. {said}".strip()
    return plot


def neighbor_gallery(rows: Sequence[tuple[Picture, Sequence[Picture]]], *, title: str = "") -> Plot:
    """Return a line a picture: itself, framed, and the nearest to it beside it.

    Parameters
    ----------
    rows : sequence of (Picture, sequence of Picture)
        Each picture with its nearest, the nearest first.
    title : str
        Title of the whole.

    Raises
    ------
    DataError
        If there is none, or one has another shape.
    """
    if not rows:
        raise DataError("there are no pictures to show")
    across = 1 + max(len(nearest) for _, nearest in rows)
    plot = _grid([[query, *nearest] for query, nearest in rows], across, title, framed=True)
    said = listed(
        [
            f"{query.words.replace(chr(10), ', ') or 'a picture'}: nearest are "
            + (", ".join(one.words.replace("\n", " ") or "a picture" for one in nearest) or "none")
            for query, nearest in rows
        ],
        24,
    )
    plot.alt = f"{title or 'Nearest neighbours'} of {len(rows)} pictures. {said}"
    return plot


def _grid(rows: Sequence[Sequence[Picture]], across: int, title: str, framed: bool = False) -> Plot:
    lines = max(one.words.count("\n") + bool(one.words) for row in rows for one in row)
    plot = Plot(
        max(2.4, across * (_SIDE + 0.12)), len(rows) * (_SIDE + 0.12 + _LINE * lines) + (0.35 if title else 0.0)
    )
    if title:
        plot.suptitle(escaped(title), fontsize=MIDDLE, color=INK, x=0.01, ha="left")
    grid = plot.subplots(len(rows), across, squeeze=False)
    for line, row in enumerate(rows):
        for column in range(across):
            if column < len(row):
                _show(grid[line, column], row[column], framed and column == 0)
            else:
                grid[line, column].set_visible(False)
    return plot


def _show(axes: Axes, picture: Picture, framed: bool) -> None:
    pixels = channels_last(picture.pixels)
    axes.imshow(pixels, cmap="gray", interpolation="nearest")
    axes.set_facecolor("white")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(BLUE if framed else FAINT)
        spine.set_linewidth(2.5 if framed else 0.8)
    axes.set_xlabel(escaped(picture.words), fontsize=8, color=INK)


def is_picture(shape: Sequence[int]) -> bool:
    """Return whether `channels_last` takes pictures of a shape."""
    return len(shape) == 2 or (len(shape) == 3 and (shape[0] in (1, 3) or shape[2] in (1, 3)))


def channels_last(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a picture as matplotlib takes it: ``(height, width)``, or with three channels last.

    Parameters
    ----------
    pixels : numpy.ndarray
        As in `Picture`.

    Raises
    ------
    DataError
        If it has another shape.
    """
    shape = pixels.shape
    if pixels.ndim == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3):
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)) or not pixels.size:
        raise DataError(f"a picture of shape {shape} is not accepted; give (height, width), or 1 or 3 channels as well")
    if pixels.dtype == np.uint8:
        # Grey from black to white, whatever values there are.
        return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    values = pixels.astype(np.float64)
    low, high = np.nanmin(values), np.nanmax(values)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise DataError("a picture holds an infinity, or no number")
    scaled: npt.NDArray[Any] = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return scaled if scaled.ndim == 3 else np.repeat(scaled[:, :, None], 3, axis=2)
