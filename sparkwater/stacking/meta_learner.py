"""The meta-learner: its input columns, the default estimator, and the learners' shares in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark.ml import Estimator, Model
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import DenseMatrix, DenseVector, Vectors
from pyspark.ml.regression import LinearRegressionModel
from pyspark.ml.wrapper import JavaParams
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.utils import is_remote

from sparkwater.conversions.stages.accepts import at_least
from sparkwater.conversions.stages.columns import find_field, vector_numbers
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.spark_params import HasFeaturesCol, HasLabelCol, HasPredictionCol, HasWeightCol
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.stacking.level_one.learners import CLASSIFICATION, kind_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.stacking.level_one.prepared import LevelOneTask

#: The column of vectors that the meta-learner reads.
LEVEL_ONE = "__sparkwater_level_one"

#: Columns of a meta-learner's predictions while it is measured, by Param.
OUTPUTS = {name: f"__sparkwater_{name}" for name in ("predictionCol", "probabilityCol", "rawPredictionCol")}

TRANSFORMS = ("none", "logit")

#: Probabilities nearer to 0 or 1 than this have no larger logit, as in H2O.
CLIP = 1e-9

#: Keeps the weights of learners that are never wrong finite.
_RIDGE = 1e-6

#: Variance of the weights' normal prior where there are several classes, by transform. Good learners leave few
#: rows to learn hundreds of weights from: without a prior the ensemble is worse than its best learner.
_VARIANCE = {"none": 1.0, "logit": 0.01}


def measured_output(kind: str) -> str:
    """Return the one of `OUTPUTS` that metrics read: probabilities of classes, predictions of a regression."""
    return OUTPUTS["probabilityCol" if kind == CLASSIFICATION else "predictionCol"]


def default_meta_learner(task: LevelOneTask, columns: int, unbounded: int, rows: int, transform: str) -> Any:
    """Return the meta-learner of H2O's choice: a generalised linear model without standardisation.

    For two classes and regression no learner has a negative weight; for more classes the model is
    multinomial and unconstrained, with a ridge penalty: it is that of scikit-learn's
    ``LogisticRegression`` with C=1 on probabilities, and with C=0.01 on logits, which are wider.

    Parameters
    ----------
    task : LevelOneTask
        The learning task.
    columns : int
        Columns of the learners.
    unbounded : int
        Columns after them, which may have any weight.
    rows : int
        Rows of level one; the more there are, the weaker the penalty on each.
    transform : {"none", "logit"}
        Transform of probabilities.
    """
    if task.kind != CLASSIFICATION:
        return NonNegativeRegression(freeColumns=unbounded)
    if task.width > 1:
        return LogisticRegression(
            family="multinomial", standardization=False, regParam=1 / (_VARIANCE[transform] * rows)
        )
    bounds = [0.0] * columns + [float("-inf")] * unbounded
    return LogisticRegression(
        family="binomial",
        standardization=False,
        regParam=_RIDGE,
        lowerBoundsOnCoefficients=DenseMatrix(1, len(bounds), bounds),
    )


def check_meta_learner(stage: Any, kind: str, param: str = "metaLearner") -> None:
    """Refuse estimators that can't learn from the predictions of these learners.

    Parameters
    ----------
    stage : object
        The estimator.
    kind : {"classification", "regression"}
        Kind of the learners.
    param : str
        The Param that it was given as.

    Raises
    ------
    ConfigurationError
        With the missing property.
    """
    if not isinstance(stage, Estimator) or not (stage.hasParam("featuresCol") and stage.hasParam("labelCol")):
        raise ConfigurationError(
            f"{param} is {type(stage).__name__}; accepted: a Spark ML Estimator with featuresCol and labelCol"
        )
    if kind_of(stage) != kind:
        raise ConfigurationError(
            f"{param} {type(stage).__name__} doesn't fit learners for {kind}; accepted: "
            + ("classifiers with a probability column" if kind == CLASSIFICATION else "regressors")
        )


@dataclass(frozen=True)
class LevelOneInput:
    """The meta-learner's input columns.

    Attributes
    ----------
    learners : tuple of str
        Columns of values, in this order.
    task : LevelOneTask
        The learning task.
    transform : {"none", "logit"}
        Transform of probabilities.
    passthrough : tuple of str
        Other columns, after the learners'.
    """

    learners: tuple[str, ...]
    task: LevelOneTask
    transform: str = "none"
    passthrough: tuple[str, ...] = ()

    def renamed(self, columns: Mapping[str, str]) -> LevelOneInput:
        """Return the input where the learners' values are in columns of other names."""
        return replace(self, learners=tuple(columns[name] for name in self.learners))

    def column(self, schema: T.StructType) -> Column:
        """Return the vector of a row."""
        values = [self._transformed(F.col(f"`{name}`")) for name in self.learners]
        return array_to_vector(F.concat(*values, *(passthrough_values(schema, name) for name in self.passthrough)))

    def _transformed(self, values: Column) -> Column:
        if self.transform == "none":
            return values
        return F.transform(values, lambda value: _logit(F.least(F.greatest(value, F.lit(CLIP)), F.lit(1 - CLIP))))


def _logit(value: Column) -> Column:
    return F.log(value / (1 - value))


def passthrough_values(schema: T.StructType, name: str, param: str = "passthroughCols") -> Column:
    """Return a column of numbers, vectors or arrays as arrays of doubles; ``param`` is the Param that names it.

    Raises
    ------
    SchemaError
        If it holds something else.
    """
    data_type, column = find_field(schema, name).dataType, F.col(f"`{name}`")
    if isinstance(data_type, T.NumericType):
        return F.array(column.cast("double"))
    if data_type.typeName() == "udt" or "vector" in data_type.simpleString():
        return vector_numbers(column)
    if isinstance(data_type, T.ArrayType) and isinstance(data_type.elementType, T.NumericType):
        return column.cast("array<double>")
    raise SchemaError(f"{param}: {name!r} is {data_type.simpleString()}; accepted: numbers, vectors, arrays")


@dataclass(frozen=True)
class MetaWeights:
    """Coefficients and importances of a fitted meta-learner's columns.

    Attributes
    ----------
    coefficients : tuple of tuple of float
        One row a class (one for two classes and regression); empty where the model has none.
    importance : tuple of float
        Importance of each column: the sum of absolute coefficients, or a tree's importance; empty where the
        model has neither.
    """

    coefficients: tuple[tuple[float, ...], ...]
    importance: tuple[float, ...]

    @classmethod
    def of(cls, model: Any) -> MetaWeights:
        """Return a model's coefficients and importances."""
        matrix = getattr(model, "coefficientMatrix", None)
        if matrix is None and isinstance(getattr(model, "coefficients", None), DenseVector):
            matrix = DenseMatrix(1, len(model.coefficients), list(model.coefficients), True)
        if matrix is not None:
            rows: npt.NDArray[np.float64] = matrix.toArray()
            return cls(tuple(tuple(map(float, row)) for row in rows), tuple(map(float, np.abs(rows).sum(axis=0))))
        importances = getattr(model, "featureImportances", None)
        return cls((), () if importances is None else tuple(map(float, importances.toArray())))

    def share(self, positions: dict[str, range]) -> dict[str, float | None]:
        """Return each learner's share of the importance of all learners; None where the model has no importances."""
        if not self.importance:
            return dict.fromkeys(positions)
        sums = {name: sum(self.importance[place] for place in places) for name, places in positions.items()}
        total = sum(sums.values())
        return {name: value / total if total else 0.0 for name, value in sums.items()}


class LinearModel(Model, HasFeaturesCol, HasPredictionCol, SavedStage):
    """A linear model as a Spark expression, as Spark Connect needs it: no JVM makes or holds it.

    It predicts what a ``LinearRegressionModel`` of the same weights does.
    """

    weights: Setting[list[float]] = setting([], "weights of the columns")
    intercept: Setting[float] = setting(0.0, "added to the weighted sum")

    @property
    def coefficients(self) -> DenseVector:
        """The weights of the columns."""
        return Vectors.dense(self.getWeights())

    def _transform(self, dataset: DataFrame) -> DataFrame:
        numbers, weights = vector_numbers(F.col(f"`{self.getFeaturesCol()}`")), F.array(*map(F.lit, self.getWeights()))
        terms = F.zip_with(numbers, weights, lambda number, weight: number * weight)
        sums = F.aggregate(terms, F.lit(0.0), lambda total, term: total + term)
        return dataset.withColumn(self.getPredictionCol(), sums + self.getIntercept())


class NonNegativeRegression(
    Estimator[LinearRegressionModel], HasFeaturesCol, HasLabelCol, HasPredictionCol, HasWeightCol, SavedStage,
):  # fmt: skip
    """Least squares with an intercept, in which no column has a negative weight.

    Spark's LinearRegression takes no bounds. Spark sums the products of the columns in one job; the
    driver solves the small problem that is left, of as many rows as there are columns.
    """

    freeColumns: Setting[int] = setting(
        0, "the last columns of the vector, so many of them, may have any weight", accepts=at_least(0)
    )

    def _fit(self, dataset: DataFrame) -> Any:
        self.check_settings()
        label = F.col(f"`{self.getLabelCol()}`").cast("double")
        weight = F.col(f"`{self.getWeightCol()}`").cast("double") if self.getWeightCol() else F.lit(1.0)
        rows = dataset.select(
            vector_numbers(F.col(f"`{self.getFeaturesCol()}`")).alias("x"), label.alias("y"), weight.alias("w")
        )
        sums = _sum_products(rows, None)
        # Numbers far from zero would lose digits in the products.
        center = sums[0, 1:] / sums[0, 0]
        products = _sum_products(rows, center)
        bounded = len(center) - 1 - self.getOrDefault(self.freeColumns)
        weights, intercept = solve_bounded(products, bounded)
        return self.model_of(weights, float(center[-1]) + intercept - float(weights @ center[:-1]))

    def model_of(self, weights: npt.NDArray[np.float64], intercept: float) -> Any:
        """Return the model with some weights and an intercept; a `LinearModel` on Spark Connect."""
        if is_remote():
            model = LinearModel(weights=weights.tolist(), intercept=float(intercept))
            return self._copyValues(model._resetUid(self.uid))
        java = JavaParams._new_java_obj(
            "org.apache.spark.ml.regression.LinearRegressionModel",
            self.uid,
            Vectors.dense(weights.tolist()),
            float(intercept),
            1.0,
        )
        return self._copyValues(LinearRegressionModel(java))


def _sum_products(rows: DataFrame, center: npt.NDArray[np.float64] | None) -> npt.NDArray[np.float64]:
    """Return the weighted products of ones, features and label, less their centers; one Spark job.

    Without centers only the first line is summed. Parts are added in order of their partitions: Spark's own
    aggregates add them as they come in, and each order has other roundings.
    """

    def products(batches: Any) -> Any:
        import numpy as np
        import pandas as pd
        from pyspark import TaskContext

        total: Any = None
        for batch in batches:
            if len(batch):
                numbers = np.column_stack([np.stack(list(batch["x"])), batch["y"]])
                numbers = np.column_stack([np.ones(len(batch)), numbers if center is None else numbers - center])
                weighted = numbers * batch["w"].to_numpy()[:, None]
                part = weighted.sum(axis=0) if center is None else weighted.T @ numbers
                total = part if total is None else total + part
        context = TaskContext.get()
        if total is not None:
            yield pd.DataFrame({"part": [context.partitionId() if context else 0], "products": [total.ravel()]})

    parts = rows.mapInPandas(products, "part int, products array<double>").orderBy("part").collect()
    if not parts:
        raise DataError("the DataFrame has no rows to train on")
    total = np.sum([row["products"] for row in parts], axis=0)
    return total.reshape(1, -1) if center is None else total.reshape(len(center) + 1, len(center) + 1)


def solve_bounded(products: npt.NDArray[np.float64], bounded: int) -> tuple[npt.NDArray[np.float64], float]:
    """Return the least-squares weights and the intercept; the first so many weights are not negative.

    Parameters
    ----------
    products : numpy.ndarray, square
        Sums of the products of all columns: ones, the features, the label.
    bounded : int
        Number of features with a bound.
    """
    from scipy.optimize import lsq_linear

    # Each column counts by its own size: one that diverged would make all others look like rounding. Below a
    # share of the label's size a column is taken for constant.
    size = np.sqrt(np.diag(products))
    scale = np.maximum(size[:-1], 1e-9 * size[-1])
    scale[scale == 0] = 1.0
    values, vectors = np.linalg.eigh(products[:-1, :-1] / np.outer(scale, scale))
    solid = values > values.max() * 1e-13
    root = np.sqrt(values[solid])
    low = np.full(len(values), -np.inf)
    low[1 : 1 + bounded] = 0.0
    found = lsq_linear(
        root[:, None] * vectors[:, solid].T,
        vectors[:, solid].T @ (products[:-1, -1] / scale) / root,
        (low, np.inf),
        "bvls",
    )
    solution = found.x / scale
    weights = solution[1:].copy()
    weights[:bounded][weights[:bounded] < 1e-12 * np.abs(weights).max(initial=0.0)] = 0.0  # rounding
    return weights, float(solution[0])
