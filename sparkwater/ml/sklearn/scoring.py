"""Predictions of a fitted estimator as columns, computed on Arrow batches on the executors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.sessions.session import Value, session_of
from sparkwater.conversions.stages.columns import nested_arrow
from sparkwater.conversions.stages.executor_functions import arrow_frame, executor_function
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import SchemaError
from sparkwater.ml.launch.python_worker import exempt_modules
from sparkwater.ml.scoring.outputs import Output
from sparkwater.ml.sklearn.files import read_estimator
from sparkwater.ml.sklearn.predictions import ClassVector, column_values, predicted
from sparkwater.ml.sklearn.rows import matrix, with_plain_texts

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_SCORES = "__sparkwater_scores"


def class_outputs(vector: ClassVector, params: Any) -> dict[str, Output]:
    """Return the columns of a classifier, by the Params that name them."""
    probabilities, number = TensorSpec("float64", (vector.size,)), TensorSpec("float64", ())
    labels = tuple(label for label in vector.classes if isinstance(label, str))
    return {
        "rawPredictionCol": Output(params.getRawPredictionCol(), "vector", probabilities),
        "probabilityCol": Output(params.getProbabilityCol(), "vector", probabilities),
        "predictionCol": Output(params.getPredictionCol(), "number", number),
        "predictedLabelCol": Output(params.getPredictedLabelCol() if labels else "", "label", number, labels),
    }


def number_outputs(params: Any) -> dict[str, Output]:
    """Return the column of a regressor, by the Param that names it."""
    return {"predictionCol": Output(params.getPredictionCol(), "number", TensorSpec("float64", ()))}


def add_predictions(
    frame: DataFrame,
    features: Sequence[Column],
    names: tuple[str, ...],
    outputs: Mapping[str, Output],
    estimator: bytes,
    vector: ClassVector | None,
) -> DataFrame:
    """Return the DataFrame with prediction columns; rows, their order and columns stay.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    features : sequence of pyspark.sql.Column
        The columns that `sparkwater.ml.sklearn.inputs.feature_columns` gives.
    names : tuple of str
        Names of the columns of a pandas DataFrame; empty for a matrix.
    outputs : mapping of str to Output
        The columns to add, by Param; those without a name are left out.
    estimator : bytes
        The fitted estimator.
    vector : ClassVector or None
        The classes; None for regression.

    Raises
    ------
    SchemaError
        If there is a column of an output's name already.
    """
    wanted = {param: output for param, output in outputs.items() if output.name}
    for output in wanted.values():
        if output.name in frame.columns:
            raise SchemaError(f"there is a column {output.name!r} already; drop it or name another output column")
    given = F.struct(*features) if names else features[0]
    session = session_of(frame.sparkSession)
    scorer = _scorer({param: output.spec for param, output in wanted.items()}, names, session.ship(estimator), vector)
    scored = frame.withColumn(_SCORES, scorer(given))
    results = {
        output.name: output.column(F.col(_SCORES)[param]).alias(output.name, metadata=output.metadata)
        for param, output in wanted.items()
    }
    return session.with_columns(scored, results).drop(_SCORES)


def _scorer(
    outputs: Mapping[str, TensorSpec], names: tuple[str, ...], estimator: Value, vector: ClassVector | None
) -> Callable[[Column], Column]:
    """Return the scoring function; what it refers to is in modules that load quickly."""
    size = vector.size if vector else 1

    def score(batch: Any) -> pd.DataFrame:
        if names:
            features: Any = with_plain_texts(batch.set_axis(list(names), axis=1))
        else:
            # Not as pandas reads numbers: a NaN in a list is a value there, and no null.
            features = matrix(pa.array(batch, pa.list_(pa.float64()), from_pandas=False))
        predictions = np.empty((0, size))
        if len(batch):
            predictions = predicted(read_estimator(estimator.get()), features, vector)
            exempt_modules()  # which the first call has loaded
        values, valid = column_values(predictions, vector), np.ones(len(predictions), bool)
        return arrow_frame(
            {param: nested_arrow(values[param].reshape(-1), valid, spec) for param, spec in outputs.items()}
        )

    kinds = {param: T.ArrayType(T.DoubleType()) if spec.shape else T.DoubleType() for param, spec in outputs.items()}
    returns = T.StructType([T.StructField(param, kind) for param, kind in kinds.items()])
    takes = cast(type[Any], pd.DataFrame if names else pd.Series)
    return executor_function(score, returns, takes, 24 * size + 1024)
