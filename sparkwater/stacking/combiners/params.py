"""Params of combiners and their models."""

from __future__ import annotations

from sparkwater.conversions.stages.accepts import at_least, one_of
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.spark_params import (
    HasFeaturesCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
)
from sparkwater.stacking.level_one.learners import CLASSIFICATION, REGRESSION


class CombinerParams(HasFeaturesCol, HasPredictionCol, HasProbabilityCol, HasRawPredictionCol):
    """Params of the columns that a combiner reads and its model adds."""

    featuresCol: Setting[str] = setting(
        "features", "column of vectors: all numbers of the first learner, then those of the next"
    )
    width: Setting[int] = setting(
        1,
        "numbers that each learner gives: one for two classes (the probability of the second) and for regression, else "
        "the probability of each class",
        accepts=at_least(1),
    )
    task: Setting[str] = setting(CLASSIFICATION, "kind of the learners", accepts=one_of(CLASSIFICATION, REGRESSION))

    @property
    def kind(self) -> str:
        """The kind of its predictions: classification or regression."""
        return str(self.getTask())
