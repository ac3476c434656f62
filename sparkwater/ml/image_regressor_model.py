"""``ImageRegressorModel``: a network that reads numbers from pictures, as a Spark ML model."""

from __future__ import annotations

from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.ml.network_model import NetworkModel


class ImageRegressorModel(NetworkModel):
    """A trained `ImageRegressor`.

    ``transform`` keeps every row, its order within a partition and all its columns, and adds ``prediction``, a
    double. It scores Arrow batches on the executors; a Python worker builds the network once.
    """

    kind = "regression"

    labelCol: Setting[str] = setting("label", "label column: numbers")
