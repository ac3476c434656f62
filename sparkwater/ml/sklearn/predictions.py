"""Predictions of fitted estimators as arrays. Free of pyspark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassVector:
    """Classes, and their places in the vector of probabilities.

    Attributes
    ----------
    classes : tuple of float or of str
        The labels, sorted; estimators learn their positions.
    places : tuple of int
        Place of each class in the vector; what no row had stays 0.
    """

    classes: tuple[float, ...] | tuple[str, ...]
    places: tuple[int, ...]

    @property
    def size(self) -> int:
        """Length of the vector."""
        return max(self.places) + 1

    def number(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the positions of labels, all of which are classes."""
        classes = np.array(self.classes)
        return np.searchsorted(classes, labels.astype(classes.dtype)).astype(np.int64)


def predicted(estimator: Any, features: Any, vector: ClassVector | None) -> Numbers:
    """Return predictions: of a classifier probabilities, shape (rows, vector.size), else numbers, shape (rows, 1).

    Parameters
    ----------
    estimator : object
        The fitted estimator.
    features : numpy.ndarray or pandas.DataFrame
        Rows, one at least.
    vector : ClassVector or None
        The classes; None for regression.
    """
    if vector is None:
        return np.asarray(estimator.predict(features), np.float64).reshape(len(features), 1)
    probabilities = np.zeros((len(features), vector.size))
    places = np.asarray(vector.places)[np.asarray(estimator.classes_, np.int64)]
    probabilities[:, places] = estimator.predict_proba(features)
    return probabilities


def column_values(predictions: Numbers, vector: ClassVector | None) -> dict[str, Numbers]:
    """Return the values of the columns that a model adds, by the Params that name them."""
    if vector is None:
        return {"predictionCol": predictions[:, 0]}
    with np.errstate(divide="ignore"):
        raw = np.log(predictions)
    most_probable = predictions.argmax(axis=1).astype(np.float64)
    return {
        "rawPredictionCol": raw,
        "probabilityCol": predictions,
        "predictionCol": most_probable,
        "predictedLabelCol": most_probable,
    }
