"""The training loop of one rank."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple, cast

import torch
from torch import nn

from sparkwater.errors import CheckpointError, DataError, SparkwaterError
from sparkwater.gpu.augmentation import augment
from sparkwater.gpu.callbacks import Callback, call_back
from sparkwater.gpu.checkpoints import CheckpointFolder
from sparkwater.gpu.collectives import Communicator
from sparkwater.gpu.compute import Compute, loss_scaler
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.data import Batch, RankData
from sparkwater.gpu.gradients import sum_gradients
from sparkwater.gpu.loss import row_losses
from sparkwater.gpu.metrics import ScoreSums, larger_is_better
from sparkwater.gpu.normalization import average_buffers, stored_statistics
from sparkwater.gpu.observer import NOBODY, Observer
from sparkwater.gpu.optimizers import make_optimizer, set_step
from sparkwater.gpu.parameters import FlatParameters
from sparkwater.gpu.plan import EpochPlan, plan_epoch
from sparkwater.gpu.records import EpochRecord, Position, StepRecord
from sparkwater.gpu.regularization import limit_norms, shape_gradients
from sparkwater.gpu.resume import Checkpoints, Place, capture, restore
from sparkwater.gpu.scaling import AnyScaling
from sparkwater.gpu.schedules import Length, learning_rate, momentum
from sparkwater.gpu.seeding import derive_seed, seed_generators
from sparkwater.gpu.state import CALLBACKS, EPOCHS, MAX_RUNTIME, STOPPING_ROUNDS, TrainingState
from sparkwater.gpu.stopping import Best, has_converged
from sparkwater.gpu.timings import Stopwatch
from sparkwater.gpu.validation import score_rows
from sparkwater.gpu.weighting import prior_shift

logger = logging.getLogger(__name__)


class LedgerError(SparkwaterError, RuntimeError):
    """The rows that were trained are not the rows that there are: a fault of this package."""


def train(
    network: nn.Module,
    data: RankData,
    scaling: AnyScaling,
    classes: int,
    rank: int,
    rows: Sequence[int],
    config: TrainConfig,
    communicator: Communicator,
    observer: Observer = NOBODY,
    position: Position | None = None,
    head: str = "",
    checkpoints: Checkpoints | None = None,
    clock: Stopwatch | None = None,
    callbacks: Sequence[Callback] = (),
    layout: torch.memory_format = torch.contiguous_format,
) -> TrainingState:
    """Train a network in place on the rows of all ranks; every rank calls this at the same time.

    The gradient of a step is the weighted mean over its global batch, whichever ranks its rows are on.

    Parameters
    ----------
    network : torch.nn.Module
        On the device to use; all ranks get rank 0's weights at the start.
    data : RankData
        The rows of this rank; there may be none.
    scaling : Scaling or PackedScaling
        How features become the network's input.
    classes : int
        How many there are.
    rank : int
        This rank.
    rows : sequence of int
        The rows that each rank holds to train on.
    config : TrainConfig
        What to do.
    communicator : Communicator
        Open.
    observer : Observer
        Told on this rank.
    position : Position, optional
        Kept up to date.
    head : str
        The layer that ``config.head_multiplier`` is for.
    checkpoints : Checkpoints, optional
        Where to write them, and the one to go on from.
    clock : Stopwatch, optional
        Measures what the time is spent on.
    callbacks : sequence of callable
        Called on rank 0 after each epoch; see `call_back`.
    layout : torch.memory_format
        Of the network's inputs: see `sparkwater.gpu.compute.choose_layout`.

    Returns
    -------
    TrainingState
        At the end.

    Raises
    ------
    DataError
        When the loss is no longer finite: on all ranks, in the same step.
    LedgerError
        When an epoch trained another number of rows than it has.
    CheckpointError
        When the checkpoint to go on from is another training's.
    """
    device = next(network.parameters()).device
    flat = FlatParameters(network, 3, head)
    communicator.broadcast_(flat.values.data)
    optimizer = make_optimizer(config, flat.groups(config.head_multiplier))
    scores = ScoreSums(classes, config.top_k, device)
    scaler = loss_scaler(config.precision, device)
    state = TrainingState(flat, optimizer, scaler, scores, position if position is not None else Position())
    called = cast(nn.Module, torch.compile(network)) if config.compiled else network
    limited = config.max_runtime_secs and rank == 0
    loop = _Loop(
        network=network,
        data=data.on(device),
        compute=Compute(called, scaling, device, layout, config.precision),
        rank=rank,
        rows=tuple(rows),
        config=config,
        communicator=communicator,
        device=device,
        length=Length.of(sum(rows), config.batch_size, config.epochs),
        class_weights=torch.tensor(config.class_weights, device=device) if config.class_weights else None,
        shift=prior_shift(config.class_weights, device),
        deadline=time.monotonic() + config.max_runtime_secs if limited else math.inf,
        checkpoints=checkpoints or Checkpoints(),
        clock=clock or Stopwatch("compute"),
        observer=observer,
        callbacks=callbacks,
    )
    if loop.checkpoints.last is not None:
        restore(loop.checkpoints.last, state, network, loop.place)
    with loop.clock.part("compute"):
        loop.run(state)
    return state


class _Moment(NamedTuple):
    """A step, by its number in its epoch."""

    epoch: int
    step: int


@dataclass(frozen=True)
class _Loop:
    """What stays the same during a training."""

    network: nn.Module
    data: RankData
    compute: Compute
    rank: int
    rows: tuple[int, ...]
    config: TrainConfig
    communicator: Communicator
    device: torch.device
    length: Length
    class_weights: torch.Tensor | None
    shift: torch.Tensor
    deadline: float
    checkpoints: Checkpoints
    clock: Stopwatch
    observer: Observer
    callbacks: Sequence[Callback]

    @property
    def place(self) -> Place:
        """Which rank of how many."""
        return Place(self.rank, len(self.rows))

    def run(self, state: TrainingState) -> None:
        """Train until something ends it."""
        self.network.train()
        while state.stopped_by is None:
            epoch = len(state.history)
            if not self.length.steps_of(epoch):
                state.stopped_by = EPOCHS
                break
            if state.position.step is None:  # else a checkpoint was taken within the epoch
                state.begin_epoch(epoch)
            record, confusion = self._epoch(state, epoch)
            state.history.append(record)
            with self.clock.part("report"):
                self.observer.on_epoch(record)
            self._judge(state, confusion)
            with self.clock.part("callbacks"):
                done = call_back(self.callbacks, record, self.rank, self.communicator, self.device)
            if done and state.stopped_by is None:
                state.stopped_by = CALLBACKS
            # An epoch that was cut short for want of time is trained again by whoever has more.
            if state.stopped_by != MAX_RUNTIME:
                self._save(state)
        if state.best is not None:
            state.best.restore(self.network, state.flat.values.data)

    def _epoch(self, state: TrainingState, epoch: int) -> tuple[EpochRecord, torch.Tensor | None]:
        plan = plan_epoch(self.rows, self.config.batch_size, self.config.seed, epoch)
        steps, sizes, weights = self.length.steps_of(epoch), plan.global_batches(), self._step_weights(plan)
        started = time.perf_counter()
        done = state.position.steps_done
        with closing(self.data.batches(plan, self.rank)) as batches:
            for step, batch in enumerate(self.clock.each("data", islice(batches, done, steps)), start=done):
                state.position.step, done, before = step, step + 1, state.loss
                overtime = self._step(state, batch, _Moment(epoch, step), float(weights[step]))
                with self.clock.part("report"):
                    loss = (state.loss - before) / float(weights[step])
                    self.observer.on_step(StepRecord(epoch, state.rows, sum(self.rows), loss))
                if overtime:
                    state.stopped_by = MAX_RUNTIME
                    break
                if done < steps and self.checkpoints.due(self._steps_done(state)):
                    self._save(state)
        state.position.step = None
        seconds = time.perf_counter() - started
        expected = int(sizes[:done].sum())
        if state.rows != expected:
            raise LedgerError(f"epoch {epoch} trained {state.rows} rows where there are {expected}")
        average_buffers(self.network, self.rows[self.rank], self.communicator)
        self.communicator.all_reduce_(state.scores.values)
        training, held_out = state.scores.metrics(), self._validate(state)
        rate = learning_rate(self.config, self.length, epoch * self.length.steps_an_epoch + done - 1)
        loss = state.loss / float(weights[:done].sum())
        validation = held_out.metrics() if held_out else None
        record = EpochRecord(epoch, loss, 1 - training.error, expected, seconds, rate, training, validation)
        return record, (held_out or state.scores).confusion

    def _step_weights(self, plan: EpochPlan) -> torch.Tensor:
        """Return what the rows of each step weigh together, on all ranks."""
        if not self.config.weighted and not self.config.class_weights:
            return torch.from_numpy(plan.global_batches())
        weights = self.data.step_weights(plan, self.rank, self.class_weights).to(self.device)
        self.communicator.all_reduce_(weights)
        return weights.cpu()

    def _step(self, state: TrainingState, batch: Batch, moment: _Moment, global_weight: float) -> bool:
        """Take one step; return whether there is no time for another."""
        config, flat = self.config, state.flat
        # By the step: there is no generator whose state a checkpoint would have to hold.
        seed_generators(derive_seed(config.seed, "noise", moment.epoch, self.rank, moment.step), self.device)
        flat.clear()
        if len(batch.labels):
            with stored_statistics(self.network, len(batch.labels) == 1):
                flat.extra[0] = self._backward(state, batch, moment, global_weight)
        flat.extra[1] = len(batch.labels)
        flat.extra[2] = time.monotonic() > self.deadline
        sum_gradients(flat, config.gradient_compression, self.communicator)
        loss, rows, overtime = flat.extra.tolist()
        _check_loss(loss, moment)
        state.loss += loss
        state.rows += round(rows)
        done = moment.epoch * self.length.steps_an_epoch + moment.step
        set_step(state.optimizer, learning_rate(config, self.length, done), momentum(config, self.length, done))
        state.scaler.unscale_(state.optimizer)
        shape_gradients(flat, config)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        limit_norms(flat, config)
        return overtime > 0

    def _backward(self, state: TrainingState, batch: Batch, moment: _Moment, global_weight: float) -> torch.Tensor:
        """Add the gradients of this rank's share of a step, and its scores; return its sum of losses."""
        config = self.config
        with self.clock.part("data"):
            features, labels = batch.features.to(self.device), batch.labels.to(self.device)
        outputs = self.compute.outputs(self._augmented(features, moment))
        losses = row_losses(outputs, labels, config.label_smoothing)
        weights = None if batch.weights is None else batch.weights.to(self.device)
        if weights is not None:
            losses = losses * weights.float()
        if self.class_weights is not None:
            losses = losses * self.class_weights[labels]
        loss = losses.sum()
        state.scaler.scale(loss / global_weight).backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            state.scores.add(outputs - self.shift, labels, weights)
        return loss.detach()

    def _steps_done(self, state: TrainingState) -> int:
        return len(state.history) * self.length.steps_an_epoch + state.position.steps_done

    def _save(self, state: TrainingState) -> None:
        """Write a checkpoint, on rank 0; if that fails the training goes on, and says so at its end."""
        if self.checkpoints.folder is not None:
            with self.clock.part("checkpoints"):
                self._write(self.checkpoints.folder, state)

    def _write(self, folder: CheckpointFolder, state: TrainingState) -> None:
        checkpoint = capture(state, self.network, self._steps_done(state), self.place, self.communicator)
        if self.rank == 0:
            try:
                folder.write(replace(checkpoint, network=self.checkpoints.network))
            except CheckpointError as error:
                logger.warning("%s; the training goes on without it", error)
                state.lost_checkpoints.append(str(error))

    def _augmented(self, features: torch.Tensor, moment: _Moment) -> torch.Tensor:
        if not self.config.augmentation:
            return features
        # A generator for each step: nothing to keep between steps, and torch's own stays as it is.
        seed = derive_seed(self.config.seed, "augmentation", moment.epoch, self.rank, moment.step)
        return augment(features, self.config.augmentation, torch.Generator().manual_seed(seed))

    def _validate(self, state: TrainingState) -> ScoreSums | None:
        held_out = self.data.held_out
        if not self.config.validation or held_out is None:
            return None
        sums = state.scores.emptied()
        with self.clock.part("validation"):
            score_rows(self.network, held_out, self.compute.outputs, self.shift, sums)
        self.communicator.all_reduce_(sums.values)
        return sums

    def _judge(self, state: TrainingState, confusion: torch.Tensor | None) -> None:
        """Keep the network if it is the best so far; stop if it gets no better."""
        config, name = self.config, self.config.stopping_metric
        values = [getattr(record.judged, name) for record in state.history]
        if (config.keep_best or config.stopping_rounds) and not isinstance(values[-1], float):
            raise DataError(f"stoppingMetric={name!r} is undefined: the rows it is measured on are of one class")
        larger = larger_is_better(name)
        better = state.best is None or state.best.beaten_by(values[-1], larger)
        if config.keep_best and better:
            state.best = Best.of(self.network, state.flat.values.data, len(values) - 1, values[-1])
        if not config.keep_best or better:
            state.confusion = None if confusion is None else confusion.clone()
        converged = has_converged(values, config.stopping_rounds, config.stopping_tolerance, larger)
        if state.stopped_by is None and converged:
            state.stopped_by = STOPPING_ROUNDS


def _check_loss(loss: float, moment: _Moment) -> None:
    if not math.isfinite(loss):
        raise DataError(
            f"the loss is {loss} in epoch {moment.epoch}, step {moment.step}; a lower learningRate or fewer "
            "extreme values may help"
        )
