"""Params of regression: the distribution that the loss assumes, the metric that decides on stopping, and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.stages.accepts import Accepts, above, one_of
from sparkwater.conversions.stages.settings import Setting, fields_of, setting
from sparkwater.conversions.stages.spark_params import HasPredictionCol
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.tasks import QuantilesTask, RegressionTask, Task
from sparkwater.gpu.tasks.quantiles import check_quantiles
from sparkwater.gpu.tasks.regression import DISTRIBUTIONS
from sparkwater.ml.columns.labels import LabelColumn
from sparkwater.ml.columns.numbers import NumberColumn, check_number_type, find_numbers
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.params.learner import TrainingParams
from sparkwater.ml.params.output_columns import check_output_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


def _are_quantiles(value: Any) -> bool:
    try:
        check_quantiles(tuple(value))
    except ValueError:
        return False
    return True


class RegressorColumns(HasPredictionCol):
    """Params of the columns that a regressor adds, which an estimator and its model share."""

    quantilesCol: Setting[str] = setting(
        "quantiles", "vector column to add for the quantiles of each row, ascending, where several are predicted"
    )

    def check_output_columns(self) -> None:
        """Refuse two columns of the same name; an empty one leaves a column out.

        Raises
        ------
        ConfigurationError
            With both Params.
        """
        check_output_columns(self, ("predictionCol", "quantilesCol"))


class RegressorParams(TrainingParams):
    """Params of the training of a regressor."""

    labelCol: Setting[str] = setting("label", "label column: numbers")
    distribution: Setting[str] = setting(
        "gaussian",
        "distribution of the labels around the prediction, which decides on the loss. gaussian: half the squared "
        "error; laplace: the absolute error; huber: squared up to huberDelta, linear beyond it; poisson: half the "
        "deviance of counts, with a logarithmic link; gamma: that of sizes above 0; tweedie: that of sizes of which "
        "some are 0, with tweediePower; quantile: the pinball loss of quantileAlpha, or of quantiles",
        accepts=one_of(*DISTRIBUTIONS),
        field="distribution",
    )
    quantileAlpha: Setting[float] = setting(
        0.5,
        "quantile to predict with distribution quantile, as H2O's quantile_alpha",
        accepts=Accepts(lambda value: 0 < value < 1, "numbers above 0 and below 1"),
        field="quantile",
        only_with={"distribution": ("quantile",)},
    )
    quantiles: Setting[list[float] | None] = setting(
        None,
        "several quantiles to predict at once with distribution quantile, in place of quantileAlpha. They never cross; "
        "prediction is the one nearest to the median, and quantilesCol has all of them",
        accepts=Accepts(_are_quantiles, "two or more numbers above 0 and below 1, ascending; quantileAlpha is for one"),
    )
    tweediePower: Setting[float] = setting(
        1.5,
        "of distribution tweedie: the variance grows with this power of the mean, as H2O's tweedie_power",
        accepts=Accepts(lambda value: 1 < value < 2, "numbers above 1 and below 2"),
        field="power",
        only_with={"distribution": ("tweedie",)},
    )
    huberDelta: Setting[float] = setting(
        1.0,
        "error, in standard deviations of the label, from which on distribution huber counts linearly",
        accepts=above(0),
        field="delta",
        only_with={"distribution": ("huber",)},
    )
    huberAlpha: Setting[float | None] = setting(
        None,
        "of distribution huber, as H2O's huber_alpha: share of the training rows whose errors count as squares. That "
        "quantile of the absolute errors at the beginning of each epoch is then the error from which on they count "
        "linearly; meanDeviance keeps huberDelta",
        accepts=Accepts(lambda value: 0 < value < 1, "numbers above 0 and below 1"),
        field="alpha",
        only_with={"distribution": ("huber",)},
    )
    stoppingMetric: Setting[str] = setting(
        "meanDeviance",
        "metric that decides on stopping and on the best epoch: of the validation rows where there are any, else of "
        "the training rows. meanDeviance is that of the distribution",
        accepts=one_of(*RegressionTask.METRICS),
        field="stopping_metric",
    )

    @property
    def known_outputs(self) -> int:
        """Outputs of the network: one, or as many as there are quantiles."""
        return len(self.getQuantiles() or [0])

    def check_labels(self, schema: StructType) -> None:
        """Refuse labels that are no numbers, and quantiles of another distribution.

        Raises
        ------
        SchemaError
            With the type that the column has.
        ConfigurationError
            With the distribution.
        """
        if self.getQuantiles() and self.getDistribution() != "quantile":
            raise ConfigurationError(
                f"quantiles={self.getQuantiles()!r} are for distribution='quantile'; it is {self.getDistribution()!r}"
            )
        check_number_type(schema, self.getLabelCol())

    def task_type(self, schema: StructType) -> type[Task]:
        """Return the type of the task."""
        del schema
        return QuantilesTask if self.getQuantiles() else RegressionTask

    def find_labels(self, parts: Sequence[tuple[DataFrame, RowColumns]]) -> NumberColumn:
        """Return the mean and deviation of the labels; a Spark job."""
        found = find_numbers(parts, self.getLabelCol(), self.getDistribution())
        return replace(found, quantiles=tuple(self.getQuantiles() or ()))

    def make_task(self, labels: LabelColumn) -> Task:
        """Return the task of the labels."""
        assert isinstance(labels, NumberColumn)  # as find_labels gives them
        if labels.quantiles:
            return QuantilesTask(labels.quantiles, center=labels.center, scale=labels.scale)
        return RegressionTask(**fields_of(self, RegressionTask), center=labels.center, scale=labels.scale)
