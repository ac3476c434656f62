"""Params shared by a stacked ensemble and its model."""

from __future__ import annotations

from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.spark_params import (
    HasLabelCol,
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
)


class EnsembleParams(HasLabelCol, HasPredictionCol, HasProbabilityCol, HasRawPredictionCol):
    """Params of the columns that a model adds."""

    labelCol: Setting[str] = setting(
        "label", "label column: what all learners learn; strings and booleans are numbered for them"
    )
    predictedLabelCol: Setting[str] = setting(
        "predictedLabel", "column to add for the predicted label where labels are strings"
    )
    includeBasePredictions: Setting[bool] = setting(
        False, "add a column with each base learner's prediction, named for the learner"
    )
