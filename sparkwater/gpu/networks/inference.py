"""Inference: scoring of tensors by a trained network."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sparkwater.conversions.tensors.arrow import as_torch
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks import NetworkEntry, find_network
from sparkwater.gpu.networks.compute import Compute, choose_layout
from sparkwater.gpu.networks.heads import HeadReplaced, with_head
from sparkwater.gpu.networks.inputs import Inputs, forward
from sparkwater.gpu.networks.sources import InstanceFactory, class_path
from sparkwater.gpu.networks.weight_bytes import load_weights
from sparkwater.gpu.rows.scaling import AnyScaling, PackedScaling, scalings_in
from sparkwater.gpu.tasks import Task

#: Rows that go through a network together: few enough for the processor's cache.
BATCH_ROWS = 256

#: Networks that one Python worker keeps ready.
_MAX_READY = 3
_ready: OrderedDict[str, Compute] = OrderedDict()

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network for scoring, as plain values.

    Attributes
    ----------
    entry : NetworkEntry
        The registry entry of the network.
    shape : tuple of int
        Shape of one input; for several inputs a tuple of their shapes.
    task : Task
        What it learned.
    scaling : Scaling or PackedScaling
        Scaling of rows to inputs.
    weights : bytes
        The weights as safetensors.
    weights_digest : str
        SHA-256 of the weights.
    """

    entry: NetworkEntry
    shape: tuple[Any, ...]
    task: Task
    scaling: AnyScaling
    weights: bytes
    weights_digest: str


def ready_network(trained: TrainedNetwork) -> Compute:
    """Return the network with its weights, ready to score; built once in a process for the same network and weights."""
    key = f"{trained.weights_digest} {trained.entry.key} {trained.shape} {trained.scaling}"
    if key not in _ready:
        network = load_network(trained)
        _ready[key] = Compute(network, trained.scaling, _CPU, _layout(network, trained))
        while len(_ready) > _MAX_READY:
            _ready.popitem(last=False)
    _ready.move_to_end(key)
    return _ready[key]


def load_network(trained: TrainedNetwork) -> nn.Module:
    """Return the network with its weights, in evaluation mode, as its factory makes it."""
    with torch.random.fork_rng(devices=[]):
        network = trained.entry.factory(trained.shape, trained.task.outputs)
    load_weights(network, trained.weights)
    return network.eval()


def _layout(network: nn.Module, trained: TrainedNetwork) -> torch.memory_format:
    if isinstance(trained.scaling, PackedScaling):
        return torch.contiguous_format
    return choose_layout(network, torch.zeros((2, *trained.shape)), _CPU, "float32")


def portable_entry(trained: TrainedNetwork) -> NetworkEntry:
    """Return an entry that a file can hold: a registered name, or an import path, and arguments.

    An instance has one where its class can be imported and, called with the entry's arguments, gives a
    network that takes its weights and computes the same.

    Raises
    ------
    ConfigurationError
        If the instance has none, with what to do.
    """
    entry = trained.entry
    made_by = entry.factory.factory if isinstance(entry.factory, HeadReplaced) else entry.factory
    if not isinstance(made_by, InstanceFactory):
        return entry
    path = class_path(type(made_by.network))
    remedy = "train with network='package.module:factory', a function in an importable module that builds it"
    if path is None:
        raise ConfigurationError(f"a model of {entry.name!r} can't be saved: its class can't be imported; {remedy}")
    try:
        rebuilt = with_head(find_network(path, entry.arguments), entry.head)
        same = _compute_the_same(trained, replace(trained, entry=rebuilt))
        reason = "computes something else"
    except Exception as error:  # the class may raise anything
        same, reason = False, f"doesn't fit ({type(error).__name__}: {error})"
    if not same:
        raise ConfigurationError(
            f"a model of {entry.name!r} can't be saved: what its class builds with networkArguments="
            f"{dict(entry.arguments)!r} {reason}; give the arguments that it was made with, or {remedy}"
        )
    return rebuilt


def _compute_the_same(one: TrainedNetwork, other: TrainedNetwork) -> bool:
    rows = _random_rows(one)
    with torch.inference_mode():
        return torch.equal(forward(load_network(one), rows), forward(load_network(other), rows))


def _random_rows(trained: TrainedNetwork) -> Inputs:
    generator = torch.Generator().manual_seed(0)
    packed = isinstance(trained.scaling, PackedScaling)
    shapes = trained.shape if packed else (trained.shape,)
    rows = tuple(
        torch.rand((4, *shape), generator=generator)
        if scaling.mean
        else torch.randint(0, 2, (4, *shape), generator=generator)  # ids that every vocabulary has
        for shape, scaling in zip(shapes, scalings_in(trained.scaling), strict=True)
    )
    return rows if packed else rows[0]


def predict_raw(
    trained: TrainedNetwork, tensors: npt.NDArray[np.generic], offsets: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.floating[Any]]:
    """Return raw predictions of rows.

    Parameters
    ----------
    trained : TrainedNetwork
        The network to score with.
    tensors : numpy.ndarray
        Rows as they came: ``(rows, *trained.shape)``, or packed.
    offsets : numpy.ndarray of float64, optional
        Of the rows, on the scale of the link; without it there are none.

    Returns
    -------
    numpy.ndarray of float32 or float64
        Shape ``(rows, trained.task.outputs)``, as `sparkwater.gpu.tasks.Task.adjust` gives them.
    """
    compute = ready_network(trained)
    if not len(tensors):
        return np.empty((0, trained.task.outputs), np.float32)
    with torch.inference_mode():
        outputs = torch.cat([compute.outputs(block) for block in torch.split(as_torch(tensors), BATCH_ROWS)])
        if offsets is not None:
            outputs = trained.task.add_offsets(outputs, torch.from_numpy(offsets))
        raw = trained.task.adjust(outputs)
    return np.asarray(raw.numpy())
