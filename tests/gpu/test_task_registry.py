"""Tasks of other packages: registered by kind, and found again from what a model saved."""

from __future__ import annotations

import pytest

from sparkwater.errors import CheckpointError
from sparkwater.gpu import tasks
from sparkwater.gpu.tasks import ClassificationTask, RegressionTask, register_task, task_from_dict


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "TASKS", dict(tasks.TASKS))


class GammaTask(RegressionTask):
    kind = "gamma"


def test_a_registered_task_comes_back_from_its_dict() -> None:
    saved = GammaTask("gaussian", center=2.0).to_dict()
    with pytest.raises(
        CheckpointError, match=r"the task 'gamma'; this process knows .*Import the module that registers it"
    ):
        task_from_dict(saved)
    assert register_task(GammaTask) is GammaTask
    assert task_from_dict(saved) == GammaTask("gaussian", center=2.0)
    register_task(GammaTask)  # a module that is loaded again


def test_a_kind_belongs_to_one_task() -> None:
    class Other(RegressionTask):
        kind = "classification"

    with pytest.raises(ValueError, match=r"kind 'classification' of Other is that of .*ClassificationTask"):
        register_task(Other)
    assert tasks.TASKS["classification"] is ClassificationTask
