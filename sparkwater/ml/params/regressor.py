"""Params of regression: the distribution that the loss assumes, and the metric that decides on stopping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkwater.conversions.stages.accepts import Accepts, above, one_of
from sparkwater.conversions.stages.settings import Setting, fields_of, setting
from sparkwater.gpu.tasks import RegressionTask, Task
from sparkwater.gpu.tasks.regression import DISTRIBUTIONS
from sparkwater.ml.columns.labels import LabelColumn, NumberColumn, check_number_type, find_numbers
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.params.learner import TrainingParams

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


class RegressorParams(TrainingParams):
    """Params of the training of a regressor."""

    labelCol: Setting[str] = setting("label", "label column: numbers")
    distribution: Setting[str] = setting(
        "gaussian",
        "distribution of the labels around the prediction, which decides on the loss. gaussian: half the squared "
        "error; laplace: the absolute error; huber: squared up to huberDelta, linear beyond it; poisson: half the "
        "deviance of counts, with a logarithmic link; quantile: the pinball loss of quantileAlpha",
        accepts=one_of(*DISTRIBUTIONS),
        field="distribution",
    )
    quantileAlpha: Setting[float] = setting(
        0.5,
        "quantile to predict with distribution quantile, as H2O's quantile_alpha",
        accepts=Accepts(lambda value: 0 < value < 1, "numbers above 0 and below 1"),
        field="quantile",
    )
    huberDelta: Setting[float] = setting(
        1.0,
        "error, in standard deviations of the label, from which on distribution huber counts linearly",
        accepts=above(0),
        field="delta",
    )
    stoppingMetric: Setting[str] = setting(
        "meanDeviance",
        "metric that decides on stopping and on the best epoch: of the validation rows where there are any, else of "
        "the training rows. meanDeviance is that of the distribution",
        accepts=one_of(*RegressionTask.METRICS),
        field="stopping_metric",
    )

    def check_labels(self, schema: StructType) -> None:
        """Refuse labels that are no numbers.

        Raises
        ------
        SchemaError
            With the type that the column has.
        """
        check_number_type(schema, self.getLabelCol())

    def task_type(self, schema: StructType) -> type[Task]:
        """Return the type of the task."""
        del schema
        return RegressionTask

    def find_labels(self, parts: Sequence[tuple[DataFrame, RowColumns]]) -> NumberColumn:
        """Return the mean and deviation of the labels; a Spark job."""
        return find_numbers(parts, self.getLabelCol(), self.getDistribution())

    def make_task(self, labels: LabelColumn) -> Task:
        """Return the task of the labels."""
        assert isinstance(labels, NumberColumn)  # as find_labels gives them
        return RegressionTask(**fields_of(self, RegressionTask), center=labels.center, scale=labels.scale)
