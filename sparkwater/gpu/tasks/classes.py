"""Tasks with classes: their list, its checks, and the positions of labels in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.tasks.task import Targets, Task

#: Labels: numbers, or strings.
Classes = tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True)
class ClassTask(Task):
    """Base of the tasks whose labels are from a list of classes.

    Attributes
    ----------
    classes : tuple of float or of str
        Labels, sorted; strings of a task with `own_order` stand in any order.
    own_order : bool
        Whether strings may stand in another order than the alphabet's.
    """

    own_order: ClassVar[bool] = False

    classes: Classes

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", checked_classes(self.classes, self.own_order))

    @property
    def outputs(self) -> int:
        """One a class."""
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return tuple(map(label_name, self.classes))


@dataclass(frozen=True)
class OneClassTask(ClassTask):
    """Base of the tasks with one class a row."""

    @property
    def target(self) -> TensorSpec:
        """Position in the list of classes."""
        return TensorSpec("int64", ())

    def encode(self, labels: pa.Array) -> Targets:
        """Return the positions of labels in the list of classes; those that aren't there are invalid."""
        positions = class_positions(labels, self.classes)
        return Targets(positions, positions >= 0)

    def refusal(self, label: Any) -> str:
        """Return the reason why a label isn't valid."""
        return f"the label {label!r} is not one of the classes"


def checked_classes(classes: Sequence[Any], own_order: bool = False) -> Classes:
    """Return a list of classes, numbers as floats.

    Parameters
    ----------
    classes : sequence
        The classes.
    own_order : bool
        Whether strings may stand in any order.

    Raises
    ------
    ValueError
        If it is empty, mixes strings and numbers, isn't sorted, or names one twice.
    """
    strings = all(isinstance(label, str) for label in classes)
    numbers = all(isinstance(label, (float, int)) and not isinstance(label, bool) for label in classes)
    if not isinstance(classes, tuple) or not classes or not (strings or numbers):
        raise ValueError(f"{classes!r} is no list of classes")
    ordered = tuple(sorted(classes)) if strings and own_order else classes
    if not all(first < second for first, second in pairwise(ordered)) or classes[0] != classes[0]:
        raise ValueError(f"{classes!r} is no list of classes: they are sorted, and each is there once")
    return classes if strings else tuple(map(float, classes))


def check_share(label_smoothing: float) -> None:
    """Refuse label smoothing that isn't in [0, 1).

    Raises
    ------
    ValueError
        With the value.
    """
    if not isinstance(label_smoothing, (float, int)) or not 0 <= label_smoothing < 1:
        raise ValueError(f"label smoothing {label_smoothing!r} is not in [0, 1)")


def class_positions(labels: pa.Array, classes: Sequence[float] | Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the position of each label in the list of classes, -1 where it isn't there."""
    if pa.types.is_floating(labels.type):
        labels = pc.add(labels, 0.0)  # Arrow tells -0.0 from 0.0
    found = pc.index_in(labels, value_set=pa.array(classes, type=labels.type))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)


def label_name(label: str | float) -> str:
    """Return a label as text."""
    return label if isinstance(label, str) else f"{label:g}"
