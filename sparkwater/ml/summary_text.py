"""A training's summary as a person reads it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from sparkwater.gpu.tasks.class_metrics import MAX_CONFUSED, Metrics
from sparkwater.ml.reports.text_table import table

if TYPE_CHECKING:
    from sparkwater.ml.reports.summary import TrainingSummary

#: Lists and dicts in ``resolved`` that are longer than this many characters are cut.
_WIDTH = 100


def describe(summary: TrainingSummary) -> str:
    """Return what the training was, what came out of it, what was chosen, and what its time was spent on."""
    lines = [
        f"{summary.resolved['network']}, {summary.numWorkers} worker{'s' * (summary.numWorkers > 1)} "
        f"({summary.collective}, {summary.device}), {summary.totalSeconds:.1f} s",
        f"epochs: {len(summary.records)}, ended by {summary.stoppedBy}{_model(summary)}",
        f"rows: {summary.numRows:,} trained, {summary.numValidationRows:,} to validate on, "
        f"{summary.numWeightless:,} of weight 0, {summary.numSkipped:,} skipped; none is padded or trained twice",
        *_results(summary),
        *_losses(summary),
        "chosen:",
        *(f"  {name}: {_short(value)}" for name, value in summary.resolved.items()),
        f"time, in seconds{' (mean of the workers, least, most)' if summary.numWorkers > 1 else ''}:",
        _times(summary),
    ]
    return "\n".join(lines)


def _model(summary: TrainingSummary) -> str:
    return "" if summary.bestEpoch is None else f"; the model is that of epoch {summary.bestEpoch}, the best"


def _results(summary: TrainingSummary) -> list[str]:
    if not summary.records:
        return []
    record = summary.records[-1 if summary.bestEpoch is None else summary.bestEpoch]
    lines = [
        f"loss: {summary.records[0].loss:.4f} in the first epoch, {record.loss:.4f} in the model's",
        f"training rows: {_metrics(record.training)}",
    ]
    if record.validation:
        lines.append(f"validation rows: {_metrics(record.validation)}")
    if summary.confusionMatrix is None:
        lines.append(f"by class: left out, there are more than {MAX_CONFUSED} classes")
    return lines


def _metrics(metrics: Metrics) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in asdict(metrics).items() if value is not None)


def _losses(summary: TrainingSummary) -> list[str]:
    lines = []
    if summary.restarts or summary.resumedAt:
        lines.append(f"restarts: {summary.restarts}, went on from step {summary.resumedAt}")
    lines += [f"skipped: {name}: {reason}" for name, reason in summary.skippedRows]
    lines += [f"checkpoint lost: {reason}" for reason in summary.lostCheckpoints]
    return lines


def _short(value: object) -> str:
    text = f"{value:.0f}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}..."


def _times(summary: TrainingSummary) -> str:
    ranks = [asdict(timings) for timings in summary.timingsPerRank]
    lines = []
    for name, mean in asdict(summary.timings).items():
        spread = [f"{extreme(rank[name] for rank in ranks):.2f}" for extreme in (min, max)]
        share = f"{mean / summary.totalSeconds:.0%}"
        lines.append([f"  {name}", f"{mean:.2f}", share, *(spread if len(ranks) > 1 else [])])
    return table(lines)
