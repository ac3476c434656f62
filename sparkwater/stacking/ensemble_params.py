"""Params shared by a stacked ensemble and its model."""

from __future__ import annotations

from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasLabelCol, HasPredictionCol, HasProbabilityCol, HasRawPredictionCol

OUTPUTS: dict[str, Any] = {
    "labelCol": "label",
    "predictionCol": "prediction",
    "probabilityCol": "probability",
    "rawPredictionCol": "rawPrediction",
    "predictedLabelCol": "predictedLabel",
    "includeBasePredictions": False,
}


class EnsembleParams(HasLabelCol, HasPredictionCol, HasProbabilityCol, HasRawPredictionCol):
    """Params of the columns that a model adds."""

    predictedLabelCol: Param[str] = Param(
        Params._dummy(),
        "predictedLabelCol",
        "column for the predicted label where labels are strings",
        TypeConverters.toString,
    )
    includeBasePredictions: Param[bool] = Param(
        Params._dummy(),
        "includeBasePredictions",
        "add a column with each base learner's prediction, named for the learner",
        TypeConverters.toBoolean,
    )

    def getPredictedLabelCol(self) -> str:
        """Return the value of ``predictedLabelCol``."""
        return self.getOrDefault(self.predictedLabelCol)

    def getIncludeBasePredictions(self) -> bool:
        """Return the value of ``includeBasePredictions``."""
        return self.getOrDefault(self.includeBasePredictions)
