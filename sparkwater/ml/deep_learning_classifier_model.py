"""``DeepLearningClassifierModel``: a trained classifier of tables, as a Spark ML model."""

from __future__ import annotations

from sparkwater.ml.image_classifier_model import ClassifierModel
from sparkwater.ml.tables.params import TableColumns


class DeepLearningClassifierModel(ClassifierModel, TableColumns):
    """A trained `DeepLearningClassifier`.

    ``transform`` encodes raw columns as the rows to train on were, keeps every row, its order within a partition and
    all its columns, and adds the prediction columns. A level that no training row had counts as a rare one.
    """
