"""Files of a fitted network: safetensors for the weights, JSON for everything else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder
from sparkwater.errors import CheckpointError, SparkwaterError
from sparkwater.gpu.networks.identity import NetworkIdentity
from sparkwater.gpu.networks.inference import TrainedNetwork, portable_entry, ready_network
from sparkwater.gpu.networks.inputs import network_shape
from sparkwater.gpu.networks.weight_bytes import digest
from sparkwater.gpu.rows.scaling import scaling_of
from sparkwater.ml.fitted.network import FittedNetwork
from sparkwater.ml.reports.summary import TrainingSummary

WEIGHTS_FILE = "weights.safetensors"
MODEL_FILE = "model.json"
ENCODER_FOLDER = "encoder"


def write_network(folder: NewFolder, fitted: FittedNetwork) -> None:
    """Write a network to the folder of a stage; driver side.

    Raises
    ------
    ConfigurationError
        If it is an instance that can't be built again from what a file may hold.
    """
    folder.write_bytes(MODEL_FILE, _describe(fitted).encode())
    folder.write_bytes(WEIGHTS_FILE, fitted.trained.weights)
    if fitted.encoder is not None:
        folder.write_stage(ENCODER_FOLDER, fitted.encoder)


def read_network(folder: SavedFolder) -> FittedNetwork:
    """Return what `write_network` wrote; nothing in the files is executed.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged.
    UnsafeLoadError
        If they name an import path that nobody allowed.
    ConfigurationError
        If the network is not registered here, or can't be imported.
    """
    weights, described = folder.read_bytes(WEIGHTS_FILE), folder.read_bytes(MODEL_FILE)
    fields = parse_description(described, folder.path)
    folder.check_network(fields["identity"].name)
    fitted = _restore(fields, weights, folder.path)
    return replace(fitted, encoder=folder.read_stage(ENCODER_FOLDER)) if fields["encoded"] else fitted


def _describe(fitted: FittedNetwork) -> str:
    network = portable_entry(fitted.trained)
    return json.dumps(
        {
            **NetworkIdentity.of(network, fitted.spec, fitted.trained.scaling, fitted.trained.task).to_dict(),
            "weightsSha256": fitted.trained.weights_digest,
            **({"encoder": ENCODER_FOLDER} if fitted.encoder is not None else {}),
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
            "digest": fields["weightsSha256"],
            "encoded": "encoder" in fields,
            "summary": TrainingSummary.from_dict(fields["summary"]),
        }
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}/{MODEL_FILE} is damaged: {error!r}") from error


def _restore(fields: dict[str, Any], weights: bytes, path: str) -> FittedNetwork:
    if digest(weights) != fields["digest"]:
        raise CheckpointError(f"{path}/{WEIGHTS_FILE} is damaged: its SHA-256 isn't the one in {MODEL_FILE}")
    identity: NetworkIdentity = fields["identity"]
    entry, spec = identity.entry(), identity.spec
    scaling = scaling_of(identity.scalings, spec)
    trained = TrainedNetwork(
        entry=entry,
        shape=network_shape(spec),
        task=identity.task,
        scaling=scaling,
        weights=weights,
        weights_digest=fields["digest"],
    )
    try:
        ready_network(trained)  # weights of another network fail here, not in the first job
    except SparkwaterError:
        raise
    except Exception as error:  # the user's own code may raise anything
        raise CheckpointError(
            f"{path!r}: the network {entry.name!r} can't be built with {dict(entry.arguments)!r}: {error!r}"
        ) from error
    return FittedNetwork(trained=trained, spec=spec, summary=fields["summary"])
