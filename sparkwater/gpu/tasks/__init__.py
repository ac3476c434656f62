"""Learning tasks: targets, losses and metrics. docs/add_a_task.md adds one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sparkwater.errors import CheckpointError
from sparkwater.gpu.tasks.classification import ClassificationTask
from sparkwater.gpu.tasks.multilabel import MultiLabelTask
from sparkwater.gpu.tasks.ordinal import OrdinalTask
from sparkwater.gpu.tasks.quantiles import QuantilesTask
from sparkwater.gpu.tasks.reconstruction import ReconstructionTask
from sparkwater.gpu.tasks.regression import RegressionTask
from sparkwater.gpu.tasks.task import Metrics, Sums, Targets, Task

T = TypeVar("T", bound=Task)

#: All tasks, by their kinds.
TASKS: dict[str, type[Task]] = {
    task.kind: task
    for task in (
        ClassificationTask,
        MultiLabelTask,
        OrdinalTask,
        QuantilesTask,
        ReconstructionTask,
        RegressionTask,
    )
}

__all__ = [
    "TASKS",
    "ClassificationTask",
    "Metrics",
    "MultiLabelTask",
    "OrdinalTask",
    "QuantilesTask",
    "ReconstructionTask",
    "RegressionTask",
    "Sums",
    "Targets",
    "Task",
    "register_task",
    "task_from_dict",
]


def register_task(task: type[T]) -> type[T]:
    """Class decorator for tasks of other packages: saved networks that learned it load where it ran.

    A class of the same kind and name replaces the one before, as when a notebook's cell runs again.

    Raises
    ------
    ValueError
        If another task has that kind.
    """
    known = TASKS.get(task.kind)
    if known is not None and (known.__module__, known.__qualname__) != (task.__module__, task.__qualname__):
        raise ValueError(f"kind {task.kind!r} of {task.__name__} is that of {known.__module__}.{known.__qualname__}")
    TASKS[task.kind] = task
    return task


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
            f"the saved network learned the task {kind!r}; this process knows {', '.join(TASKS)}. Import the module "
            "that registers it, load with the version of sparkwater that saved it, or train again"
        )
    return TASKS[kind].from_dict(values)
