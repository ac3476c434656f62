"""Reconstruction: each row's own input is its target, for autoencoders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch.nn import functional

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.tasks.divergences import flag_divergences, softmax_divergence
from sparkwater.gpu.tasks.task import Metrics, Sums, Targets, Task, row_counts


@dataclass(frozen=True)
class ReconstructionTask(Task):
    """The row itself: the network gives back its own scaled input.

    An entry of the input is a number, a flag or the id of a category, and each kind has its error: the squared
    difference, the binary cross entropy, the cross entropy, both in nats. The loss of a row, its reconstruction error,
    is their mean over all entries, so that of numbers alone is H2O's anomaly score: the mean squared error.

    Attributes
    ----------
    numbers : int
        Entries of the input that are numbers or flags; they come first.
    categories : tuple of int
        Number of ids of each entry after them.
    flags : tuple of int
        Positions of the numbers that are 0 or 1.
    threshold : float or None
        Reconstruction error above which a row is an anomaly.
    """

    kind: ClassVar[str] = "reconstruction"
    METRICS: ClassVar[Mapping[str, bool]] = {"reconstructionError": False, "mse": False, "crossEntropy": False}

    numbers: int
    categories: tuple[int, ...] = ()
    flags: tuple[int, ...] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        tuples = isinstance(self.categories, tuple) and isinstance(self.flags, tuple)
        counts = (self.numbers, *self.categories)
        whole = tuples and all(isinstance(count, int) for count in (*counts, *self.flags))
        flags_fit = all(0 <= place < self.numbers for place in self.flags)
        if not whole or min(counts) < 0 or not any(counts) or not flags_fit:
            raise ValueError(f"{self.numbers!r} numbers, categories {self.categories!r} and flags {self.flags!r}")
        if self.threshold is not None and not 0 <= self.threshold < math.inf:
            raise ValueError(f"threshold {self.threshold!r} is no reconstruction error")

    @property
    def size(self) -> int:
        """Entries of a row's input."""
        return self.numbers + len(self.categories)

    @property
    def outputs(self) -> int:
        """A number for each number and flag, then one for each id of each category."""
        return self.numbers + sum(self.categories)

    @property
    def target(self) -> TensorSpec:
        """A byte that says nothing: the row is its own target."""
        return TensorSpec("bool", ())

    def encode(self, labels: pa.Array) -> Targets:
        """Return a byte a row; every row has a target."""
        return Targets(np.zeros(len(labels), bool), np.ones(len(labels), bool))

    def refusal(self, label: Any) -> str:
        """Return the reason why a label isn't valid: there are none."""
        del label
        return "rows to reconstruct have no labels"

    def targets_of(self, inputs: Any, targets: torch.Tensor) -> torch.Tensor:
        """Return the inputs, ``(rows, size)``: a copy, as networks may change theirs in place."""
        del targets
        given: torch.Tensor = inputs
        return given.flatten(1).float().clone()

    def errors(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the error of each entry, ``(rows, size)``.

        Parameters
        ----------
        outputs : torch.Tensor
            Of the network, ``(rows, outputs)``: numbers, log-odds of flags, and of each category's ids their logits.
        targets : torch.Tensor
            As `targets_of` gives them.
        """
        given, wanted = outputs[:, : self.numbers], targets[:, : self.numbers]
        errors = (given - wanted) ** 2
        if self.flags:
            of_flags = functional.binary_cross_entropy_with_logits(given, wanted, reduction="none")
            errors = torch.where(_flag_mask(self, outputs.device), of_flags, errors)
        if not self.categories:
            return errors
        ids = targets[:, self.numbers :].long()
        logits = torch.split(outputs[:, self.numbers :], list(self.categories), dim=1)
        entropies = [
            functional.cross_entropy(of_column, ids[:, place], reduction="none")
            for place, of_column in enumerate(logits)
        ]
        return torch.cat([errors, torch.stack(entropies, dim=1)], dim=1)

    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction error of each row: the mean over its entries."""
        return self.errors(outputs, targets).mean(dim=1)

    def divergences(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Return how far each row's rebuilt entries are from the other ones: the mean over its entries.

        That of a number is the squared difference, as its error is; that of a flag or a category the Kullback-Leibler
        divergence of its probabilities.
        """
        given, wanted = outputs[:, : self.numbers], others[:, : self.numbers]
        apart = (given - wanted) ** 2
        if self.flags:
            apart = torch.where(_flag_mask(self, outputs.device), flag_divergences(given, wanted), apart)
        if not self.categories:
            return apart.mean(dim=1)
        sizes = list(self.categories)
        columns = (torch.split(raw[:, self.numbers :], sizes, dim=1) for raw in (outputs, others))
        of_categories = [softmax_divergence(one, other) for one, other in zip(*columns, strict=True)]
        return torch.cat([apart, torch.stack(of_categories, dim=1)], dim=1).mean(dim=1)

    def respond(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return rebuilt inputs, ``(rows, size)``: numbers, probabilities of flags, the most probable ids."""
        rebuilt = raw[:, : self.numbers].copy()
        places = list(self.flags)
        rebuilt[:, places] = 1 / (1 + np.exp(-rebuilt[:, places]))
        if not self.categories:
            return rebuilt
        logits = np.split(raw[:, self.numbers :], np.cumsum(self.categories)[:-1], axis=1)
        return np.column_stack([rebuilt, *(of_column.argmax(axis=1) for of_column in logits)])

    def sums(self, device: torch.device) -> Sums:
        """Return empty sums."""
        return ErrorSums(self, device)

    def unfit(self, metric: str) -> str | None:
        """Return the reason why a metric is undefined: there are no numbers, or nothing else."""
        if metric == "mse" and self.numbers == len(self.flags):
            return "there are no numbers among the columns; use 'reconstructionError' or 'crossEntropy'"
        if metric == "crossEntropy" and not (self.flags or self.categories):
            return "there are numbers only; use 'reconstructionError' or 'mse'"
        return super().unfit(metric)


@lru_cache(maxsize=16)
def _flag_mask(task: ReconstructionTask, device: torch.device) -> torch.Tensor:
    """Return a bool a number, true for flags, copied to a device once."""
    places = set(task.flags)
    return torch.tensor([place in places for place in range(task.numbers)], device=device)


class ErrorSums(Sums):
    """Sums of errors over scored rows, each row counted by its weight.

    The metrics that follow from them:

    - ``reconstructionError``: mean of the rows' losses, over all entries.
    - ``mse``: mean squared error of the numbers, as they are scaled; None where there are none.
    - ``crossEntropy``: mean cross entropy of flags and categories, in nats; None where there are none.
    """

    def __init__(self, task: ReconstructionTask, device: torch.device) -> None:
        self._task = task
        plain = torch.tensor([place < task.numbers and place not in set(task.flags) for place in range(task.size)])
        kinds = torch.stack([torch.ones_like(plain), plain, ~plain], dim=1).double()
        #: Shares of the entries in the mean of each metric, (size, 3).
        self._shares = (kinds / kinds.sum(dim=0).clamp(min=1)).to(device)
        self.values = torch.zeros(4, dtype=torch.float64, device=device)

    def add(self, raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Add rows; targets are as `ReconstructionTask.targets_of` gives them."""
        means = self._task.errors(raw, targets).double() @ self._shares
        counts = row_counts(targets, weights)
        self.values[0] += counts.sum()
        self.values[1:] += counts @ means

    def metrics(self) -> Metrics:
        """Return the metrics."""
        weight, *sums = self.values.tolist()
        values = zip(self._task.METRICS, sums, strict=True)
        return Metrics({name: None if self._task.unfit(name) else total / weight for name, total in values})
