"""A fitted network as files: safetensors for the weights, JSON for everything else."""

from __future__ import annotations

import json
from typing import Any

from pyspark.ml.param import Params
from pyspark.ml.util import DefaultParamsWriter, MLReader, MLWriter

from sparkwater.conversions.files.hadoop import read_bytes, replacing, write_bytes
from sparkwater.conversions.stages.loading import load_params
from sparkwater.errors import CheckpointError, SparkwaterError
from sparkwater.gpu.networks.identity import NetworkIdentity
from sparkwater.gpu.networks.inference import TrainedNetwork, portable_entry, ready_network
from sparkwater.gpu.networks.inputs import network_shape
from sparkwater.gpu.networks.weight_bytes import digest
from sparkwater.gpu.rows.scaling import scaling_of
from sparkwater.ml.fitted.consent import AllowsNetworks
from sparkwater.ml.fitted.network import FittedNetwork
from sparkwater.ml.reports.summary import TrainingSummary

WEIGHTS_FILE = "weights.safetensors"
MODEL_FILE = "model.json"


class ModelWriter(MLWriter):
    """Writes a model beside its target and swaps it in: a save that fails leaves the old model."""

    def __init__(self, model: Params, fitted: FittedNetwork) -> None:
        super().__init__()
        self._model = model
        self._fitted = fitted

    def save(self, path: str) -> None:
        """Write the model; driver side.

        Raises
        ------
        ConfigurationError
            If its network is an instance that can't be built again from what a file may hold.
        """
        spark = self.sparkSession
        described = _describe(self._fitted).encode()
        # The description says which network it is; the Param may hold an instance.
        params = {param.name: value for param, value in self._model._paramMap.items() if param.name != "network"}
        with replacing(spark, path, self.shouldOverwrite) as folder:
            DefaultParamsWriter.saveMetadata(self._model, folder, spark, paramMap=params)
            write_bytes(spark, f"{folder}/{MODEL_FILE}", described)
            write_bytes(spark, f"{folder}/{WEIGHTS_FILE}", self._fitted.trained.weights)


class ModelReader(AllowsNetworks, MLReader[Any]):
    """Reads what `ModelWriter` wrote; nothing in the files is executed.

    A network of the user's own is imported by its path, which needs consent: `allowing`.
    """

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
            If the folder holds another class, or names an import path that nobody allowed.
        ConfigurationError
            If its network is not registered here, or can't be imported.
        """
        spark = self.sparkSession
        model, _ = load_params(spark, self._model, path, "model")
        weights = read_bytes(spark, f"{path}/{WEIGHTS_FILE}", CheckpointError)
        described = read_bytes(spark, f"{path}/{MODEL_FILE}", CheckpointError)
        fields = parse_description(described, path)
        self.check_allowed(spark, fields["identity"].name, path)
        model.fitted = _restore(fields, weights, path)
        if model.hasParam("network"):
            model._set(network=model.fitted.trained.entry.name)
        return model


def _describe(fitted: FittedNetwork) -> str:
    network = portable_entry(fitted.trained)
    return json.dumps(
        {
            **NetworkIdentity.of(network, fitted.spec, fitted.trained.scaling, fitted.classes).to_dict(),
            "classWeights": fitted.trained.class_weights,
            "weightsSha256": fitted.trained.weights_digest,
            "summary": fitted.summary.to_dict(),
        },
        indent=2,
    )


def parse_description(description: bytes, path: str) -> dict[str, Any]:
    """Return what the JSON file of a model says, or refuse a damaged one.

    Raises
    ------
    CheckpointError
        With the file's path.
    """
    try:
        fields: dict[str, Any] = json.loads(description)
        return {
            "identity": NetworkIdentity.from_dict(fields),
            "class_weights": tuple(float(weight) for weight in fields["classWeights"]),
            "digest": fields["weightsSha256"],
            "summary": TrainingSummary.from_dict(fields["summary"]),
        }
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}/{MODEL_FILE} is damaged: {error!r}") from error


def _restore(fields: dict[str, Any], weights: bytes, path: str) -> FittedNetwork:
    if digest(weights) != fields["digest"]:
        raise CheckpointError(f"{path}/{WEIGHTS_FILE} is damaged: its SHA-256 isn't the one in {MODEL_FILE}")
    identity: NetworkIdentity = fields["identity"]
    entry, spec, classes = identity.entry(), identity.spec, identity.classes
    scaling = scaling_of(identity.scalings, spec)
    trained = TrainedNetwork(
        entry, network_shape(spec), len(classes), scaling, weights, fields["digest"], fields["class_weights"]
    )
    try:
        ready_network(trained)  # weights of another network fail here, not in the first job
    except SparkwaterError:
        raise
    except Exception as error:  # the user's own code may raise anything
        raise CheckpointError(
            f"{path!r}: the network {entry.name!r} can't be built with {dict(entry.arguments)!r}: {error!r}"
        ) from error
    return FittedNetwork(trained, spec, classes, fields["summary"])
