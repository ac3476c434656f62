"""Learning tasks: targets, losses and metrics; a new kind of target is added here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparkwater.errors import CheckpointError
from sparkwater.gpu.tasks.classification import ClassificationTask
from sparkwater.gpu.tasks.multilabel import MultiLabelTask
from sparkwater.gpu.tasks.regression import RegressionTask
from sparkwater.gpu.tasks.task import Metrics, Sums, Targets, Task

#: All tasks, by their kinds.
TASKS: dict[str, type[Task]] = {task.kind: task for task in (ClassificationTask, MultiLabelTask, RegressionTask)}

__all__ = [
    "TASKS",
    "ClassificationTask",
    "Metrics",
    "MultiLabelTask",
    "RegressionTask",
    "Sums",
    "Targets",
    "Task",
    "task_from_dict",
]


def task_from_dict(values: Mapping[str, Any]) -> Task:
    """Return the task that `Task.to_dict` gave.

    Raises
    ------
    CheckpointError
        If there is no such kind of task here.
    ValueError, TypeError, KeyError
        If the values are no task.
    """
    kind = values["kind"]
    if kind not in TASKS:
        raise CheckpointError(
            f"the saved network learned the task {kind!r}; this version of sparkwater knows {', '.join(TASKS)}; load "
            "it with the version that saved it, or train again"
        )
    return TASKS[kind].from_dict(values)
