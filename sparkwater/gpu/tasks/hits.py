"""Rows by class, and by predicted class: error rates and the confusion matrix."""

from __future__ import annotations

import torch

#: Name of the table of labels against predictions.
CONFUSION = "confusion"

#: Of more classes than this no table of labels against predictions is kept: it grows with their square.
MAX_CONFUSED = 200


class Hits:
    """Weights of rows by class, of those predicted right, and by pair of class and prediction.

    Parameters
    ----------
    values : torch.Tensor
        Memory of the sums, `size` float64 values of `sparkwater.gpu.tasks.task.Sums.values`.
    classes : int
        Number of classes.

    Attributes
    ----------
    confusion : torch.Tensor or None
        ``(classes, classes)``: the weight of the rows of each class (first) that were predicted as each class
        (second). None for more than `MAX_CONFUSED` classes.
    """

    def __init__(self, values: torch.Tensor, classes: int) -> None:
        self._classes = classes
        self._weights, self._hits, table = torch.split(values, [classes, classes, _cells(classes)])
        self.confusion = table.view(classes, classes) if len(table) else None

    @staticmethod
    def size(classes: int) -> int:
        """Return the number of sums."""
        return 2 * classes + _cells(classes)

    def add(self, labels: torch.Tensor, predicted: torch.Tensor, counts: torch.Tensor) -> None:
        """Add rows by the positions of their classes and of the predicted ones."""
        self._weights.index_add_(0, labels, counts)
        self._hits.index_add_(0, labels, counts * (predicted == labels))
        if self.confusion is not None:
            self.confusion.view(-1).index_add_(0, labels * self._classes + predicted, counts)

    def weights(self) -> torch.Tensor:
        """Return the weight of each class's rows, on the CPU."""
        return self._weights.cpu()

    def rates(self) -> dict[str, float]:
        """Return ``error`` and ``meanPerClassError``; there must be a row."""
        weights, hits = self._weights.cpu(), self._hits.cpu()
        present = weights > 0
        return {
            "error": 1 - float(hits.sum()) / float(weights.sum()),
            "meanPerClassError": float((1 - hits[present] / weights[present]).mean()),
        }

    def details(self) -> dict[str, torch.Tensor]:
        """Return the confusion matrix."""
        return {} if self.confusion is None else {CONFUSION: self.confusion}


def _cells(classes: int) -> int:
    return classes * classes if classes <= MAX_CONFUSED else 0
