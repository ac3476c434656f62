"""A fitted network as files: safetensors for the weights, JSON for everything else."""

from __future__ import annotations

import json
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.ml.param import Params
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReader, MLWriter

from sparkwater.conversions.files import read_bytes, replacing, write_bytes
from sparkwater.conversions.spec import TensorSpec
from sparkwater.conversions.stages import restore
from sparkwater.errors import CheckpointError
from sparkwater.gpu.inference import TrainedNetwork, ready_network
from sparkwater.gpu.networks import find_network
from sparkwater.gpu.scaling import Scaling
from sparkwater.gpu.weights import digest
from sparkwater.ml.fitted import FittedNetwork
from sparkwater.ml.summary import TrainingSummary

WEIGHTS_FILE = "weights.safetensors"
MODEL_FILE = "model.json"


class ModelWriter(MLWriter):
    """Writes a model beside its target and swaps it in: a save that fails leaves the old model."""

    def __init__(self, model: Params, fitted: FittedNetwork) -> None:
        super().__init__()
        self._model = model
        self._fitted = fitted

    def save(self, path: str) -> None:
        """Write the model; driver side."""
        spark = self.sparkSession
        with replacing(spark, path, self.shouldOverwrite) as folder:
            DefaultParamsWriter.saveMetadata(self._model, folder, spark)
            write_bytes(spark, f"{folder}/{MODEL_FILE}", _describe(self._fitted).encode())
            write_bytes(spark, f"{folder}/{WEIGHTS_FILE}", self._fitted.trained.weights)


class ModelReader(MLReader[Any]):
    """Reads what `ModelWriter` wrote; nothing in the files is executed."""

    def __init__(self, model: type[Any]) -> None:
        super().__init__()
        self._model = model

    def load(self, path: str) -> Any:
        """Load a model; driver side.

        Raises
        ------
        CheckpointError
            If a file is missing or damaged.
        UnsafeLoadError
            If the folder holds another class.
        ConfigurationError
            If its network is not registered here.
        """
        spark = self.sparkSession
        try:
            metadata = DefaultParamsReader.loadMetadata(path, spark)
        except (AnalysisException, ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"{path!r} holds no saved model: {error}") from error
        model = restore(self._model, metadata, path)
        weights = read_bytes(spark, f"{path}/{WEIGHTS_FILE}", CheckpointError)
        described = read_bytes(spark, f"{path}/{MODEL_FILE}", CheckpointError)
        model.fitted = _restore(described, weights, model.getNetwork(), path)
        return model


def _describe(fitted: FittedNetwork) -> str:
    return json.dumps(
        {
            "spec": json.loads(fitted.spec.to_json()),
            "classes": list(fitted.classes),
            "mean": fitted.trained.scaling.mean,
            "deviation": fitted.trained.scaling.deviation,
            "weightsSha256": fitted.trained.weights_digest,
            "summary": fitted.summary.to_dict(),
        },
        indent=2,
    )


def _restore(description: bytes, weights: bytes, network: str, path: str) -> FittedNetwork:
    try:
        fields: dict[str, Any] = json.loads(description)
        spec = TensorSpec(fields["spec"]["dtype"], fields["spec"]["shape"])
        classes = tuple(fields["classes"])
        scaling = Scaling(tuple(fields["mean"]), tuple(fields["deviation"]))
        expected = fields["weightsSha256"]
        summary = TrainingSummary.from_dict(fields["summary"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}/{MODEL_FILE} is damaged: {error!r}") from error
    if digest(weights) != expected:
        raise CheckpointError(f"{path}/{WEIGHTS_FILE} is damaged: its SHA-256 isn't the one in {MODEL_FILE}")
    trained = TrainedNetwork(find_network(network), spec.shape, len(classes), scaling, weights, expected)
    ready_network(trained)  # weights of another network fail here, not in the first job
    return FittedNetwork(trained, spec, classes, summary)
