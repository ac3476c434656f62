"""Columns of an autoencoder: errors of reconstruction, anomalies, and the rows that come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.networks.inference import TrainedNetwork
from sparkwater.gpu.networks.reconstruction import reconstruct
from sparkwater.gpu.tasks import ReconstructionTask
from sparkwater.ml.columns.features import FeatureColumn
from sparkwater.ml.scoring.outputs import Output, Values, add_outputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

#: Name of the part that follows from the error and the threshold.
_ANOMALY = "anomaly"


def add_reconstruction(frame: DataFrame, features: FeatureColumn, trained: TrainedNetwork, params: Any) -> DataFrame:
    """Return the DataFrame with the columns of an autoencoder; those whose Param is unset or empty are left out.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows, with the features column.
    features : FeatureColumn
        The features column.
    trained : TrainedNetwork
        The network to score with; it learned a `ReconstructionTask`.
    params : ReconstructionColumns and ScoringParams
        Names of the columns, and the treatment of rows that can't be used.

    Raises
    ------
    SchemaError
        If such a column is there already.
    ConfigurationError
        If two of them have one name.
    """
    task = trained.task
    assert isinstance(task, ReconstructionTask)  # no other task gives rows back
    outputs = {part: output for part, output in _outputs(task, trained, params).items() if output.name}
    threshold, parts = task.threshold, [part for part in outputs if part != _ANOMALY]

    def score(tensors: Values) -> list[Values]:
        found = reconstruct(trained, tensors, ["error", *(part for part in parts if part != "error")])
        if threshold is not None:
            found[_ANOMALY] = np.greater(found["error"], threshold).astype(np.float64)
        return [found[part] for part in outputs]

    return add_outputs(frame, features, list(outputs.values()), score, params)


def _outputs(task: ReconstructionTask, trained: TrainedNetwork, params: Any) -> dict[str, Output]:
    """Return all columns, by the parts of a reconstruction that they hold."""
    number, vector = TensorSpec("float64", ()), TensorSpec("float32", (task.size,))
    flagged = params.getPredictionCol() if task.threshold is not None else ""
    return {
        "error": Output(params.getReconstructionErrorCol(), "number", number),
        "errors": Output(params.getErrorsCol() or "", "vector", vector),
        "rows": Output(params.getReconstructionCol() or "", "tensor", TensorSpec("float32", trained.shape)),
        _ANOMALY: Output(flagged, "number", number),
    }
