"""Learners of pictures, and of tensors that are like them: their features and networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.errors import ConfigurationError
from sparkwater.ml.network_choice import NetworkChoice, choose_network, describe_before_fit
from sparkwater.ml.network_learner import M, NetworkLearner
from sparkwater.ml.params.pictures import PictureParams, PictureTrainingParams

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.gpu.inspection.describe import NetworkDescription


class PictureLearner(PictureTrainingParams, PictureParams, NetworkLearner[M]):
    """Base of the estimators that train on features columns: pictures, tensors, vectors."""

    def choose_network(self, dataset: DataFrame) -> NetworkChoice:
        """Return the network and the features, or refuse them; no job runs."""
        choice = choose_network(dataset, self.getFeaturesCols(), self.getImageShape(), self, self.known_outputs)
        spec = choice.features.spec
        if self.getAugmentation() and len(spec.shape) != 3:
            raise ConfigurationError(f"augmentation is for one column of pictures; the features are {spec}")
        return choice

    def _describe_network(self, outputs: int) -> NetworkDescription:
        return describe_before_fit(self, self.getImageShape(), outputs)
