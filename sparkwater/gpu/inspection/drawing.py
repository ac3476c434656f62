"""Drawings of layered graphs, from top to bottom: by Graphviz where it is installed, else as one column."""

from __future__ import annotations

import io
import logging
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from PIL import Image, ImageDraw, ImageFont

logger = logging.getLogger(__name__)

#: Pixels.
_TEXT, _CHARACTER, _BOX, _GAP, _LANE, _MARGIN = 12, 7, 22, 16, 12, 16
_GRAPHVIZ_SECONDS = 60
_LINE, _PLAIN, _WEIGHTED = "#555555", "#ffffff", "#dbe9f6"

_Point = tuple[int, int]


@dataclass(frozen=True)
class Node:
    """A box.

    Attributes
    ----------
    name : str
        Unique name.
    label : str
        Text of the box.
    inputs : tuple of str
        Earlier boxes with arrows to this one.
    weighted : bool
        Whether the box is coloured.
    """

    name: str
    label: str
    inputs: tuple[str, ...]
    weighted: bool


def draw_svg(nodes: Sequence[Node]) -> str:
    """Return a drawing as SVG."""
    drawn = _graphviz(nodes, "svg")
    return _column_svg(nodes) if drawn is None else drawn.decode()


def draw_png(nodes: Sequence[Node]) -> bytes:
    """Return a drawing as PNG."""
    drawn = _graphviz(nodes, "png")
    return _column_png(nodes) if drawn is None else drawn


def _graphviz(nodes: Sequence[Node], kind: str) -> bytes | None:
    """Return Graphviz's drawing, or None where it isn't installed or fails."""
    dot = shutil.which("dot")
    if dot is None:
        return None
    command = [dot, f"-T{kind}"]
    try:
        done = subprocess.run(
            command, input=graphviz_source(nodes).encode(), capture_output=True, check=True, timeout=_GRAPHVIZ_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("Graphviz failed, the graph is drawn as one column: %s", error)
        return None
    return done.stdout


def graphviz_source(nodes: Sequence[Node]) -> str:
    """Return the graph in Graphviz's language."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = ["digraph {", f'node [shape=box, style="rounded,filled", fontname=Helvetica, color="{_LINE}"]']
    for node in nodes:
        lines.append(
            f'{quoted(node.name)} [label={quoted(node.label)}, fillcolor="{_WEIGHTED if node.weighted else _PLAIN}"]'
        )
        lines += [f"{quoted(source)} -> {quoted(node.name)}" for source in node.inputs]
    return "\n".join([*lines, "}"])


@dataclass(frozen=True)
class _Column:
    """Boxes one below the other, with arrows from each to the next and, on lanes beside them, to later ones."""

    width: int
    height: int
    boxes: list[tuple[int, int, int, int]]
    lines: list[list[_Point]]


def _lay_out(nodes: Sequence[Node]) -> _Column:
    right = _MARGIN + max(len(node.label) for node in nodes) * _CHARACTER + _MARGIN
    boxes = []
    for position in range(len(nodes)):
        top = _MARGIN + position * (_BOX + _GAP)
        boxes.append((_MARGIN, top, right, top + _BOX))
    places = {node.name: position for position, node in enumerate(nodes)}
    edges = [(places[source], places[node.name]) for node in nodes for source in node.inputs]
    middle = (_MARGIN + right) // 2
    lines = [[(middle, boxes[start][3]), (middle, boxes[end][1])] for start, end in edges if end == start + 1]
    lanes: list[list[tuple[int, int]]] = []
    for start, end in sorted((edge for edge in edges if edge[1] > edge[0] + 1), key=lambda edge: edge[1] - edge[0]):
        lane = next((i for i, taken in enumerate(lanes) if all(end <= a or start >= b for a, b in taken)), len(lanes))
        lanes += [[]] if lane == len(lanes) else []
        lanes[lane].append((start, end))
        x, leaves, enters = right + (lane + 1) * _LANE, boxes[start][3] - 6, boxes[end][1] + 6
        lines.append([(right, leaves), (x, leaves), (x, enters), (right, enters)])
    return _Column(right + (len(lanes) + 1) * _LANE + _MARGIN, boxes[-1][3] + _MARGIN, boxes, lines)


def _arrow(line: list[_Point]) -> list[_Point]:
    """Return the triangle at a line's end, which comes from above or from the right."""
    x, y = line[-1]
    if line[-2][0] == x:
        return [(x, y), (x - 4, y - 7), (x + 4, y - 7)]
    return [(x, y), (x + 7, y - 4), (x + 7, y + 4)]


def _column_svg(nodes: Sequence[Node]) -> str:
    column = _lay_out(nodes)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{column.width}" height="{column.height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="{_TEXT}" text-anchor="middle">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for line in column.lines:
        parts.append(f'<polyline points="{_points(line)}" fill="none" stroke="{_LINE}"/>')
        parts.append(f'<polygon points="{_points(_arrow(line))}" fill="{_LINE}"/>')
    for node, (left, top, right, bottom) in zip(nodes, column.boxes, strict=True):
        fill = _WEIGHTED if node.weighted else _PLAIN
        parts.append(
            f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" rx="4" '
            f'fill="{fill}" stroke="{_LINE}"/>'
        )
        parts.append(f'<text x="{(left + right) // 2}" y="{bottom - 7}">{escape(node.label)}</text>')
    return "\n".join([*parts, "</svg>"])


def _points(points: list[_Point]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _column_png(nodes: Sequence[Node]) -> bytes:
    column = _lay_out(nodes)
    image = Image.new("RGB", (column.width, column.height), "white")
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(_TEXT)
    for line in column.lines:
        canvas.line(line, fill=_LINE)
        canvas.polygon(_arrow(line), fill=_LINE)
    for node, box in zip(nodes, column.boxes, strict=True):
        canvas.rounded_rectangle(box, 4, _WEIGHTED if node.weighted else _PLAIN, _LINE)
        center = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
        canvas.text(center, node.label, fill="black", font=font, anchor="mm")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
