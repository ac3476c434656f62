"""Records of fits: their predictions, models and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class FitRecord:
    """Record of one fit.

    Attributes
    ----------
    learner : str
        Its name.
    fold : str
        The held-out fold, or both of a pair; with its number where there are several repeats of folds.
    rows : int
        The held-out rows that its model scored.
    fitSeconds, scoreSeconds : float
        Wall time of both, side by side with other fits.
    attempts : int
        Attempts in this call; 0 where an earlier call finished it.
    epochs : float or None
        Passes over the rows, for learners that report them.
    """

    learner: str
    fold: str
    rows: int
    fitSeconds: float
    scoreSeconds: float
    attempts: int
    epochs: float | None = None


@dataclass(frozen=True)
class FoldModel:
    """A model with its held-out fold.

    Attributes
    ----------
    learner : str
        Its name.
    fold : object
        The value of the held-out fold.
    fingerprint : str
        Fingerprint of the rows and folds that it belongs to.
    model : pyspark.ml.Model
        The fitted model.
    """

    learner: str
    fold: Any
    fingerprint: str
    model: Any


@dataclass(frozen=True)
class Scored:
    """Predictions of folds by fits that left them out.

    Attributes
    ----------
    records : tuple of FitRecord
        Records of the fits.
    values : pyspark.sql.DataFrame
        Key and fold of each row, its values, and the name of the learner that gave them; those of `fit_folds` have what
        its fit left out besides.
    models : tuple of FoldModel
        The models, where they were kept.
    cached : pyspark.sql.DataFrame or None
        The rows in Spark's cache that the values come from.
    """

    records: tuple[FitRecord, ...]
    values: DataFrame
    models: tuple[FoldModel, ...] = ()
    cached: DataFrame | None = None

    def unpersist(self) -> None:
        """Free what Spark's cache holds."""
        if self.cached is not None:
            self.cached.unpersist()
