"""The history of a training as plain numbers, by column name."""

from __future__ import annotations

from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.tasks.class_metrics import METRICS, to_dict

#: Names of the metrics of the rows to validate on.
VALIDATION_METRICS = tuple(f"validation{name[0].upper()}{name[1:]}" for name in METRICS)

#: All names, in the order of the columns.
EPOCH_VALUES = ("loss", "accuracy", "seconds", "rowsPerSecond", "learningRate", *METRICS, *VALIDATION_METRICS)


def epoch_values(record: EpochRecord) -> dict[str, float | None]:
    """Return the values of an epoch; None where a metric is undefined or nothing is held out.

    Names are loss, accuracy, seconds, rowsPerSecond and learningRate, then logloss, error, meanPerClassError,
    auc and topKError of the training rows, and the same of the rows to validate on (validationLogloss, ...).
    """
    values = (
        *(record.loss, record.accuracy, record.seconds, record.rows / record.seconds, record.learning_rate),
        *to_dict(record.training).values(),
        *to_dict(record.validation).values(),
    )
    return dict(zip(EPOCH_VALUES, values, strict=True))
