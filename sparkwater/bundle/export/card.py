"""The model card of a bundle, as Markdown and HTML, from the training summary."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparkwater.bundle.export.documents import summary_of
from sparkwater.ml.reports.summary import TrainingSummary


@dataclass(frozen=True)
class Card:
    """A model card.

    Attributes
    ----------
    markdown, html : str
        The same text in two formats.
    """

    markdown: str
    html: str


@dataclass(frozen=True)
class _Section:
    title: str
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()  # the first has the names of the columns
    code: str = ""


def card_of(
    model: Any, manifest: Mapping[str, Any], signature: Mapping[str, Any], differences: Mapping[str, float]
) -> Card:
    """Return the model card: purpose, inputs, outputs, training, metrics, limits and licence."""
    sections = list(_sections(model, manifest, signature, differences))
    title = f"Model card: {manifest['model']}"
    return Card(
        "\n".join([f"# {title}", "", *(line for section in sections for line in _markdown(section))]),
        "\n".join(
            [
                "<!DOCTYPE html>",
                f'<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title></head><body>',
                f"<h1>{html.escape(title)}</h1>",
                *(line for section in sections for line in _html(section)),
                "</body></html>",
                "",
            ]
        ),
    )


def _sections(
    model: Any, manifest: Mapping[str, Any], signature: Mapping[str, Any], differences: Mapping[str, float]
) -> Iterator[_Section]:
    licence = manifest["licence"] or "not given"
    yield _Section(
        "Model",
        (
            f"Made by sparkwater {manifest['versions']['sparkwater']}, as an ONNX graph of opset {manifest['opset']}.",
            f"Licence: {licence}.",
        ),
    )
    inputs = [(each["name"], each["kind"], each["dtype"], str(each["shape"])) for each in signature["inputs"]]
    yield _Section("Inputs", rows=(("name", "kind", "dtype", "shape"), *inputs))
    outputs = [
        (each["name"], each["dtype"], str(each["shape"]), f"{differences[each['name']]:.2g}")
        for each in signature["outputs"]
    ]
    heading = ("name", "dtype", "shape", "largest difference from transform")
    yield _Section("Outputs", rows=(heading, *outputs))
    if manifest["metrics"]:
        values = [(name, f"{value:.6g}") for name, value in manifest["metrics"].items()]
        yield _Section("Metrics", rows=(("metric", "value"), *values))
    summary = summary_of(model)
    if summary is not None:
        yield _Section("Training", code=training_text(summary))
    refused = [each["reason"] for each in signature.get("problems", [])]
    if refused:
        yield _Section("Rows that are refused", tuple(f"- {reason}" for reason in refused))
    rows = manifest["rows"]["vectors"]
    yield _Section(
        "Test vectors",
        (f"{rows} rows of real input are in this folder, with the outputs that are expected.",),
    )


def training_text(summary: Any) -> str:
    """Return a training summary as text that may leave the place of the training.

    Names of skipped rows, lost checkpoints, and choices with a path in them are left out.
    """
    if isinstance(summary, TrainingSummary):
        choices = {name: value for name, value in summary.resolved.items() if name == "network" or not _has_path(value)}
        summary = replace(summary, skippedRows=(), lostCheckpoints=(), resolved=choices)
    return str(summary)


def _has_path(value: Any) -> bool:
    return "/" in str(value) or "\\" in str(value)


def _markdown(section: _Section) -> Iterator[str]:
    yield from (f"## {section.title}", "")
    if section.lines:
        yield from (*section.lines, "")
    if section.rows:
        names, *rows = section.rows
        yield _row(names)
        yield _row(["---"] * len(names))
        yield from map(_row, rows)
        yield ""
    if section.code:
        yield from ("```text", section.code.replace("```", "'''"), "```", "")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _html(section: _Section) -> Iterator[str]:
    yield f"<h2>{html.escape(section.title)}</h2>"
    yield from (f"<p>{html.escape(line.removeprefix('- '))}</p>" for line in section.lines)
    if section.rows:
        names, *rows = section.rows
        yield "<table>"
        yield from (_cells("th", names), *(_cells("td", row) for row in rows))
        yield "</table>"
    if section.code:
        yield f"<pre>{html.escape(section.code)}</pre>"


def _cells(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"
