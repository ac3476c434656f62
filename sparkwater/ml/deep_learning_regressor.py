"""``DeepLearningRegressor``: a regressor of tables, trained inside Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.gpu.tasks import RegressionTask
from sparkwater.ml.deep_learning_regressor_model import DeepLearningRegressorModel
from sparkwater.ml.params.regressor import RegressorColumns, RegressorParams
from sparkwater.ml.table_learner import TableLearner
from sparkwater.ml.tables.encoding import usable_labels

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import StructType


class DeepLearningRegressor(RegressorColumns, RegressorParams, TableLearner[DeepLearningRegressorModel]):
    """Train a network to give a number for each row of a table, on ``numWorkers`` Spark tasks at once.

    Columns, recipes and encoder are those of `DeepLearningClassifier`; losses, metrics and units of the labels those
    of `ImageRegressor`.
    """

    kind = "regression"
    model_type = DeepLearningRegressorModel

    def check_labels(self, schema: StructType) -> None:
        """Refuse labels that are no numbers, and two output columns of one name; see `RegressorParams`."""
        self.check_output_columns()
        super().check_labels(schema)

    def usable_labels(self, schema: StructType) -> Column:
        """Return whether a row has a label that the distribution admits."""
        return usable_labels(schema, self.getLabelCol(), RegressionTask(self.getDistribution()).least)
