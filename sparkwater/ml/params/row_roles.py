"""Params of the rows' weights and offsets, and of the rows to validate on."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame

from sparkwater.conversions.stages.accepts import between
from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.conversions.stages.spark_params import HasValidationIndicatorCol, HasWeightCol
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.tasks import Task
from sparkwater.ml.columns.roles import RowColumns, Share


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

    def check_offset_kind(self, task: type[Task]) -> None:
        """Refuse offsets where no task of a kind has a place for them.

        Raises
        ------
        ConfigurationError
            With the kind.
        """
        if self.getOffsetCol() is not None and not task.TAKES_OFFSETS:
            raise ConfigurationError(
                f"offsetCol={self.getOffsetCol()!r}: {task.kind} takes no offsets; clear offsetCol"
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
    validationIndicatorCol: Setting[str | None] = setting(  # type: ignore[assignment]
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
    validationFraction: Setting[float] = setting(
        0.0,
        "share of the rows to validate on, chosen by a hash of features columns, label and seed: the same on any "
        "partitioning, and equal rows together; in place of validationIndicatorCol and validationDataFrame. 0 for none",
        accepts=between(0, 1),
        field="validation_fraction",
    )

    def row_columns(self) -> RowColumns:
        """Return how the rows of the DataFrame that is fitted take part."""
        held_out: str | Share | bool | None = self.getValidationIndicatorCol()
        if self.getValidationDataFrame() is not None:
            held_out = False
        elif self.getValidationFraction():
            held_out = Share(self.content_columns(), self.getValidationFraction(), self.getSeed())
        return RowColumns(weight=self.getWeightCol(), held_out=held_out, offset=self.getOffsetCol())

    def check_row_params(self) -> None:
        """Refuse rows to validate on from two places.

        Raises
        ------
        ConfigurationError
            With both Params.
        """
        given = {
            f"validationIndicatorCol={self.getValidationIndicatorCol()!r}": self.isDefined(self.validationIndicatorCol),
            "validationDataFrame": self.getValidationDataFrame() is not None,
            f"validationFraction={self.getValidationFraction()}": self.getValidationFraction() > 0,
        }
        names = [name for name, is_set in given.items() if is_set]
        if len(names) > 1:
            raise ConfigurationError(
                f"{names[0]} and {names[1]} are both set; rows to validate on come from one of them, so clear the other"
            )
