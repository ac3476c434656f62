"""The seam between the training core and labels: targets, losses, metrics and responses of one kind.

The nearest relative is scikit-learn's ``BaseLoss``: a loss, a link and the valid targets in one object.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from typing_extensions import Self

from sparkwater.conversions.tensors.spec import TensorSpec


class Metrics(dict[str, float | None]):
    """Mapping of metrics by name, which are attributes as well; a metric is None where it is undefined."""

    def __getattr__(self, name: str) -> float | None:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no metric {name!r}; there are {', '.join(self)}") from None


@dataclass(frozen=True)
class Targets:
    """Encoded labels of some rows.

    Attributes
    ----------
    values : numpy.ndarray
        ``(rows, *task.target.shape)``, of the target's dtype. Values of invalid rows have no meaning.
    valid : numpy.ndarray of bool
        Rows whose label can be used.
    """

    values: npt.NDArray[Any]
    valid: npt.NDArray[np.bool_]


class Sums(ABC):
    """Sums over scored rows, from which metrics follow; they are summed over all ranks first.

    Attributes
    ----------
    values : torch.Tensor
        All sums, one float64 vector. The collective sums it in place, so it stays the same tensor.
    """

    values: torch.Tensor

    @abstractmethod
    def add(self, raw: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None) -> None:
        """Add rows; no gradients are wanted.

        Parameters
        ----------
        raw : torch.Tensor
            Raw predictions ``(rows, outputs)``, as `Task.adjust` gives them.
        targets : torch.Tensor
            As `Targets.values`.
        weights : torch.Tensor, optional
            Of the rows; 1 by default.
        """

    @abstractmethod
    def metrics(self) -> Metrics:
        """Return the metrics of all rows that were added; there must be one."""

    def details(self) -> dict[str, torch.Tensor]:
        """Return tables beside the metrics, such as a confusion matrix, by name."""
        return {}


@dataclass(frozen=True)
class Task(ABC):
    """Kind of target that a network learns: a frozen value, equal on all ranks, and saved with the model as JSON.

    Attributes
    ----------
    kind : str
        Name of the kind in saved models, such as ``classification``.
    METRICS : mapping of str to bool
        Metrics by name, and whether larger values are better.
    TAKES_OFFSETS : bool
        Whether rows of some task of the kind can have offsets.
    """

    kind: ClassVar[str]
    METRICS: ClassVar[Mapping[str, bool]]
    TAKES_OFFSETS: ClassVar[bool] = False

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Outputs of the network for a row."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the outputs in reports; empty where they need none."""
        return ()

    @property
    @abstractmethod
    def target(self) -> TensorSpec:
        """Target of a row."""

    @abstractmethod
    def encode(self, labels: pa.Array) -> Targets:
        """Return labels as targets.

        Parameters
        ----------
        labels : pyarrow.Array
            Strings, doubles, or lists of these; nulls are invalid.
        """

    @abstractmethod
    def refusal(self, label: Any) -> str:
        """Return the reason why a label isn't valid."""

    @abstractmethod
    def losses(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of each row, ``(rows,)``.

        Parameters
        ----------
        outputs : torch.Tensor
            Of the network, ``(rows, outputs)``.
        targets : torch.Tensor
            As `Targets.values`.
        """

    def divergences(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Return the distance of each row's prediction from another one, ``(rows,)``, from 0 up.

        Half the mean square of the difference of the outputs: for one output the divergence of normal
        distributions of deviation 1 around both. Tasks whose outputs are no means have their own.

        Parameters
        ----------
        outputs, others : torch.Tensor
            Of the network, ``(rows, outputs)``.
        """
        return (outputs - others).square().mean(dim=1) / 2

    @property
    def adapts(self) -> bool:
        """True where `adapted` gives other losses."""
        return False

    def adapted(self, quantile: Callable[[float, Task], float]) -> Task:
        """Return the task by whose losses an epoch learns, from the predictions at its beginning.

        Parameters
        ----------
        quantile : callable
            From a share and a task to that quantile of the task's losses on the training rows; all ranks call it.
        """
        del quantile
        return self

    @property
    def weighs(self) -> bool:
        """True where `row_weights` gives weights."""
        return False

    def row_weights(self, targets: torch.Tensor) -> torch.Tensor | None:
        """Return weights of rows in the loss by their targets, float32 ``(rows,)``; None where all are 1."""
        del targets
        return None

    def targets_of(self, inputs: Any, targets: torch.Tensor) -> torch.Tensor:
        """Return what losses and sums compare outputs with: the encoded labels, or what a task makes of the inputs.

        Parameters
        ----------
        inputs : torch.Tensor or tuple of torch.Tensor
            Scaled inputs of the network; it may change them in place afterwards.
        targets : torch.Tensor
            As `Targets.values`.
        """
        del inputs
        return targets

    def adjust(self, outputs: torch.Tensor) -> torch.Tensor:
        """Return raw predictions, on the scale of the link, from the network's outputs; ``(rows, outputs)`` both."""
        return outputs

    def unfit_offsets(self) -> str | None:
        """Return the reason why rows can't have offsets, or None where they can."""
        return None if self.TAKES_OFFSETS else f"{self.kind} takes no offsets"

    def add_offsets(self, outputs: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Return outputs with the rows' offsets added: `adjust` gives raw predictions larger by as much.

        Parameters
        ----------
        outputs : torch.Tensor
            Of the network, ``(rows, outputs)``.
        offsets : torch.Tensor
            float64 ``(rows,)``, on the scale of the link.
        """
        raise NotImplementedError(self.unfit_offsets())

    @abstractmethod
    def respond(self, raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return predictions from raw ones, by the inverse of the link.

        Parameters
        ----------
        raw : numpy.ndarray of float64
            ``(rows, outputs)``, as `adjust` gives them.
        """

    @abstractmethod
    def sums(self, device: torch.device) -> Sums:
        """Return empty sums."""

    def unfit(self, metric: str) -> str | None:
        """Return the reason why a metric is undefined for this task, or None where it is defined."""
        return None if metric in self.METRICS else f"{self.kind} has the metrics {', '.join(self.METRICS)}"

    def choices(self) -> dict[str, Any]:
        """Return values that follow from the training rows, by name, for the training summary."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Return the task as plain values for JSON."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the task that `to_dict` gave, also after a way through JSON.

        Raises
        ------
        ValueError, TypeError, KeyError
            If the values are no task's.
        """
        given = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def row_counts(rows: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """Return the counts of rows in metrics, float64: their weights, or 1 each."""
    if weights is None:
        return torch.ones(len(rows), dtype=torch.float64, device=rows.device)
    return weights.double()
