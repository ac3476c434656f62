"""History of a training: plain numbers by the names of its columns."""

from __future__ import annotations

from collections.abc import Sequence

from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.tasks import Metrics


def epoch_columns(metrics: Sequence[str]) -> tuple[str, ...]:
    """Return the names of an epoch's numbers, in the order of the columns.

    They are loss, accuracy for tasks with an error rate, seconds, rowsPerSecond and learningRate, then the metrics
    of the training rows, and the same of the rows to validate on (validationLogloss, ...).

    Parameters
    ----------
    metrics : sequence of str
        Names of the task's metrics.
    """
    rates = ("accuracy",) if "error" in metrics else ()
    return ("loss", *rates, "seconds", "rowsPerSecond", "learningRate", *metrics, *map(_validation, metrics))


def epoch_values(record: EpochRecord) -> dict[str, float | None]:
    """Return an epoch's numbers by name; None where a metric is undefined or nothing is held out."""
    held_out = record.validation or Metrics()
    values = {
        "loss": record.loss,
        "accuracy": record.accuracy,
        "seconds": record.seconds,
        "rowsPerSecond": record.rows / record.seconds,
        "learningRate": record.learning_rate,
        **record.training,
        **{_validation(name): held_out.get(name) for name in record.training},
    }
    return {name: values[name] for name in epoch_columns(tuple(record.training))}


def _validation(name: str) -> str:
    return f"validation{name[0].upper()}{name[1:]}"
