"""Prediction columns: a network's outputs as Spark ML's classifiers give them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.arrow import usable_tensors
from sparkwater.conversions.executor_functions import executor_function
from sparkwater.conversions.invalid import resolve_invalid, row_name
from sparkwater.conversions.spec import TensorSpec
from sparkwater.errors import SchemaError
from sparkwater.gpu.inference import TrainedNetwork, predict_logits
from sparkwater.ml.features import FeatureColumn, checked_features
from sparkwater.ml.labels import vector_positions
from sparkwater.ml.params import PredictorParams

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.ml.fitted import FittedNetwork

_SCORED = T.StructType(
    [
        T.StructField("raw", T.ArrayType(T.DoubleType())),
        T.StructField("probability", T.ArrayType(T.DoubleType())),
        T.StructField("prediction", T.DoubleType()),
        T.StructField("problem", T.StringType()),
    ]
)
_SCORES, _CHECKED, _PROBLEM = "__sparkwater_scores", "__sparkwater_checked", "__sparkwater_problem"


def add_predictions(
    frame: DataFrame, features: FeatureColumn, fitted: FittedNetwork, params: PredictorParams
) -> DataFrame:
    """Return the DataFrame with rawPrediction, probability, prediction and, for strings, predictedLabel.

    A column whose Param is an empty string is left out, as in Spark ML.
    """
    name = row_name(frame, features.field.name, params.getIdCol())
    score = executor_function(_scorer(fitted.trained, fitted.spec, vector_positions(fitted.classes)), _SCORED)
    scored = frame.withColumn(_CHECKED, checked_features(frame, features))
    scored = scored.withColumn(_SCORES, score(F.col(_CHECKED)["tensor"]))
    scores = F.col(_SCORES)
    results = {
        params.getRawPredictionCol(): F.when(scores["raw"].isNotNull(), array_to_vector(scores["raw"])),
        params.getProbabilityCol(): F.when(scores["raw"].isNotNull(), array_to_vector(scores["probability"])),
        params.getPredictionCol(): scores["prediction"],
    }
    if isinstance(fitted.classes[0], str):
        names = F.array(*(F.lit(value) for value in fitted.classes))
        results[params.getPredictedLabelCol()] = F.get(names, scores["prediction"].cast("int"))
    results = {column: value for column, value in results.items() if column}
    problem = F.coalesce(F.col(_CHECKED)["problem"], scores["problem"])
    scored = scored.withColumns({**results, _PROBLEM: problem}).drop(_SCORES, _CHECKED)
    return resolve_invalid(scored, list(results), _PROBLEM, name, params.getHandleInvalid())


def free_outputs(frame: DataFrame, params: PredictorParams, named_labels: bool) -> None:
    """Refuse to write over a column.

    Raises
    ------
    SchemaError
        If a prediction column is there already.
    """
    outputs = [params.getRawPredictionCol(), params.getProbabilityCol(), params.getPredictionCol()]
    if named_labels:
        outputs.append(params.getPredictedLabelCol())
    taken = [output for output in outputs if output in frame.columns]
    if taken:
        raise SchemaError(f"there is a column {taken[0]!r} already; drop it or name another output column")


def _scorer(
    trained: TrainedNetwork, spec: TensorSpec, positions: Sequence[int]
) -> Callable[[pd.Series[Any]], pd.DataFrame]:
    """Return the scoring function; being of the same kind as the decoding, it runs in the same Python worker."""

    def score(batch: pd.Series[Any]) -> pd.DataFrame:
        tensors = usable_tensors(pa.array(batch, type=pa.binary(), from_pandas=True), spec)
        logits = predict_logits(trained, tensors.values).astype(np.float64)
        raw = np.full((len(logits), max(positions) + 1), -np.inf)
        raw[:, positions] = logits
        rows = np.flatnonzero(tensors.valid).tolist()
        return pd.DataFrame(
            {
                "raw": _place(rows, raw, len(batch)),
                "probability": _place(rows, _softmax(raw), len(batch)),
                "prediction": _place(rows, raw.argmax(axis=1).astype(float), len(batch)),
                "problem": _place(tensors.problems, tensors.problems.values(), len(batch)),
            }
        )

    return score


def _place(rows: Iterable[int], values: Iterable[Any], length: int) -> pd.Series[Any]:
    """Return the values at their rows and None everywhere else."""
    placed = dict(zip(rows, values, strict=True))
    return pd.Series([placed.get(row) for row in range(length)], dtype=object)


def _softmax(raw: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if not len(raw):
        return raw
    exponents = np.exp(raw - raw.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))
