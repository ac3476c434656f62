"""Classification: one class a row, softmax outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional
from typing_extensions import Self

from sparkwater.gpu.tasks.class_metrics import OF_TWO, ClassSums
from sparkwater.gpu.tasks.class_weights import prior_shift, weights_on
from sparkwater.gpu.tasks.classes import OneClassTask, check_share
from sparkwater.gpu.tasks.divergences import softmax_divergence
from sparkwater.gpu.tasks.losses import cross_entropy
from sparkwater.gpu.tasks.score_bins import MOST_RANKED_CLASSES
from sparkwater.gpu.tasks.task import Sums


@dataclass(frozen=True)
class ClassificationTask(OneClassTask):
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
    temperature : float
        Divisor of the corrected log-odds, above 0; 1 while a network trains. See
        `sparkwater.gpu.training.calibration`.
    """

    kind: ClassVar[str] = "classification"
    METRICS: ClassVar[Mapping[str, bool]] = {
        "logloss": False,
        "error": False,
        "meanPerClassError": False,
        "auc": True,
        "topKError": False,
        "gini": True,
        "aucPr": True,
        "maxF1": True,
        "liftTopGroup": True,
        "aucMacro": True,
        "aucWeighted": True,
    }
    TAKES_OFFSETS: ClassVar[bool] = True

    class_weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0
    top_k: int = 5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.label_smoothing)
        if not isinstance(self.class_weights, tuple) or len(self.class_weights) not in (0, len(self.classes)):
            raise ValueError(f"class weights {self.class_weights!r} for {len(self.classes)} classes")
        if not all(isinstance(weight, (int, float)) and 0 < weight < math.inf for weight in self.class_weights):
            raise ValueError(f"class weights {self.class_weights!r} are not above 0")
        if not isinstance(self.top_k, int) or self.top_k < 1:
            raise ValueError(f"top_k {self.top_k!r} is no number of classes")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature {self.temperature!r} is not above 0")

    @classmethod
    def numbered(cls, count: int) -> Self:
        """Return the task of labels 0, 1, 2, ..."""
        return cls(tuple(map(float, range(count))))

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
        """Return log-odds that fit the rows as they are: without class weights, at the temperature."""
        corrected = outputs - prior_shift(self.class_weights, outputs.device) if self.class_weights else outputs
        return corrected if self.temperature == 1 else corrected / self.temperature

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
        if metric in OF_TWO and classes != 2:
            return f"{metric} is defined for 2 classes; there are {classes}"
        if metric == "topKError" and self.top_k >= classes:
            return f"with {classes} classes no row is beyond topK={self.top_k}"
        if metric in ("aucMacro", "aucWeighted") and not 2 <= classes <= MOST_RANKED_CLASSES:
            return f"{metric} is measured for 2 to {MOST_RANKED_CLASSES} classes; there are {classes}"
        return super().unfit(metric)

    def choices(self) -> dict[str, Any]:
        """Return the class weights."""
        return {"classWeight": dict(zip(self.names, self.class_weights, strict=False)) or "none"}
