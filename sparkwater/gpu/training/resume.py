"""Capture of a training between two steps as a checkpoint, and its exact resumption.

Weights, moments and everything in the history are the same on all ranks. A rank's own are the
network's buffers, their averages, and the scores of the running epoch: those travel to rank 0 as they are,
byte by byte. Rates and random numbers follow from the position.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn

from sparkwater.errors import CheckpointError
from sparkwater.gpu.collective.communicator import Communicator
from sparkwater.gpu.collective.start_messages import Peers, exchange
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.training.checkpoints import Checkpoint, CheckpointFolder
from sparkwater.gpu.training.state import TrainingState
from sparkwater.gpu.training.stopping import Best

logger = logging.getLogger(__name__)

_WEIGHTS, _OPTIMIZER, _BEST, _BEST_BUFFER, _OWN = "weights", "optimizer.", "best.weights", "best.buffer.", "own"
_DETAIL = "detail."
_UNTRAINED = "untrained."
_AVERAGE, _AVERAGE_BUFFER = "average.weights", "average.buffer."


@dataclass(frozen=True)
class Checkpoints:
    """A training's checkpoints: folder, interval, and the one to go on from.

    Attributes
    ----------
    folder : CheckpointFolder or None
        The folder of checkpoints; None for none.
    interval : int
        Steps from one to the next; 0 for one after each epoch only.
    last : Checkpoint or None
        The checkpoint to go on from.
    network : dict
        Identity of the network: see `sparkwater.gpu.training.checkpoints.Checkpoint`.
    """

    folder: CheckpointFolder | None = None
    interval: int = 0
    last: Checkpoint | None = None
    network: dict[str, Any] = field(default_factory=dict)

    def due(self, steps: int) -> bool:
        """Return whether a checkpoint is to be taken within an epoch, after so many steps in all."""
        return self.folder is not None and self.interval > 0 and steps % self.interval == 0


def find_checkpoints(
    directory: str, training: Any, network: dict[str, Any], interval: int, peers: Peers
) -> Checkpoints:
    """Return a training's checkpoints, with the newest where there is one; all ranks call this together.

    Parameters
    ----------
    directory : str
        The parent folder, in which each training has a folder of its own.
    training : object
        Key of the training, as JSON takes it: rows, settings, first weights, versions.
    network : dict
        Identity of the network.
    interval : int
        Steps from one checkpoint to the next.
    peers : Peers
        The way to the other ranks.

    Raises
    ------
    CheckpointError
        If all checkpoints are damaged, or a rank can't read the newest.
    """
    name = hashlib.sha256(json.dumps(training).encode()).hexdigest()[:16]
    folder = CheckpointFolder(directory).inside(name)

    def newest() -> Checkpoint | None:
        if peers.world.rank > 0:
            return None
        folder.sweep()
        return folder.latest()

    found, steps = exchange(peers, newest, lambda checkpoint: {"steps": checkpoint.steps if checkpoint else None})
    last = steps[0]["steps"]
    if last is not None:
        # Each rank reads for itself: the collective serves the training only.
        found, _ = exchange(peers, lambda: found or folder.load(last), lambda _: {})
        logger.info("going on from step %d, by %s", last, folder.url)
    return Checkpoints(folder, interval, found, network)


def capture(
    state: TrainingState, network: nn.Module, steps: int, place: Place, communicator: Communicator
) -> Checkpoint:
    """Return a checkpoint of a training; every rank calls this at the same time, and gets the same.

    Parameters
    ----------
    state : TrainingState
        The state between two steps.
    network : torch.nn.Module
        The network, for its buffers.
    steps : int
        Steps done since the training began.
    place : Place
        This rank.
    communicator : Communicator
        Open.
    """
    best = state.best
    tensors = {_WEIGHTS: state.flat.values.data, _OWN: _gather(_own(state, network), place, communicator)}
    for name, value in _moments(state.optimizer).items():
        tensors[_OPTIMIZER + name] = value
    tensors.update({_DETAIL + name: table for name, table in state.details.items()})
    places = state.flat.places(network)
    tensors.update({_UNTRAINED + name: value for name, value in _others(network, places).items()})
    if state.average is not None:
        tensors[_AVERAGE] = state.average.weights
        tensors.update({_AVERAGE_BUFFER + name: buffer for name, buffer in state.average.buffers.items()})
    if best is not None:
        tensors[_BEST] = best.weights
        tensors.update({_BEST_BUFFER + name: buffer for name, buffer in best.buffers.items()})
    return Checkpoint(
        steps,
        {
            "epoch": state.progress.epoch,
            "step": state.progress.step,
            "loss": state.loss,
            "rows": state.rows,
            "history": [asdict(record) for record in state.history],
            "best": None if best is None else {"epoch": best.epoch, "value": best.value},
            "stoppedBy": state.stopped_by,
            "scaler": state.scaler.state_dict(),
            "places": places,
            # Between epochs it is of no use: the next one begins with its own.
            "task": state.task.to_dict() if state.task.adapts and state.progress.step is not None else None,
        },
        {name: value.detach().cpu().clone() for name, value in tensors.items()},
    )


def restore(checkpoint: Checkpoint, state: TrainingState, network: nn.Module, place: Place) -> None:
    """Restore a training that has not begun from a checkpoint; called on every rank.

    Raises
    ------
    CheckpointError
        If the checkpoint is another network's or another number of ranks'.
    """
    fields, tensors = checkpoint.state, checkpoint.tensors
    device = state.flat.values.device
    try:
        state.flat.values.data.copy_(tensors[_WEIGHTS])
        if state.average is not None:
            state.average.weights.copy_(tensors[_AVERAGE])
        _set_moments(state.optimizer, _without(tensors, _OPTIMIZER))
        state.progress.epoch, state.progress.step = fields["epoch"], fields["step"]
        _set_own(state, network, tensors[_OWN][place.rank])
        state.loss, state.rows, state.stopped_by = fields["loss"], fields["rows"], fields["stoppedBy"]
        state.details = {name: table.to(device) for name, table in _without(tensors, _DETAIL).items()}
        state.scaler.load_state_dict(fields["scaler"])
        if fields.get("task"):
            state.task = type(state.task).from_dict(fields["task"])
        state.history[:] = map(EpochRecord.from_dict, fields["history"])
        if fields["best"] is not None:
            buffers = {name: buffer.to(device) for name, buffer in _without(tensors, _BEST_BUFFER).items()}
            state.best = Best(**fields["best"], weights=tensors[_BEST].to(device), buffers=buffers)
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as error:
        raise CheckpointError(f"the checkpoint doesn't fit this training: {error!r}") from error


def weights_of(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """Return the weights and statistics that a training gives if it ends at a checkpoint, by their names.

    Those of its best epoch where they are kept, or else the averaged ones. Statistics of an epoch that isn't done are
    rank 0's.

    Raises
    ------
    CheckpointError
        If the checkpoint doesn't hold them.
    """
    tensors = checkpoint.tensors
    try:
        values = tensors[next(name for name in (_BEST, _AVERAGE, _WEIGHTS) if name in tensors)]
        trained = {
            name: values.as_strided(shape, stride, values.storage_offset() + offset).contiguous()
            for name, (shape, stride, offset) in checkpoint.state["places"].items()
        }
    except (KeyError, TypeError, ValueError, RuntimeError, StopIteration) as error:
        raise CheckpointError(f"the checkpoint after {checkpoint.steps} steps holds no weights: {error!r}") from error
    untrained = _without(tensors, _UNTRAINED)
    kept = _without(tensors, _BEST_BUFFER if _BEST in tensors else _AVERAGE_BUFFER)
    return {**untrained, **{name: value for name, value in kept.items() if name in untrained}, **trained}


def _others(network: nn.Module, places: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return a network's further state: frozen weights, and statistics."""
    return {name: value.contiguous() for name, value in network.state_dict().items() if name not in places}


def _own(state: TrainingState, network: nn.Module) -> torch.Tensor:
    """Return this rank's own state, as bytes."""
    parts = [part.detach().reshape(-1).view(torch.uint8) for part in _own_parts(state, network)]
    return torch.cat([state.sums.values.new_empty(0, dtype=torch.uint8), *parts])


def _set_own(state: TrainingState, network: nn.Module, numbers: torch.Tensor) -> None:
    own, start = numbers.view(torch.uint8), 0
    for part in _own_parts(state, network):
        size = part.numel() * part.element_size()
        part.copy_(own[start : start + size].clone().view(part.dtype).view(part.shape))
        start += size


def _own_parts(state: TrainingState, network: nn.Module) -> Iterable[torch.Tensor]:
    averages = [] if state.average is None else state.average.buffers.values()
    # Between epochs the sums are of no use: the next one begins with zeros.
    return [*network.buffers(), *averages, *([] if state.progress.step is None else [state.sums.values])]


def _gather(own: torch.Tensor, place: Place, communicator: Communicator) -> torch.Tensor:
    """Return every rank's bytes as rows of whole numbers: to add zeros changes none of them."""
    padded = torch.cat([own, own.new_zeros(-len(own) % 8)])
    table = torch.zeros((place.ranks, len(padded) // 8), dtype=torch.int64, device=own.device)
    table[place.rank] = padded.view(torch.int64)
    communicator.all_reduce_(table)
    return table


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return an optimizer's tensors as ``<parameter>.<name>``."""
    states = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value
        for index, state in states.items()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def _set_moments(optimizer: torch.optim.Optimizer, moments: dict[str, torch.Tensor]) -> None:
    states: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in moments.items():
        index, _, name = key.partition(".")
        states.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": states})


def _without(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
