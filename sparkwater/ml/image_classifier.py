"""``ImageClassifier``: a picture classifier, trained inside Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.ml.image_classifier_model import ImageClassifierModel
from sparkwater.ml.params.classifier import ClassifierColumns, ClassifierParams
from sparkwater.ml.picture_learner import PictureLearner

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

    from sparkwater.gpu.inspection.describe import NetworkDescription


class ImageClassifier(ClassifierColumns, ClassifierParams, PictureLearner[ImageClassifierModel]):
    """Train a network to classify pictures, on ``numWorkers`` Spark tasks at once.

    ``fit`` runs two Spark jobs: one counts the labels, the other decodes the pictures where that is
    needed, spreads the rows over the workers by a hash of their content, and trains in a barrier
    stage. Every row is trained once an epoch. The same rows, seed and number of workers give the
    same weights on CPUs, bit for bit, however the DataFrame is ordered or partitioned.

    Inputs are scaled to mean 0 and deviation 1 by channel, the first dimension; the model keeps both.
    Whole numbers other than uint8 in tensors of one or two dimensions are ids, such as tokens: the network
    gets them unscaled, as int64.
    """

    kind = "classification"
    model_type = ImageClassifierModel

    def check_labels(self, schema: StructType) -> None:
        """Refuse labels that aren't classes, and two output columns of one name; see `ClassifierParams`."""
        self.check_output_columns()
        super().check_labels(schema)

    def describeNetwork(self, numClasses: int = 10) -> NetworkDescription:
        """Return the layers of the network for pictures of ``imageShape``, or of its own shape; runs no job.

        Parameters
        ----------
        numClasses : int
            Number of classes.

        Raises
        ------
        ConfigurationError
            If the shape of the pictures isn't known before ``fit``, or the network doesn't take it.
        """
        return self._describe_network(numClasses)
