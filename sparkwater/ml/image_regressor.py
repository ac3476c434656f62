"""``ImageRegressor``: a regressor of pictures, trained inside Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.ml.image_regressor_model import ImageRegressorModel
from sparkwater.ml.params.regressor import RegressorParams
from sparkwater.ml.picture_learner import PictureLearner

if TYPE_CHECKING:
    from sparkwater.gpu.inspection.describe import NetworkDescription


class ImageRegressor(RegressorParams, PictureLearner[ImageRegressorModel]):
    """Train a network to give a number for each picture, on ``numWorkers`` Spark tasks at once.

    Pictures, networks, workers and checkpoints are those of `ImageClassifier`. The network learns in units of the
    labels' standard deviation around their mean, so that learning rates mean the same for labels of any size.
    docs/image_regressor.md has the losses and metrics of each distribution.
    """

    kind = "regression"
    known_outputs = 1
    model_type = ImageRegressorModel

    def describeNetwork(self) -> NetworkDescription:
        """Return the layers of the network for pictures of ``imageShape``, or of its own shape; runs no job.

        Raises
        ------
        ConfigurationError
            If the shape of the pictures isn't known before ``fit``, or the network doesn't take it.
        """
        return self._describe_network(self.known_outputs)
