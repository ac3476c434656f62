"""The training loop of one rank."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import cast

import torch
from torch import nn

from sparkwater.errors import CheckpointError, DataError, SparkwaterError
from sparkwater.gpu.callbacks import Callback, call_back
from sparkwater.gpu.collective.communicator import Communicator
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.networks.compute import Compute, loss_scaler
from sparkwater.gpu.records import NOBODY, EpochRecord, Observer, Position, StepRecord
from sparkwater.gpu.rows.feeding import feed
from sparkwater.gpu.rows.held import Batch, RankData
from sparkwater.gpu.rows.plan import EpochPlan, plan_epoch
from sparkwater.gpu.tasks.class_metrics import ScoreSums, larger_is_better
from sparkwater.gpu.tasks.class_weights import prior_shift
from sparkwater.gpu.training.batch_statistics import average_buffers
from sparkwater.gpu.training.checkpoints import CheckpointFolder
from sparkwater.gpu.training.flat_parameters import FlatParameters
from sparkwater.gpu.training.gradients import GradientSum
from sparkwater.gpu.training.optimizers import make_optimizer
from sparkwater.gpu.training.resume import Checkpoints, capture, restore
from sparkwater.gpu.training.schedules import Length, learning_rate
from sparkwater.gpu.training.state import CALLBACKS, EPOCHS, MAX_RUNTIME, STOPPING_ROUNDS, TrainingState
from sparkwater.gpu.training.step import EXTRA, Moment, Steps
from sparkwater.gpu.training.stopping import Best, has_converged
from sparkwater.gpu.training.timings import Stopwatch
from sparkwater.gpu.training.validation import score_rows

logger = logging.getLogger(__name__)


class LedgerError(SparkwaterError, RuntimeError):
    """An epoch trained another number of rows than it has: a fault of this package."""


@dataclass(frozen=True)
class Beside:
    """Observers, checkpoints and clock of a training, which don't change the learned weights.

    Attributes
    ----------
    checkpoints : Checkpoints
        The folder of checkpoints, and the checkpoint to go on from.
    observer : Observer
        The observer on this rank.
    callbacks : sequence of callable
        Functions called on rank 0 after each epoch; see `call_back`.
    position : Position
        The current epoch and step.
    clock : Stopwatch
        Stopwatch by kind of work.
    """

    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    observer: Observer = NOBODY
    callbacks: Sequence[Callback] = ()
    position: Position = field(default_factory=Position)
    clock: Stopwatch = field(default_factory=lambda: Stopwatch("compute"))


def train(
    compute: Compute,
    data: RankData,
    classes: int,
    place: Place,
    config: TrainConfig,
    communicator: Communicator,
    beside: Beside | None = None,
    head: str = "",
) -> TrainingState:
    """Train a network in place on the rows of all ranks; every rank calls this at the same time.

    The gradient of a step is the weighted mean over its global batch, whichever ranks its rows are on.

    Parameters
    ----------
    compute : Compute
        The network on its device; all ranks get rank 0's weights at the start.
    data : RankData
        The rows of this rank; there may be none.
    classes : int
        Number of classes.
    place : Place
        This rank, and the rows that each rank trains on.
    config : TrainConfig
        Hyperparameters.
    communicator : Communicator
        Open.
    beside : Beside, optional
        Observers, checkpoints and clock.
    head : str
        The layer to which ``config.head_multiplier`` applies.

    Returns
    -------
    TrainingState
        The state at the end.

    Raises
    ------
    DataError
        When the loss is no longer finite: on all ranks, in the same step.
    LedgerError
        When an epoch trained another number of rows than it has.
    CheckpointError
        When the checkpoint to go on from is another training's.
    """
    network, device, beside = compute.network, compute.device, beside or Beside()
    flat = FlatParameters(network, EXTRA, head)
    communicator.broadcast_(flat.values.data)
    optimizer = make_optimizer(config, flat.groups(config.head_multiplier))
    scores = ScoreSums(classes, config.top_k, device)
    state = TrainingState(flat, optimizer, loss_scaler(config.precision, device), scores, beside.position)
    called = cast(nn.Module, torch.compile(network)) if config.compiled else network
    limited = config.max_runtime_secs and place.rank == 0
    steps = Steps(
        network=network,
        compute=replace(compute, network=called),
        rank=place.rank,
        config=config,
        length=Length.of(place.all_rows, config.batch_size, config.epochs),
        class_weights=torch.tensor(config.class_weights, device=device) if config.class_weights else None,
        shift=prior_shift(config.class_weights, device),
        gradients=GradientSum(flat, config.gradient_compression, communicator),
        deadline=time.monotonic() + config.max_runtime_secs if limited else math.inf,
    )
    loop = _Loop(steps, data, place, config, communicator, beside)
    if beside.checkpoints.last is not None:
        restore(beside.checkpoints.last, state, network, place)
    with beside.clock.part("compute"), steps.gradients.overlapping():
        loop.run(state)
    return state


@dataclass(frozen=True)
class _Loop:
    """The constant parts of a training."""

    steps: Steps
    data: RankData
    place: Place
    config: TrainConfig
    communicator: Communicator
    beside: Beside

    @property
    def network(self) -> nn.Module:
        """The network being trained."""
        return self.steps.network

    @property
    def length(self) -> Length:
        """The length of the training."""
        return self.steps.length

    def run(self, state: TrainingState) -> None:
        """Train up to the last epoch, or an early end."""
        clock, device = self.beside.clock, self.steps.compute.device
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
            with clock.part("report"):
                self.beside.observer.on_epoch(record)
            self._judge(state, confusion)
            with clock.part("callbacks"):
                done = call_back(self.beside.callbacks, record, self.place.rank, self.communicator, device)
            if done and state.stopped_by is None:
                state.stopped_by = CALLBACKS
            # An epoch that was cut short for want of time is trained again by a fit with more.
            if state.stopped_by != MAX_RUNTIME:
                self._save(state)
        if state.best is not None:
            state.best.restore(self.network, state.flat.values.data)

    def _epoch(self, state: TrainingState, epoch: int) -> tuple[EpochRecord, torch.Tensor | None]:
        plan = plan_epoch(self.place.rows, self.config.batch_size, self.config.seed, epoch)
        sizes, weights = plan.global_batches(), self._step_weights(plan)
        started = time.perf_counter()
        done = self._take_steps(state, plan, weights)
        state.position.step = None
        seconds = time.perf_counter() - started
        expected = int(sizes[:done].sum())
        if state.rows != expected:
            raise LedgerError(f"epoch {epoch} trained {state.rows} rows where there are {expected}")
        average_buffers(self.network, self.place.rows[self.place.rank], self.communicator)
        self.communicator.all_reduce_(state.scores.values)
        training, held_out = state.scores.metrics(), self._validate(state)
        rate = learning_rate(self.config, self.length, epoch * self.length.steps_an_epoch + done - 1)
        loss = state.loss / float(weights[:done].sum())
        validation = held_out.metrics() if held_out else None
        record = EpochRecord(epoch, loss, 1 - training.error, expected, seconds, rate, training, validation)
        return record, (held_out or state.scores).confusion

    def _take_steps(self, state: TrainingState, plan: EpochPlan, weights: torch.Tensor) -> int:
        """Take the steps of an epoch that are left; return how many are done."""
        steps, done = self.length.steps_of(plan.epoch), state.position.steps_done
        with closing(self.data.batches(plan, self.place.rank)) as planned:
            batches = self._batches(islice(planned, done, steps))
            batch = next(batches, None)
            while batch is not None:
                moment, weight, before = Moment(plan.epoch, done), float(weights[done]), state.loss
                state.position.step, done = done, done + 1
                self.steps.begin(state, batch, moment, weight)
                # A device of its own computes meanwhile.
                batch = next(batches, None)
                overtime = self.steps.finish(state, moment)
                with self.beside.clock.part("report"):
                    loss = (state.loss - before) / weight
                    self.beside.observer.on_step(StepRecord(plan.epoch, state.rows, self.place.all_rows, loss))
                if overtime:
                    state.stopped_by = MAX_RUNTIME
                    break
                if done < steps and self.beside.checkpoints.due(self._steps_done(state)):
                    self._save(state)
        return done

    def _batches(self, planned: Iterator[Batch]) -> Iterator[Batch]:
        return self.beside.clock.each("data", feed(planned, self.steps.compute.device))

    def _step_weights(self, plan: EpochPlan) -> torch.Tensor:
        """Return the total weight of each step's rows, on all ranks."""
        if not self.config.weighted and not self.config.class_weights:
            return torch.from_numpy(plan.global_batches())
        weights = self.data.step_weights(plan, self.place.rank, self.steps.class_weights)
        weights = weights.to(self.steps.compute.device)
        self.communicator.all_reduce_(weights)
        return weights.cpu()

    def _steps_done(self, state: TrainingState) -> int:
        return len(state.history) * self.length.steps_an_epoch + state.position.steps_done

    def _save(self, state: TrainingState) -> None:
        """Write a checkpoint, on rank 0; if that fails the training goes on, and says so at its end."""
        if self.beside.checkpoints.folder is not None:
            with self.beside.clock.part("checkpoints"):
                self._write(self.beside.checkpoints.folder, state)

    def _write(self, folder: CheckpointFolder, state: TrainingState) -> None:
        checkpoint = capture(state, self.network, self._steps_done(state), self.place, self.communicator)
        if self.place.rank == 0:
            try:
                folder.write(replace(checkpoint, network=self.beside.checkpoints.network))
            except CheckpointError as error:
                logger.warning("%s; the training goes on without it", error)
                state.lost_checkpoints.append(str(error))

    def _validate(self, state: TrainingState) -> ScoreSums | None:
        held_out = self.data.held_out
        if not self.config.validation or held_out is None:
            return None
        sums = state.scores.emptied()
        with self.beside.clock.part("validation"):
            score_rows(self.network, held_out, self.steps.compute, self.steps.shift, sums)
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
