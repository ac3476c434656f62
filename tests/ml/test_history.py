from __future__ import annotations

from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.tasks import ClassificationTask, Metrics, MultiLabelTask, RegressionTask
from sparkwater.ml.reports.history import epoch_columns, epoch_values

EPOCH_VALUES = epoch_columns(tuple(ClassificationTask.METRICS))
NOTHING = dict.fromkeys(ClassificationTask.METRICS)


def test_an_epoch_is_one_number_a_column_and_none_where_nothing_is_known():
    training = Metrics({**NOTHING, "logloss": 0.5, "error": 0.25, "meanPerClassError": 0.3, "topKError": 0.1})
    record = EpochRecord(0, 0.6, 40, 2.0, 0.01, training, None)
    known = {
        "loss": 0.6, "accuracy": 0.75, "seconds": 2.0, "rowsPerSecond": 20.0, "learningRate": 0.01,
        "logloss": 0.5, "error": 0.25, "meanPerClassError": 0.3, "auc": None, "topKError": 0.1,
    }  # fmt: skip
    values = epoch_values(record)
    assert tuple(values) == EPOCH_VALUES
    assert values == {**dict.fromkeys(EPOCH_VALUES), **known}


def test_rows_to_validate_on_have_columns_of_their_own():
    training, validation = (
        Metrics({**NOTHING, "logloss": logloss, "error": 0.2, "meanPerClassError": 0.2, "auc": 0.9})
        for logloss in (0.5, 0.8)
    )
    values = epoch_values(EpochRecord(0, 0.6, 40, 2.0, 0.01, training, validation))
    assert (values["logloss"], values["validationLogloss"]) == (0.5, 0.8)
    assert values["validationMeanPerClassError"] == 0.2


def test_tasks_without_an_error_rate_have_no_accuracy():
    common = ("loss", "seconds", "rowsPerSecond", "learningRate")
    for task in (RegressionTask, MultiLabelTask):
        training = Metrics(dict.fromkeys(task.METRICS, 0.5))
        record = EpochRecord(0, 0.6, 40, 2.0, 0.01, training, None)
        values = epoch_values(record)
        assert record.accuracy is None
        assert tuple(values) == epoch_columns(tuple(task.METRICS))
        assert set(values) == {*common, *training, *(f"validation{name[0].upper()}{name[1:]}" for name in training)}
        assert all(values[name] == 0.5 for name in training)
