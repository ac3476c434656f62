"""Prediction columns, as Spark ML's classifiers add them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.networks.inference import predict_logits
from sparkwater.ml.columns.features import FeatureColumn
from sparkwater.ml.columns.labels import vector_positions
from sparkwater.ml.params.learner import PredictorParams
from sparkwater.ml.scoring.outputs import Output, Values, add_outputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.ml.fitted.network import FittedNetwork


def add_predictions(
    frame: DataFrame, features: FeatureColumn, fitted: FittedNetwork, params: PredictorParams
) -> DataFrame:
    """Return the DataFrame with rawPrediction, probability, prediction and, for strings, predictedLabel.

    A column whose Param is an empty string is left out, as in Spark ML.

    Raises
    ------
    SchemaError
        If a prediction column is there already.
    """
    trained, positions = fitted.trained, vector_positions(fitted.classes)
    vector, number = TensorSpec("float64", (max(positions) + 1,)), TensorSpec("float64", ())
    labels = tuple(value for value in fitted.classes if isinstance(value, str))
    outputs = {
        "raw": Output(params.getRawPredictionCol(), "vector", vector),
        "probability": Output(params.getProbabilityCol(), "vector", vector),
        "prediction": Output(params.getPredictionCol(), "number", number),
        "label": Output(params.getPredictedLabelCol() if labels else "", "label", number, labels),
    }
    wanted = {key: output for key, output in outputs.items() if output.name}

    def predict(tensors: Values) -> list[Values]:
        logits = predict_logits(trained, tensors).astype(np.float64)
        raw = np.full((len(logits), max(positions) + 1), -np.inf)
        raw[:, positions] = logits
        prediction = raw.argmax(axis=1).astype(np.float64)
        values = {"raw": raw, "probability": _softmax(raw), "prediction": prediction, "label": prediction}
        return [values[key] for key in wanted]

    return add_outputs(frame, features, list(wanted.values()), predict, params)


def _softmax(raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    exponents = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))
