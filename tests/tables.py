"""scikit-learn's tables as DataFrames, and a learner that is quick and can be made to fail."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param.shared import HasLabelCol, HasPredictionCol
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn import datasets


def table(spark: SparkSession, name: str, rows: int | None = None) -> DataFrame:
    """Return ``id``, ``features`` (vector) and ``label`` (double) of ``load_<name>``, some rows or all."""
    data = getattr(datasets, f"load_{name}")()
    chosen = np.random.default_rng(0).permutation(len(data.data))[:rows]
    lines = [(int(i), data.data[i].astype(float).tolist(), float(data.target[i])) for i in chosen]
    frame = spark.createDataFrame(lines, "id long, features array<double>, label double")
    return frame.withColumn("features", array_to_vector("features")).coalesce(1)


class MeanRegressor(Estimator, HasLabelCol, HasPredictionCol):
    """Predicts the mean label; counts its fits, and calls ``before`` with the number of each."""

    def __init__(self, before: Callable[[int], None] = lambda number: None) -> None:
        super().__init__()
        self.before, self.fits, self.lock = before, 0, threading.Lock()

    def copy(self, extra: Any = None) -> MeanRegressor:
        return self

    def _fit(self, dataset: DataFrame) -> MeanModel:
        with self.lock:
            self.fits += 1
            number = self.fits
        self.before(number)
        model = MeanModel(mean=dataset.agg(F.avg(self.getLabelCol())).first()[0])
        return self._copyValues(model)


class MeanModel(Model, HasLabelCol, HasPredictionCol):
    @keyword_only
    def __init__(self, *, mean: float) -> None:
        super().__init__()
        self.mean = mean

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return dataset.withColumn(self.getPredictionCol(), F.lit(self.mean))


def depth(frame: DataFrame) -> int:
    """Return the depth of a DataFrame's plan."""
    lines = frame._jdf.queryExecution().analyzed().toString().splitlines()
    return max(len(re.match("[ :+-]*", line)[0]) // 3 for line in lines)
