"""``ImageRegressorModel``: a trained regressor of pictures, as a Spark ML model."""

from __future__ import annotations

from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.gpu.tasks import RegressionTask
from sparkwater.ml.network_model import NetworkModel
from sparkwater.ml.params.pictures import PictureParams
from sparkwater.ml.scoring.prediction import PredictionColumns, number_columns


class RegressorModel(NetworkModel):
    """Base of the models of regressors."""

    kind = "regression"

    labelCol: Setting[str] = setting("label", "label column: numbers")

    def prediction_columns(self) -> PredictionColumns:
        """Return the column of predicted numbers."""
        task = self.fitted.trained.task
        assert isinstance(task, RegressionTask)  # no other task makes such a model
        return number_columns(task, self)


class ImageRegressorModel(RegressorModel, PictureParams):
    """A trained `ImageRegressor`.

    ``transform`` keeps every row, its order within a partition and all its columns, and adds ``prediction``, a
    double. It scores Arrow batches on the executors; a Python worker builds the network once.
    """
