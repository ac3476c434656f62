"""Scoring of tensors by a trained network, on whichever machine holds them."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sparkwater.conversions.arrow import as_torch
from sparkwater.gpu.networks import NetworkEntry
from sparkwater.gpu.scaling import Scaling
from sparkwater.gpu.weights import load_weights

#: Rows that go through a network together: few enough for the processor's cache.
BATCH_ROWS = 256

#: Networks that one Python worker keeps ready.
_MAX_READY = 3
_ready: OrderedDict[str, nn.Module] = OrderedDict()


@dataclass(frozen=True)
class TrainedNetwork:
    """Everything that scoring needs, as plain values.

    Attributes
    ----------
    entry : NetworkEntry
        How to build the network.
    shape : tuple of int
        Shape of one input.
    classes : int
        Number of outputs.
    scaling : Scaling
        How an input is scaled.
    weights : bytes
        Safetensors.
    weights_digest : str
        SHA-256 of the weights.
    """

    entry: NetworkEntry
    shape: tuple[int, ...]
    classes: int
    scaling: Scaling
    weights: bytes
    weights_digest: str


def ready_network(trained: TrainedNetwork) -> nn.Module:
    """Return the network with its weights; built once in a process for the same weights."""
    if trained.weights_digest not in _ready:
        with torch.random.fork_rng(devices=[]):
            network = trained.entry.factory(trained.shape, trained.classes)
        load_weights(network, trained.weights)
        network.eval()
        _ready[trained.weights_digest] = network
        while len(_ready) > _MAX_READY:
            _ready.popitem(last=False)
    _ready.move_to_end(trained.weights_digest)
    return _ready[trained.weights_digest]


def predict_logits(trained: TrainedNetwork, tensors: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return the network's outputs.

    Parameters
    ----------
    trained : TrainedNetwork
        What to score with.
    tensors : numpy.ndarray
        Shape ``(rows, *trained.shape)``.

    Returns
    -------
    numpy.ndarray of float32
        Shape ``(rows, trained.classes)``: log-odds up to a constant a row.
    """
    network = ready_network(trained)
    if not len(tensors):
        return np.empty((0, trained.classes), np.float32)
    with torch.inference_mode():
        blocks = torch.split(as_torch(tensors), BATCH_ROWS)
        outputs = [network(trained.scaling.apply(block)) for block in blocks]
    return np.asarray(torch.cat(outputs).numpy())
