"""Params of classification: class weights, smoothing, metrics, and output columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.stages.accepts import Accepts, at_least, between, one_of
from sparkwater.conversions.stages.settings import Setting, fields_of, setting
from sparkwater.conversions.stages.spark_params import HasPredictionCol, HasProbabilityCol, HasRawPredictionCol
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.tasks import ClassificationTask, MultiLabelTask, Task
from sparkwater.gpu.tasks.class_weights import balanced_weights
from sparkwater.ml.columns.labels import (
    ClassColumn,
    LabelColumn,
    LabelSetColumn,
    check_label_type,
    find_classes,
    find_label_sets,
    is_label_set,
)
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.params.learner import TrainingParams

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


class ClassifierColumns(HasPredictionCol, HasProbabilityCol, HasRawPredictionCol):
    """Params of the columns that a classifier adds, which an estimator and its model share."""

    predictionCol: Setting[str] = setting(
        "prediction",
        "column of doubles to add: for string labels the position in model.classes; for numeric ones the label, whose "
        "probability stands at that index of the vector",
    )
    predictedLabelCol: Setting[str] = setting(
        "predictedLabel", "column to add for the predicted label where labels are strings"
    )

    def check_output_columns(self) -> None:
        """Refuse two columns of the same name; an empty one leaves a column out.

        Raises
        ------
        ConfigurationError
            With both Params.
        """
        taken: dict[str, str] = {}
        for param in ("predictionCol", "probabilityCol", "rawPredictionCol", "predictedLabelCol"):
            name = self.getOrDefault(param)
            if name and name in taken:
                raise ConfigurationError(f"{param}={name!r}, as {taken[name]} is; accepted: a name of its own, or ''")
            taken[name] = param


def _is_weight(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _are_class_weights(value: Any) -> bool:
    if isinstance(value, str):
        return value in ("none", "balanced")
    weights = value.values() if isinstance(value, dict) else value
    return isinstance(value, (dict, list)) and len(value) > 0 and all(map(_is_weight, weights))


def _to_class_weight(value: Any) -> Any:
    if isinstance(value, dict):
        # A boolean label is 0.0 or 1.0, and JSON's keys are strings.
        return {float(label) if isinstance(label, bool) else label: weight for label, weight in value.items()}
    return list(value) if isinstance(value, tuple) else value


class ClassifierParams(TrainingParams):
    """Params of the training of a classifier."""

    classWeight: Setting[str | dict[Any, float] | list[float]] = setting(
        "none",
        "weights of classes in the loss, times the rows' own weights; probabilities are corrected for them. "
        "balanced lets all classes weigh the same; a dict has weights by label, 1 where it has none; a list has them "
        "in the order of model.classes. Probabilities are divided by these weights, so that they fit the rows as they "
        "are; metrics and prediction follow from the corrected ones",
        accepts=Accepts(
            _are_class_weights,
            "none, balanced, a dict of labels and weights above 0, or a list of a weight for each class",
        ),
        convert=_to_class_weight,
    )
    labelSmoothing: Setting[float] = setting(
        0.0,
        "share of each target that is spread over all classes",
        accepts=between(0, 1),
        field="label_smoothing",
    )
    stoppingMetric: Setting[str] = setting(
        "logloss",
        "metric that decides on stopping and on the best epoch: of the validation rows where there are any, else of "
        "the training rows",
        accepts=one_of(*{**ClassificationTask.METRICS, **MultiLabelTask.METRICS}),
        field="stopping_metric",
    )
    topK: Setting[int] = setting(
        5,
        "number of most probable classes for topKError: the share of rows whose class isn't among them",
        accepts=at_least(1),
        field="top_k",
    )

    def check_labels(self, schema: StructType) -> None:
        """Refuse labels that aren't classes, and Params that don't go with arrays of labels.

        Raises
        ------
        SchemaError
            With the type that the column has.
        ConfigurationError
            With the Param.
        """
        name = self.getLabelCol()
        check_label_type(schema, name, sets=True)
        if is_label_set(schema, name) and self.getOffsetCol() is not None:
            raise ConfigurationError(
                f"offsetCol={self.getOffsetCol()!r} is for one class a row; labelCol={name!r} is an array: unset it"
            )
        if is_label_set(schema, name) and self.weighs_rows():
            raise ConfigurationError(
                f"classWeight={self.getClassWeight()!r} is for one class a row; labelCol={name!r} is an array: set "
                "classWeight='none', and weightCol for weights of rows"
            )

    def task_type(self, schema: StructType) -> type[Task]:
        """Return the type of the task: by the type of the label column."""
        return MultiLabelTask if is_label_set(schema, self.getLabelCol()) else ClassificationTask

    def find_labels(self, parts: Sequence[tuple[DataFrame, RowColumns]]) -> ClassColumn | LabelSetColumn:
        """Return the classes of the label column; a Spark job."""
        name = self.getLabelCol()
        return (find_label_sets if is_label_set(parts[0][0].schema, name) else find_classes)(parts, name)

    def make_task(self, labels: LabelColumn) -> Task:
        """Return the task of the labels.

        Raises
        ------
        ConfigurationError
            If ``classWeight`` doesn't fit them.
        """
        if isinstance(labels, LabelSetColumn):
            return MultiLabelTask(labels.classes, **fields_of(self, MultiLabelTask))
        assert isinstance(labels, ClassColumn)  # as find_labels gives them
        return ClassificationTask(
            labels.classes, class_weights=self.class_weights(labels), **fields_of(self, ClassificationTask)
        )

    def weighs_rows(self) -> bool:
        """Return whether classes weigh differently."""
        return bool(self.getClassWeight() != "none")

    def class_weights(self, labels: ClassColumn) -> tuple[float, ...]:
        """Return a weight for each class, or nothing where all are 1.

        Raises
        ------
        ConfigurationError
            If ``classWeight`` doesn't fit the labels.
        """
        value = self.getClassWeight()
        if value == "none":
            return ()
        if value == "balanced":
            return balanced_weights(labels.totals)
        if isinstance(value, dict):
            return _by_label(value, labels)
        if len(value) != len(labels.classes):
            raise ConfigurationError(f"classWeight has {len(value)} weights; there are {len(labels.classes)} classes")
        return tuple(float(weight) for weight in value)


def _by_label(value: dict[Any, float], labels: ClassColumn) -> tuple[float, ...]:
    kind = type(labels.classes[0])
    try:
        weights = {kind(label): float(weight) for label, weight in value.items()}  # JSON's keys are strings
    except ValueError:
        weights = {label: float(weight) for label, weight in value.items()}
    unknown = [label for label in weights if label not in labels.classes]
    if unknown:
        raise ConfigurationError(f"classWeight names the label {unknown[0]!r}, which no row has")
    return tuple(weights.get(label, 1.0) for label in labels.classes)
