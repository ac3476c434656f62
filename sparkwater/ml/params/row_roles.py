"""Params of the rows' weights and offsets, and of the rows to validate on."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame

from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.conversions.stages.spark_params import HasValidationIndicatorCol, HasWeightCol
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.tasks import Task
from sparkwater.ml.columns.roles import RowColumns


def _to_frame(value: Any) -> DataFrame:
    if isinstance(value, DataFrame):
        return value
    raise TypeError(f"validationDataFrame={value!r}; accepted: a pyspark.sql.DataFrame")


class HasOffsetCol(Settings):
    """Mixin for ``offsetCol``: offsets of the rows, in training and in scoring."""

    offsetCol: Setting[str | None] = setting(
        None,
        "offsets of the rows: numbers that are added to the network's prediction on the scale of the link, in training "
        "and in scoring. For distribution poisson they are logarithms, such as that of an exposure; for two classes "
        "log-odds; else numbers in units of the label",
    )

    def check_offsets(self, task: Task) -> None:
        """Refuse offsets where the task has no place for them.

        Raises
        ------
        ConfigurationError
            With the reason.
        """
        reason = None if self.getOffsetCol() is None else task.unfit_offsets()
        if reason:
            raise ConfigurationError(f"offsetCol={self.getOffsetCol()!r}: {reason}; clear offsetCol")


class RowParams(HasWeightCol, HasValidationIndicatorCol, HasOffsetCol):
    """Params of weights, offsets and validation."""

    weightCol: Setting[str | None] = setting(  # type: ignore[assignment]
        None, "weights of the rows, from 0 up, in loss and metrics. A row of weight 0 is as good as absent"
    )
    validationIndicatorCol: Setting[str | None] = setting(
        None,
        "column of booleans: true for rows to validate on. They are scored after each epoch, as they are, and have no "
        "part in weights or scaling",
    )
    validationDataFrame: Setting[DataFrame | None] = setting(
        None,
        "rows to validate on, as a pyspark.sql.DataFrame with the features, label, weight and offset columns of the "
        "rows to train on; in place of validationIndicatorCol. It isn't saved with the estimator",
        convert=_to_frame,
    )

    def row_columns(self) -> RowColumns:
        """Return how the rows of the DataFrame that is fitted take part."""
        held_out = self.getValidationIndicatorCol()
        return RowColumns(
            weight=self.getWeightCol(),
            held_out=held_out if self.getValidationDataFrame() is None else False,
            offset=self.getOffsetCol(),
        )

    def check_row_params(self) -> None:
        """Refuse rows to validate on from two places.

        Raises
        ------
        ConfigurationError
            With both Params.
        """
        if self.getValidationDataFrame() is not None and self.isDefined(self.validationIndicatorCol):
            raise ConfigurationError(
                f"validationIndicatorCol={self.getValidationIndicatorCol()!r} and validationDataFrame are both set; "
                "rows to validate on come from one of them, so clear the other"
            )
