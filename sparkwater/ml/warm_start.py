"""Warm starts: from a model, a saved model, or the checkpoints of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import safetensors.torch
import torch

from sparkwater.conversions.files.session_files import files_of
from sparkwater.conversions.stages.consent import Consent
from sparkwater.conversions.tensors.spec import parts_of
from sparkwater.errors import CheckpointError, ConfigurationError, SchemaError
from sparkwater.gpu.networks import AUTO, NetworkEntry, find_network, is_import_path, resolve_network
from sparkwater.gpu.networks.heads import with_head
from sparkwater.gpu.networks.identity import NetworkIdentity
from sparkwater.gpu.networks.inputs import network_shape
from sparkwater.gpu.tasks import ReconstructionTask
from sparkwater.gpu.training.checkpoints import CheckpointFolder
from sparkwater.gpu.training.resume import weights_of
from sparkwater.ml.autoencoder_model import AutoEncoderModel
from sparkwater.ml.columns.features import FeatureColumn, encoded_features, trained_features
from sparkwater.ml.fitted.files import MODEL_FILE
from sparkwater.ml.fitted.network import FittedNetwork

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

    from sparkwater.conversions.tables.stages import TableToTensorModel
    from sparkwater.ml.params.network import NetworkParams


@dataclass(frozen=True)
class WarmStart:
    """A trained network that another training goes on from.

    Attributes
    ----------
    source : str
        Origin of the network, for messages.
    identity : NetworkIdentity
        The network's identity.
    state : dict of str to torch.Tensor
        Its weights and statistics.
    entry : NetworkEntry or None
        Its registry entry; None for the instance of a checkpoint, which only the user has.
    encoder : TableToTensorModel or None
        The encoder of its columns, of a model of a table.
    """

    source: str
    identity: NetworkIdentity
    state: dict[str, torch.Tensor]
    entry: NetworkEntry | None
    encoder: TableToTensorModel | None = None

    def features(self, schema: StructType, names: Sequence[str]) -> FeatureColumn:
        """Return the columns that the network learned: those of its encoder, else features columns like its own.

        Raises
        ------
        SchemaError
            If a column is missing, or can't give such tensors as the network was trained on.
        """
        if self.encoder is not None:
            return encoded_features(schema, self.encoder)
        return trained_features(schema, names, self.identity.spec)


def warm_start_of(spark: SparkSession, params: NetworkParams) -> WarmStart:
    """Return the network that a training goes on from; it reads files where ``warmStart`` is a path.

    An import path given as ``network`` is consent to its import.

    Raises
    ------
    CheckpointError
        If nothing is there, or all of it is damaged.
    ConfigurationError
        If there are several trainings.
    UnsafeLoadError
        If it names an import path that nobody allowed.
    """
    given, network = params.getWarmStart(), params.getNetwork()
    consent = [network] if isinstance(network, str) and is_import_path(network) else []
    if not isinstance(given, str):
        return _of_model(given.fitted, "the model of warmStart")
    if _is_saved_model(spark, given):
        model = params.model_type.read().allowing(*consent).load(given)
        return _of_model(model.fitted, f"warmStart={given!r}")
    return _of_checkpoint(spark, given, consent, params.model_type.__name__)


def autoencoder_of(spark: SparkSession, params: NetworkParams) -> WarmStart | None:
    """Return the autoencoder whose first layers a network begins with, or None where there is none.

    Raises
    ------
    CheckpointError, UnsafeLoadError
        If ``pretrainedAutoencoder`` is a path that leads to no such model.
    ConfigurationError
        If the model is none that gives rows back.
    """
    given = params.getPretrainedAutoencoder()
    if given is None:
        return None
    if isinstance(given, str):
        if not _is_saved_model(spark, given):
            raise CheckpointError(f"pretrainedAutoencoder={given!r} holds no saved AutoEncoderModel")
        start = _of_model(AutoEncoderModel.load(given).fitted, f"pretrainedAutoencoder={given!r}")
    else:
        start = _of_model(given.fitted, "the model of pretrainedAutoencoder")
    if start.identity.task.kind != ReconstructionTask.kind:
        raise ConfigurationError(
            f"{start.source} learned {start.identity.task.kind}; accepted: an AutoEncoderModel. warmStart and weights "
            "take other networks"
        )
    return start


def _of_model(fitted: FittedNetwork, source: str) -> WarmStart:
    trained = fitted.trained
    identity = NetworkIdentity.of(trained.entry, fitted.spec, trained.scaling, trained.task)
    return WarmStart(source, identity, safetensors.torch.load(trained.weights), trained.entry, fitted.encoder)


def _is_saved_model(spark: SparkSession, path: str) -> bool:
    files, folder = files_of(spark), path.rstrip("/")
    try:
        # On a store the model's files are in a folder that its metadata names.
        return files.exists(f"{folder}/{MODEL_FILE}") or (files.is_store(folder) and files.exists(f"{folder}/metadata"))
    except CheckpointError:  # a filesystem that Hadoop knows, and that doesn't answer
        return False


def _of_checkpoint(spark: SparkSession, path: str, consent: list[str], kind: str) -> WarmStart:
    trainings = CheckpointFolder(path).trainings()
    if not trainings:
        raise CheckpointError(
            f"warmStart={path!r} holds neither a saved {kind} nor a finished checkpoint; of a saved "
            "pipeline name the folder of the stage, of a checkpointDir the folder or one of those in it"
        )
    if len(trainings) > 1:
        names = ", ".join(folder.url.rpartition("/")[2] for folder in trainings)
        raise ConfigurationError(f"warmStart={path!r} holds the checkpoints of several trainings; add one of {names}")
    folder = trainings[0]
    checkpoint = folder.latest()
    assert checkpoint is not None  # it has finished ones, and raises where all are damaged
    try:
        identity = NetworkIdentity.from_dict(checkpoint.network)
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{folder.url!r} doesn't say which network it is of: {error!r}") from error
    if identity.instance:
        return WarmStart(f"warmStart={path!r}", identity, weights_of(checkpoint), None)
    Consent(tuple(consent)).check_network(spark, identity.name, path)
    return WarmStart(f"warmStart={path!r}", identity, weights_of(checkpoint), identity.entry())


def warm_network(start: WarmStart, params: NetworkParams) -> NetworkEntry:
    """Return the registry entry of the network to go on from; a ``network`` that is set must be the same.

    Raises
    ------
    ConfigurationError
        If it is another one, or an instance that only the user can give.
    """
    identity, chosen = start.identity, params.getNetwork() if params.isSet(params.network) else None
    arguments = params.getNetworkArguments() if params.isSet(params.networkArguments) else None
    if chosen is not None and not isinstance(chosen, str):
        return with_head(find_network(chosen, arguments), identity.head)
    name = resolve_network(AUTO, network_shape(identity.spec)) if chosen == AUTO else chosen
    for param, value, own in (("network", name, identity.name), ("networkArguments", arguments, identity.arguments)):
        if value is not None and value != own:
            raise ConfigurationError(
                f"{param}={value!r}, but {start.source} has {own!r}; a warm start keeps the network, so leave {param} "
                "unset"
            )
    if start.entry is None:
        raise ConfigurationError(
            f"{start.source} is of a {identity.name!r} instance, which the checkpoint doesn't hold; set network to one"
        )
    return start.entry


def check_image_shape(start: WarmStart, image_shape: Sequence[int] | None) -> None:
    """Refuse another shape of pictures than the network was trained on.

    Raises
    ------
    ConfigurationError
        With both shapes.
    """
    if image_shape is not None:
        height, width, channels = image_shape
        if (channels, height, width) not in [part.shape for part in parts_of(start.identity.spec)]:
            raise ConfigurationError(
                f"imageShape={list(image_shape)!r}, but {start.source} was trained on {start.identity.spec} (channels, "
                "height, width); a warm start keeps the shape: leave imageShape unset"
            )


def check_features(start: WarmStart, features: FeatureColumn) -> None:
    """Refuse features that aren't those a network was trained on.

    Raises
    ------
    SchemaError
        With both specs, or the encoders.
    """
    if features.spec != start.identity.spec:
        raise SchemaError(f"the features are {features.spec}; {start.source} was trained on {start.identity.spec}")
    if features.encoder is not start.encoder:
        learned = "a features column" if start.encoder is None else "columns of a table"
        raise SchemaError(f"{start.source} was trained on {learned}; accepted: the same features")
