"""``AutoEncoderModel``: a trained autoencoder, as a Spark ML model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.gpu.tasks import ReconstructionTask
from sparkwater.ml.fitted.network import fitted_features
from sparkwater.ml.network_model import RowModel
from sparkwater.ml.params.autoencoder import ReconstructionColumns
from sparkwater.ml.scoring.reconstruction import add_reconstruction

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class AutoEncoderModel(ReconstructionColumns, RowModel):
    """A trained `AutoEncoder`.

    ``transform`` keeps every row, its order within a partition and all its columns, and adds ``reconstructionError``;
    where they are asked for, ``prediction``, the errors of all entries, and the rows that the network gives back. It
    scores Arrow batches on the executors; a Python worker builds the network once.
    """

    kind = "reconstruction"

    @property
    def threshold(self) -> float | None:
        """The reconstruction error above which a row is an anomaly; None without ``anomalyThreshold`` in the fit."""
        return self._task.threshold

    @property
    def entries(self) -> list[str] | None:
        """Names of the entries of ``errorsCol`` where the rows are those of a table; None for other features."""
        encoder = self.fitted.encoder
        return None if encoder is None else list(encoder.encoder.entries)

    @property
    def _task(self) -> ReconstructionTask:
        task = self.fitted.trained.task
        assert isinstance(task, ReconstructionTask)  # no other task makes such a model
        return task

    def _transform(self, dataset: DataFrame) -> DataFrame:
        features = fitted_features(dataset.schema, self.getFeaturesCols(), self.fitted)
        return add_reconstruction(dataset, features, self.fitted.trained, self)
