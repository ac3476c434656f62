"""Classification: one class a row, softmax outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.nn import functional
from typing_extensions import Self

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.tasks.class_metrics import ClassSums
from sparkwater.gpu.tasks.class_weights import prior_shift, weights_on
from sparkwater.gpu.tasks.divergences import softmax_divergence
from sparkwater.gpu.tasks.losses import cross_entropy
from sparkwater.gpu.tasks.task import Sums, Targets, Task

#: Labels: numbers, or strings.
Classes = tuple[float, ...] | tuple[str, ...]


@dataclass(frozen=True)
class ClassificationTask(Task):
    """One class a row; the network gives log-odds, one a class.

    Attributes
    ----------
    classes : tuple of float or of str
        Labels, sorted; the network's output ``i`` is for ``classes[i]``.
    class_weights : tuple of float
        Weight of each class in the loss, above 0; none by default. Raw predictions are corrected for them.
    label_smoothing : float
        See `sparkwater.gpu.tasks.losses.cross_entropy`.
    top_k : int
        Number of most probable classes for the metric ``topKError``.
    """

    kind: ClassVar[str] = "classification"
    METRICS: ClassVar[Mapping[str, bool]] = {
        "logloss": False,
        "error": False,
        "meanPerClassError": False,
        "auc": True,
        "topKError": False,
    }

    classes: Classes
    class_weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0
    top_k: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", checked_classes(self.classes))
        check_share(self.label_smoothing)
        if not isinstance(self.class_weights, tuple) or len(self.class_weights) not in (0, len(self.classes)):
            raise ValueError(f"class weights {self.class_weights!r} for {len(self.classes)} classes")
        if not all(isinstance(weight, (int, float)) and 0 < weight < math.inf for weight in self.class_weights):
            raise ValueError(f"class weights {self.class_weights!r} are not above 0")
        if not isinstance(self.top_k, int) or self.top_k < 1:
            raise ValueError(f"top_k {self.top_k!r} is no number of classes")

    @classmethod
    def numbered(cls, count: int) -> Self:
        """Return the task of labels 0, 1, 2, ..."""
        return cls(tuple(map(float, range(count))))

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return tuple(map(label_name, self.classes))

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

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the cross entropy of each row, in nats, without class weights."""
        return cross_entropy(outputs, targets, self.label_smoothing)

    def divergences(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Return the Kullback-Leibler divergence of each row's probabilities from the other ones."""
        return softmax_divergence(outputs, others)

    @property
    def weighs(self) -> bool:
        """True where there are class weights."""
        return bool(self.class_weights)

    def row_weights(self, targets: torch.Tensor) -> torch.Tensor | None:
        """Return the weight of each row's class."""
        return weights_on(self.class_weights, targets.device)[targets] if self.class_weights else None

    def adjust(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return log-odds that fit the rows as they are, without class weights."""
        return outputs - prior_shift(self.class_weights, outputs.device) if self.class_weights else outputs

    def unfit_offsets(self) -> str | None:
        """Return the reason why rows can't have offsets: they are added to the log-odds of two classes."""
        classes = len(self.classes)
        return None if classes == 2 else f"offsets are added to the log-odds of 2 classes; there are {classes}"

    def add_offsets(self, outputs: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Return outputs with offsets added to the log-odds of the second class over the first."""
        return outputs + functional.pad(offsets[:, None], (1, 0)).to(outputs.dtype)

    def respond(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return probabilities."""
        exponents = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))

    def sums(self, device: torch.device) -> Sums:
        """Return empty sums."""
        return ClassSums(len(self.classes), self.top_k, device)

    def unfit(self, metric: str) -> str | None:
        """Return the reason why a metric is undefined for these classes, or None where it is defined."""
        classes = len(self.classes)
        if metric == "auc" and classes != 2:
            return f"auc is defined for 2 classes; there are {classes}"
        if metric == "topKError" and self.top_k >= classes:
            return f"with {classes} classes no row is beyond topK={self.top_k}"
        return super().unfit(metric)

    def choices(self) -> dict[str, Any]:
        """Return the class weights."""
        return {"classWeight": dict(zip(self.names, self.class_weights, strict=False)) or "none"}


def checked_classes(classes: Sequence[Any]) -> Classes:
    """Return a list of classes, numbers as floats.

    Raises
    ------
    ValueError
        If it is empty, mixes strings and numbers, isn't sorted, or names one twice.
    """
    strings = all(isinstance(label, str) for label in classes)
    numbers = all(isinstance(label, (float, int)) and not isinstance(label, bool) for label in classes)
    if not isinstance(classes, tuple) or not classes or not (strings or numbers):
        raise ValueError(f"{classes!r} is no list of classes")
    if not all(first < second for first, second in pairwise(classes)) or classes[0] != classes[0]:
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
