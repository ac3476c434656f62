"""``DeepLearningClassifier``: a classifier of tables, trained inside Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkwater.ml.deep_learning_classifier_model import DeepLearningClassifierModel
from sparkwater.ml.params.classifier import ClassifierColumns, ClassifierParams
from sparkwater.ml.table_learner import TableLearner

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


class DeepLearningClassifier(ClassifierColumns, ClassifierParams, TableLearner[DeepLearningClassifierModel]):
    """Train a network to classify the rows of a table, on ``numWorkers`` Spark tasks at once.

    It learns from raw columns: ``fit`` counts the labels, fits a `sparkwater.conversions.TableToTensor` on the rows to
    train on, and trains in a barrier stage as `ImageClassifier` does. The encoder is a part of the model, which scores
    raw rows. The ``recipe`` decides on all that isn't set. The same rows, seed and number of workers give the same
    weights on CPUs, bit for bit, however the DataFrame is ordered or partitioned.
    """

    kind = "classification"
    model_type = DeepLearningClassifierModel

    def check_labels(self, schema: StructType) -> None:
        """Refuse labels that aren't classes, and two output columns of one name; see `ClassifierParams`."""
        self.check_output_columns()
        super().check_labels(schema)

    def _choices(self) -> dict[str, Any]:
        choices = super()._choices()
        if self.getOrdinal() is not False:
            choices.pop("labelSmoothing", None)  # the task of classes in an order takes none
        return choices
