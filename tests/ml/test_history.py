from __future__ import annotations

from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.tasks.class_metrics import Metrics
from sparkwater.ml.reports.history import EPOCH_VALUES, epoch_values


def test_an_epoch_is_one_number_a_column_and_none_where_nothing_is_known():
    training = Metrics(logloss=0.5, error=0.25, meanPerClassError=0.3, auc=None, topKError=0.1)
    record = EpochRecord(0, 0.6, 0.7, 40, 2.0, 0.01, training, None)
    known = {
        "loss": 0.6, "accuracy": 0.7, "seconds": 2.0, "rowsPerSecond": 20.0, "learningRate": 0.01,
        "logloss": 0.5, "error": 0.25, "meanPerClassError": 0.3, "auc": None, "topKError": 0.1,
    }  # fmt: skip
    values = epoch_values(record)
    assert tuple(values) == EPOCH_VALUES
    assert values == {**dict.fromkeys(EPOCH_VALUES), **known}


def test_rows_to_validate_on_have_columns_of_their_own():
    training, validation = (Metrics(logloss, 0.2, 0.2, 0.9, None) for logloss in (0.5, 0.8))
    values = epoch_values(EpochRecord(0, 0.6, 0.7, 40, 2.0, 0.01, training, validation))
    assert (values["logloss"], values["validationLogloss"]) == (0.5, 0.8)
    assert values["validationMeanPerClassError"] == 0.2
