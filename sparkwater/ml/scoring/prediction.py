"""Prediction columns of each kind of task, with Spark ML's names and types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.networks.inference import predict_raw
from sparkwater.gpu.tasks import ClassificationTask, MultiLabelTask, OrdinalTask, QuantilesTask, RegressionTask
from sparkwater.ml.columns.classes import vector_positions
from sparkwater.ml.columns.features import FeatureColumn
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.scoring.outputs import Output, Values, add_outputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.ml.fitted.network import FittedNetwork
    from sparkwater.ml.params.learner import ScoringParams

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PredictionColumns:
    """Columns that a task adds.

    Attributes
    ----------
    outputs : dict of str to Output
        The columns, by the Params that name them.
    compute : callable
        From raw predictions, float64 ``(rows, task.outputs)``, to the values of each column, ``(rows, *spec.shape)``,
        by the same Params. It runs on the executors, so it may refer to the task and not to the stage.
    """

    outputs: dict[str, Output]
    compute: Callable[[Numbers], dict[str, Values]]


def add_predictions(
    frame: DataFrame,
    features: FeatureColumn,
    fitted: FittedNetwork,
    columns: PredictionColumns,
    params: ScoringParams,
    roles: RowColumns,
) -> DataFrame:
    """Return the DataFrame with the prediction columns of the network's task.

    A column whose Param is an empty string is left out, as in Spark ML.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows, with the features columns.
    features : FeatureColumn
        The features columns.
    fitted : FittedNetwork
        The network to score with.
    columns : PredictionColumns
        The columns to add.
    params : ScoringParams
        Treatment and names of rows that can't be used.
    roles : RowColumns
        The column of offsets, where there is one.

    Raises
    ------
    SchemaError
        If a prediction column is there already.
    """
    trained = fitted.trained
    wanted = {param: output for param, output in columns.outputs.items() if output.name}
    compute = columns.compute

    def predict(tensors: Values, offsets: Numbers | None = None) -> list[Values]:
        values = compute(predict_raw(trained, tensors, offsets).astype(np.float64))
        return [values[param] for param in wanted]

    return add_outputs(frame, features, list(wanted.values()), predict, params, roles)


def class_columns(task: ClassificationTask | OrdinalTask, params: Any) -> PredictionColumns:
    """Return columns of log-odds, probabilities, the most probable class and, for strings, its label.

    Of classes in an order, the log-odds are the logarithms of the probabilities.
    """
    positions = vector_positions(task.classes)
    size = max(positions) + 1
    vector, number = TensorSpec("float64", (size,)), TensorSpec("float64", ())
    labels = _strings(task.classes)

    def compute(scores: Numbers) -> dict[str, Values]:
        odds = task.logarithms(scores) if isinstance(task, OrdinalTask) else scores
        raw = _spread(odds, positions, size, -np.inf)
        prediction = raw.argmax(axis=1).astype(np.float64)
        return {
            "rawPredictionCol": raw,
            "probabilityCol": _spread(task.respond(scores), positions, size, 0.0),
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


def label_columns(task: MultiLabelTask, params: Any) -> PredictionColumns:
    """Return columns of log-odds, probabilities, the labels above one half and, for strings, their names.

    ``prediction`` is an array of doubles, as Spark's MultilabelClassificationEvaluator takes it.
    """
    positions = vector_positions(task.classes)
    size = max(positions) + 1
    vector, members = TensorSpec("float64", (size,)), TensorSpec("bool", (size,))
    labels = _strings(task.classes)

    def compute(scores: Numbers) -> dict[str, Values]:
        raw = _spread(scores, positions, size, -np.inf)
        return {
            "rawPredictionCol": raw,
            "probabilityCol": _spread(task.respond(scores), positions, size, 0.0),
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


def number_columns(task: RegressionTask, params: Any) -> PredictionColumns:
    """Return the column of the predicted number."""

    def compute(raw: Numbers) -> dict[str, Values]:
        return {"predictionCol": task.respond(raw)[:, 0]}

    number = TensorSpec("float64", ())
    return PredictionColumns({"predictionCol": Output(params.getPredictionCol(), "number", number)}, compute)


def quantile_columns(task: QuantilesTask, params: Any) -> PredictionColumns:
    """Return columns of the quantile nearest to the median, as the prediction, and of all quantiles."""

    def compute(raw: Numbers) -> dict[str, Values]:
        quantiles = task.respond(raw)
        return {"predictionCol": quantiles[:, task.middle], "quantilesCol": quantiles}

    number, vector = TensorSpec("float64", ()), TensorSpec("float64", (task.outputs,))
    return PredictionColumns(
        {
            "predictionCol": Output(params.getPredictionCol(), "number", number),
            "quantilesCol": Output(params.getQuantilesCol(), "vector", vector),
        },
        compute,
    )


def _strings(classes: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(label for label in classes if isinstance(label, str))


def _spread(values: Numbers, positions: Sequence[int], size: int, absent: float) -> Numbers:
    """Return values at their positions in vectors, with another value where there is no class."""
    vectors = np.full((len(values), size), absent)
    vectors[:, positions] = values
    return vectors
