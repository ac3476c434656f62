"""Params of row weights, class weights and validation rows."""

from __future__ import annotations

import math
from typing import Any

from pyspark.ml.param import Param
from pyspark.ml.param.shared import HasValidationIndicatorCol, HasWeightCol
from pyspark.sql import DataFrame

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.tasks.class_weights import balanced_weights
from sparkwater.ml.columns.labels import LabelColumn
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.params.declaring import declare

_ACCEPTED = "none, balanced, a dict of labels and weights above 0, or a list of a weight for each class"


def _to_frame(value: Any) -> DataFrame:
    if isinstance(value, DataFrame):
        return value
    raise TypeError(f"validationDataFrame={value!r}; accepted: a pyspark.sql.DataFrame")


def _to_class_weight(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


class RowParams(HasWeightCol, HasValidationIndicatorCol):
    """Params of row weights, class weights and validation rows."""

    classWeight: Param[Any] = declare(
        "classWeight",
        f"what rows of a class count in the loss: {_ACCEPTED}; probabilities are corrected for it",
        _to_class_weight,
    )

    validationDataFrame: Param[DataFrame] = declare(
        "validationDataFrame",
        "rows to validate on, as a pyspark.sql.DataFrame with the columns of the rows to train on; in place of "
        "validationIndicatorCol",
        _to_frame,
    )

    def getValidationDataFrame(self) -> DataFrame | None:
        """Return the value of ``validationDataFrame``, or None where it isn't set."""
        return self.getOrDefault(self.validationDataFrame) if self.isDefined(self.validationDataFrame) else None

    def getClassWeight(self) -> Any:
        """Return the value of ``classWeight``."""
        return self.getOrDefault(self.classWeight)

    def row_columns(self) -> RowColumns:
        """Return the columns of weights and roles of the fitted DataFrame."""
        params = (self.weightCol, self.validationIndicatorCol)
        weight, held_out = (self.getOrDefault(param) if self.isDefined(param) else None for param in params)
        return RowColumns(weight, held_out if self.getValidationDataFrame() is None else False)

    def check_row_params(self) -> None:
        """Refuse an invalid ``classWeight``, and rows to validate on from two places.

        Raises
        ------
        ConfigurationError
            With what is accepted.
        """
        if self.getValidationDataFrame() is not None and self.isDefined(self.validationIndicatorCol):
            raise ConfigurationError(
                f"validationIndicatorCol={self.getValidationIndicatorCol()!r} and validationDataFrame are both set; "
                "rows to validate on come from one of them, so clear the other"
            )
        value = self.getClassWeight()
        weights = value.values() if isinstance(value, dict) else value
        fine = (
            value in ("none", "balanced")
            if isinstance(value, str)
            else isinstance(value, (dict, list)) and len(value) > 0 and all(_is_weight(weight) for weight in weights)
        )
        if not fine:
            raise ConfigurationError(f"classWeight={value!r}; accepted: {_ACCEPTED}")

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


def _is_weight(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
