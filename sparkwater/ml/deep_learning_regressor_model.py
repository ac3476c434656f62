"""``DeepLearningRegressorModel``: a trained regressor of tables, as a Spark ML model."""

from __future__ import annotations

from sparkwater.ml.image_regressor_model import RegressorModel
from sparkwater.ml.tables.params import TableColumns


class DeepLearningRegressorModel(RegressorModel, TableColumns):
    """A trained `DeepLearningRegressor`.

    ``transform`` encodes raw columns as the rows to train on were, keeps every row, its order within a partition and
    all its columns, and adds ``prediction``, a double, and ``quantiles`` where several are predicted. A level that no
    training row had counts as a rare one.
    """
