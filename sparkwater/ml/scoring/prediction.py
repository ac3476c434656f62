"""Prediction columns of each kind of task, with Spark ML's names and types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.networks.inference import predict_raw
from sparkwater.gpu.tasks import ClassificationTask, MultiLabelTask, RegressionTask, Task
from sparkwater.ml.columns.features import FeatureColumn
from sparkwater.ml.columns.labels import vector_positions
from sparkwater.ml.scoring.outputs import Output, Values, add_outputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.ml.fitted.network import FittedNetwork
    from sparkwater.ml.params.learner import PredictorParams

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PredictionColumns:
    """Columns that a task adds.

    Attributes
    ----------
    outputs : dict of str to Output
        The columns, by the Params that name them.
    compute : callable
        From raw predictions ``(rows, task.outputs)`` to the values of each column, by the same Params.
    """

    outputs: dict[str, Output]
    compute: Callable[[Numbers], dict[str, Values]]


def add_predictions(
    frame: DataFrame, features: FeatureColumn, fitted: FittedNetwork, params: PredictorParams
) -> DataFrame:
    """Return the DataFrame with the prediction columns of the network's task.

    A column whose Param is an empty string is left out, as in Spark ML.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Has the features.
    features : FeatureColumn
        What they are.
    fitted : FittedNetwork
        What scores.
    params : PredictorParams
        Names of columns.

    Raises
    ------
    SchemaError
        If a prediction column is there already.
    """
    trained = fitted.trained
    columns = prediction_columns(trained.task, params)
    wanted = {param: output for param, output in columns.outputs.items() if output.name}
    compute = columns.compute

    def predict(tensors: Values) -> list[Values]:
        values = compute(predict_raw(trained, tensors).astype(np.float64))
        return [values[param] for param in wanted]

    return add_outputs(frame, features, list(wanted.values()), predict, params)


def prediction_columns(task: Task, params: PredictorParams) -> PredictionColumns:
    """Return the columns that a task adds."""
    return _BY_KIND[task.kind](task, params)


def _class_columns(task: ClassificationTask, params: Any) -> PredictionColumns:
    """Return columns of log-odds, probabilities, the most probable class and, for strings, its label."""
    positions = vector_positions(task.classes)
    size = max(positions) + 1
    vector, number = TensorSpec("float64", (size,)), TensorSpec("float64", ())
    labels = _strings(task.classes)

    def compute(scores: Numbers) -> dict[str, Values]:
        raw = np.full((len(scores), size), -np.inf)
        raw[:, positions] = scores
        prediction = raw.argmax(axis=1).astype(np.float64)
        return {
            "rawPredictionCol": raw,
            "probabilityCol": _softmax(raw),
            "predictionCol": prediction,
            "predictedLabelCol": prediction,
        }

    return PredictionColumns(
        {
            "rawPredictionCol": Output(params.getRawPredictionCol(), "vector", vector),
            "probabilityCol": Output(params.getProbabilityCol(), "vector", vector),
            "predictionCol": Output(params.getPredictionCol(), "number", number),
            "predictedLabelCol": Output(params.getPredictedLabelCol() if labels else "", "label", number, labels),
        },
        compute,
    )


def _label_columns(task: MultiLabelTask, params: Any) -> PredictionColumns:
    """Return columns of log-odds, probabilities, the labels above one half and, for strings, their names.

    ``prediction`` is an array of doubles, as Spark's MultilabelClassificationEvaluator takes it.
    """
    positions = vector_positions(task.classes)
    size = max(positions) + 1
    vector, members = TensorSpec("float64", (size,)), TensorSpec("bool", (size,))
    labels = _strings(task.classes)

    def compute(scores: Numbers) -> dict[str, Values]:
        raw = np.full((len(scores), size), -np.inf)
        raw[:, positions] = scores
        return {
            "rawPredictionCol": raw,
            "probabilityCol": np.exp(-np.logaddexp(0, -raw)),  # as 1 / (1 + exp(-raw)), which overflows
            "predictionCol": raw > 0,
            "predictedLabelCol": raw > 0,
        }

    return PredictionColumns(
        {
            "rawPredictionCol": Output(params.getRawPredictionCol(), "vector", vector),
            "probabilityCol": Output(params.getProbabilityCol(), "vector", vector),
            "predictionCol": Output(params.getPredictionCol(), "members", members),
            "predictedLabelCol": Output(params.getPredictedLabelCol() if labels else "", "members", members, labels),
        },
        compute,
    )


def _number_columns(task: RegressionTask, params: Any) -> PredictionColumns:
    """Return the column of the predicted number."""

    def compute(raw: Numbers) -> dict[str, Values]:
        return {"predictionCol": task.respond(torch.from_numpy(raw)).numpy()[:, 0]}

    number = TensorSpec("float64", ())
    return PredictionColumns({"predictionCol": Output(params.getPredictionCol(), "number", number)}, compute)


_BY_KIND: dict[str, Callable[[Any, Any], PredictionColumns]] = {
    ClassificationTask.kind: _class_columns,
    MultiLabelTask.kind: _label_columns,
    RegressionTask.kind: _number_columns,
}


def _strings(classes: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(label for label in classes if isinstance(label, str))


def _softmax(raw: Numbers) -> Numbers:
    exponents = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))
