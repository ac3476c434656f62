"""The training loop of one rank."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, cast

import torch
from torch import nn

from sparkwater.errors import CheckpointError, DataError, LedgerError
from sparkwater.gpu.callbacks import Callback, call_back
from sparkwater.gpu.collective.communicator import Communicator
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.networks.compute import Compute, loss_scaler
from sparkwater.gpu.networks.treatment import progressing_in
from sparkwater.gpu.records import NOBODY, EpochRecord, Observer, Progress, StepRecord
from sparkwater.gpu.rows.feeding import feed
from sparkwater.gpu.rows.held import Batch, RankData
from sparkwater.gpu.rows.plan import EpochPlan, plan_epoch
from sparkwater.gpu.seeding import same_bits
from sparkwater.gpu.tasks import Sums, Task
from sparkwater.gpu.training.batch_statistics import average_buffers, average_tensors
from sparkwater.gpu.training.checkpoints import CheckpointFolder
from sparkwater.gpu.training.flat_parameters import FlatParameters
from sparkwater.gpu.training.gradients import GradientSum
from sparkwater.gpu.training.loss_quantile import loss_quantile
from sparkwater.gpu.training.optimizers import make_optimizer
from sparkwater.gpu.training.regularizers.sparsity import Sparsity
from sparkwater.gpu.training.regularizers.weight_average import WeightAverage
from sparkwater.gpu.training.resume import Checkpoints, capture, restore
from sparkwater.gpu.training.schedules import Length
from sparkwater.gpu.training.state import CALLBACKS, EPOCHS, MAX_RUNTIME, STOPPING_ROUNDS, TrainingState
from sparkwater.gpu.training.step import EXTRA, StepId, Stepper
from sparkwater.gpu.training.stopping import Best, has_converged
from sparkwater.gpu.training.timings import Stopwatch
from sparkwater.gpu.training.validation import score_rows

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingContext:
    """Services around a training, which change nothing of what is learned.

    Attributes
    ----------
    checkpoints : Checkpoints
        The folder of checkpoints, and the checkpoint to go on from.
    observer : Observer
        The observer on this rank.
    callbacks : sequence of callable
        Called on rank 0 after each epoch; see `call_back`.
    progress : Progress
        Kept up to date.
    clock : Stopwatch
        Stopwatch by kind of work.
    """

    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    observer: Observer = NOBODY
    callbacks: Sequence[Callback] = ()
    progress: Progress = field(default_factory=Progress)
    clock: Stopwatch = field(default_factory=lambda: Stopwatch("compute"))


def train(
    compute: Compute,
    data: RankData,
    task: Task,
    place: Place,
    config: TrainConfig,
    communicator: Communicator,
    context: TrainingContext | None = None,
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
    task : Task
        What it learns.
    place : Place
        This rank, and the rows that each rank trains on.
    config : TrainConfig
        Hyperparameters.
    communicator : Communicator
        Open.
    context : TrainingContext, optional
        Checkpoints, observers and the like.
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
    context = context or TrainingContext()
    state = _begin(compute, task, config, communicator, context.progress, head)
    gradients = GradientSum(state.flat, config.gradient_compression, communicator)
    sparsity = _sparsity(compute, data, config, communicator)
    steps = _steps(compute, task, place, config, gradients, sparsity)
    loop = _Loop(steps, data, place, config, communicator, context)
    if context.checkpoints.last is not None:
        restore(context.checkpoints.last, state, compute.network, place)
    own = closing(sparsity) if sparsity else nullcontext()
    with own, context.clock.part("compute"), steps.gradients.overlapping(), same_bits():
        loop.run(state)
    return state


def _begin(
    compute: Compute, task: Task, config: TrainConfig, communicator: Communicator, progress: Progress, head: str
) -> TrainingState:
    """Return a training before its first step, with rank 0's weights."""
    flat = FlatParameters(compute.network, EXTRA, head)
    communicator.broadcast_(flat.values.data)
    decay = config.weight_averaging
    return TrainingState(
        flat=flat,
        optimizer=make_optimizer(config, flat.groups(config.head_multiplier, config.layer_decay)),
        scaler=loss_scaler(config.precision, compute.device),
        sums=task.sums(compute.device),
        progress=progress,
        task=task,
        average=WeightAverage(compute.network, flat.values.data, decay) if decay else None,
    )


def _sparsity(compute: Compute, data: RankData, config: TrainConfig, communicator: Communicator) -> Sparsity | None:
    if not config.sparsity_beta:
        return None
    return Sparsity(compute, config.average_activation, config.sparsity_beta, data.blocks(), communicator)


def _steps(
    compute: Compute,
    task: Task,
    place: Place,
    config: TrainConfig,
    gradients: GradientSum,
    sparsity: Sparsity | None,
) -> Stepper:
    called = cast(nn.Module, torch.compile(compute.network)) if config.compiled else compute.network
    limited = config.max_runtime_secs and place.rank == 0
    return Stepper(
        network=compute.network,
        compute=replace(compute, network=called),
        rank=place.rank,
        config=config,
        length=Length.of(place.all_rows, config.batch_size, config.epochs),
        task=task,
        gradients=gradients,
        deadline=time.monotonic() + config.max_runtime_secs if limited else math.inf,
        sparsity=sparsity,
        progressing=progressing_in(compute.network),
    )


@dataclass(frozen=True)
class _Loop:
    """The constant parts of a training."""

    steps: Stepper
    data: RankData
    place: Place
    config: TrainConfig
    communicator: Communicator
    context: TrainingContext

    @property
    def network(self) -> nn.Module:
        """The network being trained."""
        return self.steps.network

    @property
    def length(self) -> Length:
        """The length of the training."""
        return self.steps.length

    def run(self, state: TrainingState) -> None:
        """Train until something ends it."""
        clock, device = self.context.clock, self.steps.compute.device
        self.network.train()
        while state.stopped_by is None:
            epoch = len(state.history)
            if not self.length.steps_of(epoch):
                state.stopped_by = EPOCHS
                break
            if state.progress.step is None:  # else a checkpoint was taken within the epoch
                state.begin_epoch(epoch)
                state.task = self._adapted()
            record, details = self._epoch(state, epoch)
            state.history.append(record)
            with clock.part("report"):
                self.context.observer.on_epoch(record)
            self._judge(state, details)
            with clock.part("callbacks"):
                done = call_back(self.context.callbacks, record, self.place.rank, self.communicator, device)
            if done and state.stopped_by is None:
                state.stopped_by = CALLBACKS
            # An epoch that was cut short for want of time is trained again by a fit with more.
            if state.stopped_by != MAX_RUNTIME:
                self._save(state)
        if state.best is not None:
            state.best.restore(self.network, state.flat.values.data)
        elif state.average is not None:
            state.average.restore(self.network, state.flat.values.data)

    def _epoch(self, state: TrainingState, epoch: int) -> tuple[EpochRecord, dict[str, torch.Tensor]]:
        plan = plan_epoch(self.place.rows, self.config.batch_size, self.config.seed, epoch)
        sizes, weights = plan.global_batches(), self._step_weights(plan)
        started = time.perf_counter()
        done = self._take_steps(state, plan, weights)
        state.progress.step = None
        seconds = time.perf_counter() - started
        expected = int(sizes[:done].sum())
        if state.rows != expected:
            raise LedgerError(f"epoch {epoch} trained {state.rows} rows where there are {expected}")
        own_rows = self.place.rows[self.place.rank]
        average_buffers(self.network, own_rows, self.communicator)
        if state.average is not None:
            average_tensors([*state.average.buffers.values()], own_rows, self.communicator)
        self.communicator.all_reduce_(state.sums.values)
        with self._averaged(state):
            held_out = self._validate()
        record = EpochRecord(
            epoch=epoch,
            loss=state.loss / float(weights[:done].sum()),
            rows=expected,
            seconds=seconds,
            learning_rate=state.learning_rate,
            training=state.sums.metrics(),
            validation=held_out.metrics() if held_out else None,
        )
        return record, (held_out or state.sums).details()

    def _take_steps(self, state: TrainingState, plan: EpochPlan, weights: torch.Tensor) -> int:
        """Take the steps of an epoch that are left; return how many are done."""
        steps, done = self.length.steps_of(plan.epoch), state.progress.steps_done
        speeds = _speeds(plan, done)
        with closing(self.data.batches(plan, self.place.rank)) as planned:
            batches = self._batches(islice(planned, done, steps))
            batch = next(batches, None)
            while batch is not None:
                step, weight, before = StepId(plan.epoch, done), float(weights[done]), state.loss
                state.progress.step, done = done, done + 1
                self.steps.begin(state, batch, step, weight)
                # A device of its own computes meanwhile.
                batch = next(batches, None)
                overtime = self.steps.finish(state, step)
                with self.context.clock.part("report"):
                    self.context.observer.on_step(
                        StepRecord(
                            epoch=step.epoch,
                            step=step.step,
                            rows=state.rows,
                            rows_an_epoch=self.place.all_rows,
                            loss=(state.loss - before) / weight,
                            speeds=speeds(done),
                        )
                    )
                if overtime:
                    state.stopped_by = MAX_RUNTIME
                    break
                if done < steps and self.context.checkpoints.due(self._steps_done(state)):
                    self._save(state)
        return done

    def _batches(self, planned: Iterator[Batch]) -> Iterator[Batch]:
        return self.context.clock.each("data", feed(planned, self.steps.compute.device))

    def _step_weights(self, plan: EpochPlan) -> torch.Tensor:
        """Return what the rows of each step weigh together, on all ranks."""
        if not self.config.weighted and not self.steps.task.weighs:
            return torch.from_numpy(plan.global_batches())
        weights = self.data.step_weights(plan, self.place.rank, self.steps.task)
        weights = weights.to(self.steps.compute.device)
        self.communicator.all_reduce_(weights)
        return weights.cpu()

    def _steps_done(self, state: TrainingState) -> int:
        return len(state.history) * self.length.steps_an_epoch + state.progress.steps_done

    def _save(self, state: TrainingState) -> None:
        """Write a checkpoint, on rank 0; if that fails the training goes on, and says so at its end."""
        if self.context.checkpoints.folder is not None:
            with self.context.clock.part("checkpoints"):
                self._write(self.context.checkpoints.folder, state)

    def _write(self, folder: CheckpointFolder, state: TrainingState) -> None:
        checkpoint = capture(state, self.network, self._steps_done(state), self.place, self.communicator)
        if self.place.rank == 0:
            try:
                folder.write(replace(checkpoint, network=self.context.checkpoints.network))
            except CheckpointError as error:
                logger.warning("%s; the training goes on without it", error)
                state.lost_checkpoints.append(str(error))

    def _averaged(self, state: TrainingState) -> AbstractContextManager[None]:
        """Return a context in which the network has its averaged weights, where they are wanted."""
        if state.average is None:
            return nullcontext()
        return state.average.applied(self.network, state.flat.values.data)

    def _adapted(self) -> Task:
        """Return the task by whose losses an epoch learns that begins with the present weights."""
        compute = replace(self.steps.compute, network=self.network, precision="float32")

        def quantile(share: float, task: Task) -> float:
            with self.context.clock.part("validation"):
                return loss_quantile(share, compute, self.data, task, self.place, self.communicator)

        return self.steps.task.adapted(quantile)

    def _validate(self) -> Sums | None:
        held_out = self.data.held_out
        if not self.config.validation or held_out is None:
            return None
        sums = self.steps.task.sums(self.steps.compute.device)
        with self.context.clock.part("validation"):
            score_rows(self.network, held_out, self.steps.compute, self.steps.task, sums)
        self.communicator.all_reduce_(sums.values)
        return sums

    def _judge(self, state: TrainingState, details: dict[str, torch.Tensor]) -> None:
        """Keep the network if it is the best so far; stop if it gets no better."""
        config, metrics = self.config, self.steps.task.METRICS
        name = config.stopping_metric or next(iter(metrics))
        values: list[Any] = [record.judged[name] for record in state.history]
        if (config.keep_best or config.stopping_rounds) and (values[-1] is None or math.isnan(values[-1])):
            raise DataError(f"stoppingMetric={name!r} is undefined for the labels of the rows it is measured on")
        larger = metrics[name]
        better = state.best is None or state.best.beaten_by(values[-1], larger)
        if config.keep_best and better:
            with self._averaged(state):
                state.best = Best.of(self.network, state.flat.values.data, len(values) - 1, values[-1])
        if not config.keep_best or better:
            state.details = {table: values.clone() for table, values in details.items()}
        converged = has_converged(values, config.stopping_rounds, config.stopping_tolerance, larger)
        if state.stopped_by is None and converged:
            state.stopped_by = STOPPING_ROUNDS


def _speeds(plan: EpochPlan, first: int) -> Callable[[int], tuple[float, ...]]:
    """Return the function of the steps done that gives each rank's rows a second from now on."""
    visited, began = plan.visited(), time.perf_counter()

    def speeds(done: int) -> tuple[float, ...]:
        seconds = time.perf_counter() - began
        return tuple(((visited[:, done] - visited[:, first]) / seconds).tolist())

    return speeds
