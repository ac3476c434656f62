"""The training loop of one rank."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from sparkwater.errors import DataError, SparkwaterError
from sparkwater.gpu.augmentation import augment
from sparkwater.gpu.collectives import Communicator
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.data import RankData
from sparkwater.gpu.inputs import Inputs, forward
from sparkwater.gpu.loss import row_losses
from sparkwater.gpu.normalization import average_buffers, stored_statistics
from sparkwater.gpu.optimizers import make_optimizer, set_step
from sparkwater.gpu.parameters import FlatParameters
from sparkwater.gpu.plan import plan_epoch
from sparkwater.gpu.regularization import limit_norms, shape_gradients
from sparkwater.gpu.scaling import AnyScaling
from sparkwater.gpu.schedules import Length, learning_rate, momentum
from sparkwater.gpu.seeding import derive_seed


@dataclass(frozen=True)
class EpochRecord:
    """What happened in one epoch, over all ranks.

    Attributes
    ----------
    epoch : int
        Counted from 0.
    loss : float
        Mean cross entropy over the rows, each by the weights at its own step, in nats.
    accuracy : float
        Share of the rows that were classified right, likewise.
    rows : int
        Rows trained.
    seconds : float
        Wall time on rank 0.
    """

    epoch: int
    loss: float
    accuracy: float
    rows: int
    seconds: float


@dataclass
class Position:
    """Where a training is; whoever catches an error can say so."""

    epoch: int | None = None
    step: int | None = None


class LedgerError(SparkwaterError, RuntimeError):
    """The rows that were trained are not the rows that there are: a fault of this package."""


def train(
    network: nn.Module,
    data: RankData,
    scaling: AnyScaling,
    rank: int,
    rows: Sequence[int],
    config: TrainConfig,
    communicator: Communicator,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
    position: Position | None = None,
    head: str = "",
) -> list[EpochRecord]:
    """Train a network in place on the rows of all ranks; every rank calls this at the same time.

    The gradient of a step is the mean over its global batch, whichever ranks its rows are on.

    Parameters
    ----------
    network : torch.nn.Module
        On the device to use; all ranks get rank 0's weights at the start.
    data : RankData
        The rows of this rank; there may be none.
    scaling : Scaling or PackedScaling
        How features become the network's input.
    rank : int
        This rank.
    rows : sequence of int
        The rows that each rank holds.
    config : TrainConfig
        What to do.
    communicator : Communicator
        Open.
    on_epoch : callable
        Called after each epoch.
    position : Position, optional
        Kept up to date.
    head : str
        The layer that ``config.head_multiplier`` is for.

    Raises
    ------
    DataError
        When the loss is no longer finite: on all ranks, in the same step.
    LedgerError
        When an epoch trained another number of rows than there are.
    """
    position = position if position is not None else Position()
    device = next(network.parameters()).device
    data = data.on(device)
    flat = FlatParameters(network, 3, head)
    communicator.broadcast_(flat.values.data)
    optimizer = make_optimizer(config, flat.groups(config.head_multiplier))
    steps = plan_epoch(rows, config.batch_size, config.seed, 0).steps
    length = Length(sum(rows), steps, steps * config.epochs)
    history = []
    network.train()
    for epoch in range(config.epochs):
        position.epoch = epoch
        torch.manual_seed(derive_seed(config.seed, "noise", epoch, rank))
        plan = plan_epoch(rows, config.batch_size, config.seed, epoch)
        started = time.perf_counter()
        sums = torch.zeros(3, dtype=torch.float64)
        sizes = plan.global_batches().tolist()
        for position.step, (features, labels) in enumerate(data.batches(plan, rank)):
            flat.clear()
            if len(labels):
                inputs = scaling.apply(_augmented(features.to(device), config, epoch, rank, position.step))
                with stored_statistics(network, len(labels) == 1):
                    losses = _backward(network, inputs, labels.to(device), sizes[position.step], config)
                    flat.extra.copy_(losses)
            communicator.all_reduce_(flat.message)
            step_sums = flat.extra.cpu().double()
            _check_loss(float(step_sums[0]), epoch, position.step)
            sums += step_sums
            done = epoch * steps + position.step
            set_step(optimizer, learning_rate(config, length, done), momentum(config, length, done))
            shape_gradients(flat, config)
            optimizer.step()
            limit_norms(flat, config)
        position.step = None
        average_buffers(network, rows[rank], communicator)
        history.append(_record(epoch, sums, sum(rows), time.perf_counter() - started))
        on_epoch(history[-1])
    return history


def _augmented(features: torch.Tensor, config: TrainConfig, epoch: int, rank: int, step: int) -> torch.Tensor:
    if not config.augmentation:
        return features
    # A generator for each step: nothing to keep between steps, and torch's own stays as it is.
    seed = derive_seed(config.seed, "augmentation", epoch, rank, step)
    return augment(features, config.augmentation, torch.Generator().manual_seed(seed))


def _backward(
    network: nn.Module, inputs: Inputs, labels: torch.Tensor, global_batch: int, config: TrainConfig
) -> torch.Tensor:
    """Add the gradients of this rank's share of a step; return its sums of loss, hits and rows."""
    outputs = forward(network, inputs)
    loss = row_losses(outputs, labels, config.label_smoothing).sum()
    (loss / global_batch).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        hits = (outputs.argmax(dim=1) == labels).sum()
        return torch.stack([loss.detach(), hits.to(loss.dtype), torch.ones_like(loss) * len(labels)])


def _check_loss(loss: float, epoch: int, step: int) -> None:
    if not math.isfinite(loss):
        raise DataError(
            f"the loss is {loss} in epoch {epoch}, step {step}; a lower learningRate or fewer extreme values may help"
        )


def _record(epoch: int, sums: torch.Tensor, rows: int, seconds: float) -> EpochRecord:
    loss, hits, trained = sums.tolist()
    if trained != rows:
        raise LedgerError(f"epoch {epoch} trained {trained:.0f} rows where there are {rows}")
    return EpochRecord(epoch, loss / rows, hits / rows, rows, seconds)
