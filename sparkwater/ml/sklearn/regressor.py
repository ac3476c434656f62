"""``SklearnRegressor``: a regressor of scikit-learn or its kin as a Spark ML Estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.conversions.stages.spark_params import HasPredictionCol
from sparkwater.ml.columns.numbers import check_number_type
from sparkwater.ml.sklearn.learner import SklearnLearner, SklearnModel
from sparkwater.ml.sklearn.params import RegressorSettings
from sparkwater.ml.sklearn.scoring import add_predictions, number_outputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class SklearnRegressorModel(SklearnModel, HasPredictionCol):
    """A trained `SklearnRegressor`.

    ``transform`` keeps every row, its order within a partition and all its columns, and adds the prediction. A row
    without features fails the job.
    """

    kind = "regression"

    def _transform(self, dataset: DataFrame) -> DataFrame:
        names = tuple(self.getInputCols() or ())
        return add_predictions(
            dataset, self.feature_columns(dataset), names, number_outputs(self), self.trained.content, None
        )


class SklearnRegressor(SklearnLearner[SklearnRegressorModel], RegressorSettings, HasPredictionCol):
    """A regressor of scikit-learn, or of a library that follows it, as a Spark ML Estimator.

    It is trained, stacked, saved and loaded as `SklearnClassifier` is. Labels are finite numbers.
    """

    kind = "regression"
    model_type = SklearnRegressorModel

    def check_label(self, frame: DataFrame) -> None:
        """Refuse a label column that holds no numbers."""
        check_number_type(frame.schema, self.getLabelCol())

    def find_classes(self, frame: DataFrame) -> tuple[()]:
        """Return nothing: numbers have no classes."""
        del frame
        return ()
