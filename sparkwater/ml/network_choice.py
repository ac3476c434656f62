"""Choice of a fit's network, features and initial weights, from the Params and the schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from sparkwater.conversions.files.session_files import read_bytes
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import CheckpointError, ConfigurationError
from sparkwater.gpu.inspection.describe import describe_entry
from sparkwater.gpu.networks import AUTO, NetworkEntry, check_network, find_network, resolve_network
from sparkwater.gpu.networks.inputs import network_shape, zero_inputs
from sparkwater.gpu.networks.pretrained import Beginning, plan_beginning
from sparkwater.gpu.networks.state_files import fit_body, read_state
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.ml.columns.features import FeatureColumn, resolve_features, trained_features
from sparkwater.ml.columns.labels import LabelColumn
from sparkwater.ml.params.network import NetworkParams
from sparkwater.ml.params.pictures import PictureTrainingParams
from sparkwater.ml.warm_start import (
    WarmStart,
    autoencoder_of,
    check_features,
    check_image_shape,
    warm_network,
    warm_start_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

    from sparkwater.gpu.inspection.describe import NetworkDescription


@dataclass(frozen=True)
class NetworkChoice:
    """The network of a fit, with its features and initial weights.

    Attributes
    ----------
    features : FeatureColumn
        The features columns.
    network : NetworkEntry
        The network to train.
    beginning : Beginning
        The initial weights.
    scalings : tuple of Scaling or None
        The given scaling of each input, None to measure it; empty where none was given.
    warm_start : WarmStart or None
        The trained network to go on from.
    """

    features: FeatureColumn
    network: NetworkEntry
    beginning: Beginning
    scalings: tuple[Scaling | None, ...]
    warm_start: WarmStart | None = None

    def labels(self, found: LabelColumn) -> LabelColumn:
        """Return the labels as the network takes them.

        Raises
        ------
        ConfigurationError
            If the network of the warm start learned another task.
        """
        if self.warm_start is None:
            return found
        return found.kept(self.warm_start.identity.task, self.warm_start.source)


def choose_network(
    frame: DataFrame,
    columns: Sequence[str],
    image_shape: Sequence[int] | None,
    params: PictureTrainingParams,
    outputs: int | None = None,
) -> NetworkChoice:
    """Return the network of a fit; it reads the schema and, where there are some, the files of weights.

    Raises
    ------
    CheckpointError
        If the weights can't be read, or belong to another network.
    ConfigurationError
        If there is no such network, or it doesn't take the features.
    SchemaError
        If the columns hold no features.
    """
    spark = frame.sparkSession
    if params.getWarmStart() is not None:
        start = warm_start_of(spark, params)
        check_image_shape(start, image_shape)
        return go_on(start, trained_features(frame.schema, columns, start.identity.spec), params, outputs)
    network = find_network(params.getNetwork(), params.getNetworkArguments())
    features = resolve_features(frame.schema, columns, image_shape, network.image_shape)
    return begin(spark, network, features, params, params.given_scalings(features.spec), outputs)


def begin(
    spark: SparkSession,
    network: NetworkEntry,
    features: FeatureColumn,
    params: NetworkParams,
    scalings: tuple[Scaling | None, ...] = (),
    outputs: int | None = None,
    pretrained: WarmStart | None = None,
) -> NetworkChoice:
    """Return the choice of a network that begins anew; it reads the file of weights where there is one.

    Raises
    ------
    CheckpointError
        If the weights can't be read, or belong to another network.
    ConfigurationError
        If the network doesn't take the features.
    """
    spec = features.spec
    shape, inputs = network_shape(spec), zero_inputs(spec)
    if network.name == AUTO:
        network = find_network(resolve_network(AUTO, shape), network.arguments)
    pretrained = pretrained or autoencoder_of(spark, params)
    if pretrained is not None:
        check_features(pretrained, features)
        scalings = pretrained.identity.scalings
    network, beginning = _first_weights(spark, network, spec, params, outputs, pretrained)
    check_network(network, shape, outputs, inputs)
    return NetworkChoice(features, network, beginning, scalings)


def _first_weights(
    spark: SparkSession,
    network: NetworkEntry,
    spec: TensorSpec,
    params: NetworkParams,
    outputs: int | None,
    pretrained: WarmStart | None,
) -> tuple[NetworkEntry, Beginning]:
    """Return the network, with a head for the outputs where it gets one, and its initial weights."""
    shape, inputs = network_shape(spec), zero_inputs(spec)
    rule, source, freeze = params.getInitialization(), params.getWeights(), params.getFreeze()
    if pretrained is not None:
        state, origin = pretrained.state, pretrained.source
        return plan_beginning(network, shape, inputs, state, origin, freeze, rule, outputs, fit_body)
    if not source and freeze == "none" and params.getHeadLearningRateMultiplier() == 1:
        return network, Beginning(rule)
    given = read_state(read_bytes(spark, source, CheckpointError), source) if source else None
    return plan_beginning(network, shape, inputs, given, f"weights={source!r}", freeze, rule, outputs)


def go_on(
    start: WarmStart, features: FeatureColumn, params: NetworkParams, outputs: int | None = None
) -> NetworkChoice:
    """Return the choice of a network that goes on from a trained one.

    Raises
    ------
    ConfigurationError
        If the Params ask for another network.
    """
    spec = start.identity.spec
    shape, inputs = network_shape(spec), zero_inputs(spec)
    network, source = warm_network(start, params), f"the weights of {start.source}"
    network, beginning = plan_beginning(
        network, shape, inputs, start.state, source, params.getFreeze(), "paper", outputs
    )
    check_network(network, shape, outputs, inputs)
    return NetworkChoice(features, network, beginning, start.identity.scalings, start)


def describe_before_fit(params: NetworkParams, image_shape: Sequence[int] | None, outputs: int) -> NetworkDescription:
    """Describe the network that a fit on pictures would train.

    Raises
    ------
    ConfigurationError
        If the shape of the pictures isn't known before the fit, or the network doesn't take it.
    """
    if params.getWarmStart() is not None:
        start = warm_start_of(SparkSession.active(), params)
        return describe_entry(warm_network(start, params), start.identity.spec, start.identity.task.outputs)
    arguments = params.getNetworkArguments()
    entry = find_network(params.getNetwork(), arguments)
    size = image_shape or entry.image_shape
    if size is None:
        raise ConfigurationError(f"network={entry.name!r} has no shape of its own; set imageShape to describe it")
    height, width, channels = size
    shape = (channels, height, width)
    if entry.name == AUTO:
        entry = find_network(resolve_network(AUTO, shape), arguments)
    check_network(entry, shape, outputs)
    return describe_entry(entry, TensorSpec("float32", shape), outputs)
