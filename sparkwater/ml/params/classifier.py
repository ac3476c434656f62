"""Params of classification: what becomes of classes in the loss, in metrics and in the output columns."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from sparkwater.conversions.stages.accepts import Accepts, at_least, between, one_of
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.spark_params import HasPredictionCol, HasProbabilityCol, HasRawPredictionCol
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.tasks.class_metrics import METRICS, unfit_metric
from sparkwater.gpu.tasks.class_weights import balanced_weights
from sparkwater.ml.columns.labels import LabelColumn
from sparkwater.ml.params.learner import TrainingParams


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
    return list(value) if isinstance(value, tuple) else value


class ClassifierParams(TrainingParams):
    """Params of the training of a classifier."""

    classWeight: Setting[str | dict[Any, float] | list[float]] = setting(
        "none",
        "what rows of a class count in the loss, beside their own weights; probabilities are corrected for it. "
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
        "what decides on stopping and on the best epoch: of the validation rows where there are any, else of the "
        "training rows",
        accepts=one_of(*METRICS),
        field="stopping_metric",
    )
    topK: Setting[int] = setting(
        5,
        "a row's label counts as found among so many most probable classes, for topKError: the share of rows where it "
        "isn't",
        accepts=at_least(1),
        field="top_k",
    )

    def train_config(self, labels: LabelColumn) -> TrainConfig:
        """Return the hyperparameters as the ranks take them.

        Raises
        ------
        ConfigurationError
            If they don't fit the labels.
        """
        self.check_stopping_metric(len(labels.classes))
        return replace(self.training_config(), class_weights=self.class_weights(labels))

    def check_stopping_metric(self, classes: int) -> None:
        """Refuse a metric that says nothing about so many classes.

        Raises
        ------
        ConfigurationError
            With the reason.
        """
        reason = unfit_metric(self.getStoppingMetric(), classes, self.getTopK())
        if reason:
            raise ConfigurationError(f"stoppingMetric={self.getStoppingMetric()!r}: {reason}")

    def class_weights(self, labels: LabelColumn) -> tuple[float, ...]:
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


def _by_label(value: dict[Any, float], labels: LabelColumn) -> tuple[float, ...]:
    kind = type(labels.classes[0])
    try:
        weights = {kind(label): float(weight) for label, weight in value.items()}  # JSON's keys are strings
    except ValueError:
        weights = {label: float(weight) for label, weight in value.items()}
    unknown = [label for label in weights if label not in labels.classes]
    if unknown:
        raise ConfigurationError(f"classWeight names the label {unknown[0]!r}, which no row has")
    return tuple(weights.get(label, 1.0) for label in labels.classes)
