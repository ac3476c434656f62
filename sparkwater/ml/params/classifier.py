"""Params of classification: class weights, smoothing, order, calibration, metrics, and output columns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.stages.accepts import Accepts, at_least, between, one_of
from sparkwater.conversions.stages.settings import Setting, fields_of, setting
from sparkwater.conversions.stages.spark_params import HasPredictionCol, HasProbabilityCol, HasRawPredictionCol
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.tasks import ClassificationTask, MultiLabelTask, OrdinalTask, Task
from sparkwater.gpu.tasks.class_weights import balanced_weights
from sparkwater.ml.columns.classes import (
    ClassColumn,
    LabelSetColumn,
    OrdinalColumn,
    check_label_order,
    check_label_type,
    find_classes,
    find_label_sets,
    in_order,
    is_label_set,
)
from sparkwater.ml.columns.labels import LabelColumn
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.params.learner import TrainingParams
from sparkwater.ml.params.output_columns import check_output_columns

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
        check_output_columns(self, ("predictionCol", "probabilityCol", "rawPredictionCol", "predictedLabelCol"))


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


def _is_order(value: Any) -> bool:
    if isinstance(value, bool):
        return True
    strings = isinstance(value, list) and all(isinstance(label, str) for label in value)
    return strings and len(value) >= 2 and len(set(value)) == len(value)


def _to_order(value: Any) -> Any:
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
    ordinal: Setting[bool | list[str]] = setting(
        False,
        "classes in an order, such as grades, learned by cumulative logits: being wrong by one class costs less than "
        "by three. True for labels that are numbers; a list of all classes, the lowest first, for strings",
        accepts=Accepts(_is_order, "booleans, or a list of two or more different strings, the lowest first"),
        convert=_to_order,
    )
    calibrate: Setting[bool] = setting(
        False,
        "after the training divide log-odds by the temperature under which the rows to validate on are most probable "
        "(Guo et al. 2017): probabilities become as sure as the network is right, and the predicted classes stay",
        field="calibrate",
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
        accepts=one_of(*{**ClassificationTask.METRICS, **MultiLabelTask.METRICS, **OrdinalTask.METRICS}),
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
        sets, order = is_label_set(schema, name), self.getOrdinal()
        if sets and self.getOffsetCol() is not None:
            raise ConfigurationError(
                f"offsetCol={self.getOffsetCol()!r} is for one class a row; labelCol={name!r} is an array: unset it"
            )
        if sets and self.weighs_rows():
            raise ConfigurationError(
                f"classWeight={self.getClassWeight()!r} is for one class a row; labelCol={name!r} is an array: set "
                "classWeight='none', and weightCol for weights of rows"
            )
        if order is not False:
            check_label_order(schema, name, order)
            self._check_not_ordinal(labelSmoothing=0.0, classWeight="none", calibrate=False)
        if self.getCalibrate() and sets:
            raise ConfigurationError(f"calibrate=True is for one class a row; labelCol={name!r} is an array")
        if self.getCalibrate() and self.row_columns().held_out is None:
            raise ConfigurationError(
                "calibrate=True needs rows to validate on: set validationIndicatorCol, validationDataFrame or "
                "validationFraction"
            )
        if self.getCalibrate() and self.getOffsetCol() is not None:
            raise ConfigurationError(
                f"calibrate=True and offsetCol={self.getOffsetCol()!r} are both set; a temperature would divide the "
                "offsets, too: clear one of them"
            )

    def _check_not_ordinal(self, **without: Any) -> None:
        """Refuse other values of Params than those that leave them out of a training on classes in an order."""
        for name, value in without.items():
            if self.isSet(name) and self.getOrDefault(name) != value:  # a recipe's default isn't meant for them
                raise ConfigurationError(
                    f"{name}={self.getOrDefault(name)!r} doesn't go with ordinal={self.getOrdinal()!r}; leave it unset"
                )

    def task_type(self, schema: StructType) -> type[Task]:
        """Return the type of the task: by the type of the label column."""
        if is_label_set(schema, self.getLabelCol()):
            return MultiLabelTask
        return ClassificationTask if self.getOrdinal() is False else OrdinalTask

    def find_labels(
        self, parts: Sequence[tuple[DataFrame, RowColumns]]
    ) -> ClassColumn | OrdinalColumn | LabelSetColumn:
        """Return the classes of the label column; a Spark job."""
        name, order = self.getLabelCol(), self.getOrdinal()
        if is_label_set(parts[0][0].schema, name):
            return find_label_sets(parts, name)
        found = find_classes(parts, name)
        return found if order is False else in_order(found, None if order is True else order, name)

    def make_task(self, labels: LabelColumn) -> Task:
        """Return the task of the labels.

        Raises
        ------
        ConfigurationError
            If ``classWeight`` doesn't fit them.
        """
        if isinstance(labels, LabelSetColumn):
            return MultiLabelTask(labels.classes, **fields_of(self, MultiLabelTask))
        if isinstance(labels, OrdinalColumn):
            return OrdinalTask(labels.classes, beginning=labels.beginning)
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
