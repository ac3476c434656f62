"""A training step on one rank: forward, backward, the sum over the ranks, and the update."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from sparkwater.errors import DataError
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.networks.inputs import Inputs
from sparkwater.gpu.networks.treatment import Progressing
from sparkwater.gpu.records import Progress
from sparkwater.gpu.rows.augmentation import augment
from sparkwater.gpu.rows.held import Batch
from sparkwater.gpu.seeding import derive_seed, seed_generators
from sparkwater.gpu.tasks import Task
from sparkwater.gpu.training.batch_statistics import copied_buffers, stored_statistics
from sparkwater.gpu.training.gradients import GradientSum
from sparkwater.gpu.training.members import mean_of_members, member_losses, with_offsets
from sparkwater.gpu.training.optimizers import set_step
from sparkwater.gpu.training.regularizers.adversarial import Adversary
from sparkwater.gpu.training.regularizers.penalties import limit_norms, shape_gradients
from sparkwater.gpu.training.regularizers.sparsity import Sparsity
from sparkwater.gpu.training.schedules import Length, learning_rate, momentum, weight_decay
from sparkwater.gpu.training.state import TrainingState

#: Numbers that travel with the gradients: the sum of the losses, the rows, and whether rank 0 has no more time.
EXTRA = 3


class StepId(NamedTuple):
    """A step by its number in its epoch, both counted from 0."""

    epoch: int
    step: int


@dataclass(frozen=True)
class Stepper:
    """The steps of a training on one rank.

    Attributes
    ----------
    network : torch.nn.Module
        The module being trained.
    compute : Compute
        The module's computation on its device.
    rank : int
        This rank.
    config : TrainConfig
        Hyperparameters.
    length : Length
        Of the training.
    task : Task
        What the network learns; losses are those of `TrainingState.task`.
    gradients : GradientSum
        Sum of the gradients over the ranks.
    deadline : float
        Time limit by the monotonic clock, checked before a backward pass: this step or the next one is the last.
    sparsity : Sparsity, optional
        Penalty on the mean activations of hidden units.
    progressing : sequence of Progressing
        Modules of the network that change in the course of the training.
    """

    network: nn.Module
    compute: Compute
    rank: int
    config: TrainConfig
    length: Length
    task: Task
    gradients: GradientSum
    deadline: float
    sparsity: Sparsity | None = None
    progressing: Sequence[Progressing] = ()

    def begin(self, state: TrainingState, batch: Batch, step: StepId, global_weight: float) -> None:
        """Compute the gradients of this rank's share of a step, which are on their way to the others then."""
        flat = state.flat
        self._seed_noise(step)
        for module in self.progressing:
            module.set_progress(self._done(step) / self.length.steps)
        flat.clear()
        # Filled: a number that is assigned is copied from the host, which waits then for all that a GPU has begun.
        flat.extra[1].fill_(len(batch))
        if len(batch):
            with stored_statistics(self.network, len(batch) == 1):
                loss = self._forward(state, batch, step)
                flat.extra[0] = loss.detach()
                flat.extra[2].fill_(self._is_late())
                state.scaler.scale(loss / global_weight).backward()  # type: ignore[no-untyped-call]
        else:
            flat.extra[2].fill_(self._is_late())
            if self.sparsity is not None:
                self.sparsity.add_nothing()
        self.gradients.send_rest()

    def finish(self, state: TrainingState, step: StepId) -> bool:
        """Update the weights once the gradients of all ranks are there; return whether there is no time for more.

        Raises
        ------
        DataError
            When the loss is no longer finite: on all ranks, in the same step.
        """
        config, flat = self.config, state.flat
        self.gradients.finish()
        loss, rows, overtime = flat.extra.tolist()
        _check_loss(loss, step)
        state.loss += loss
        state.rows += round(rows)
        done = self._done(step)
        state.learning_rate = learning_rate(config, self.length, done)
        moment, decay = momentum(config, self.length, done), weight_decay(config, self.length, done)
        set_step(state.optimizer, state.learning_rate, moment, decay)
        state.scaler.unscale_(state.optimizer)
        shape_gradients(flat, config)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        limit_norms(flat, config)
        if state.average is not None:
            state.average.add(self.network, flat.values.data, done + 1)
        return overtime > 0

    def _done(self, step: StepId) -> int:
        return step.epoch * self.length.steps_an_epoch + step.step

    def _is_late(self) -> bool:
        return time.monotonic() > self.deadline

    def _forward(self, state: TrainingState, batch: Batch, step: StepId) -> torch.Tensor:
        """Return the sum of this rank's losses, and add its scores."""
        inputs = self.compute.inputs(self._augmented(batch.features, step))
        targets = self.task.targets_of(inputs, batch.targets)
        outputs = self.compute.outputs_of(inputs)
        shifted = self._shifted(outputs, batch)
        losses = member_losses(state.task, shifted, targets)
        if self.sparsity is not None:
            losses = losses + self.sparsity.penalties(batch.weights)
        if self.config.virtual_adversarial_radius:
            losses = losses + self._adversarial_losses(state, inputs, batch, shifted, step)
        if batch.weights is not None:
            losses = losses * batch.weights.float()
        in_task = self.task.row_weights(batch.targets)
        if in_task is not None:
            losses = losses * in_task
        with torch.no_grad():
            state.sums.add(self.task.adjust(mean_of_members(shifted)), targets, batch.weights)
        return losses.sum()

    def _shifted(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        return outputs if batch.offsets is None else with_offsets(self.task, outputs, batch.offsets)

    def _adversarial_losses(
        self, state: TrainingState, inputs: Inputs, batch: Batch, shifted: torch.Tensor, step: StepId
    ) -> torch.Tensor:
        def predict(moved: Inputs) -> torch.Tensor:
            self._seed_noise(step)  # the same units are dropped as at the row itself
            return mean_of_members(self._shifted(self.compute.outputs_of(moved), batch))

        seed = derive_seed(self.config.seed, "adversary", step.epoch, self.rank, step.step)
        generator = torch.Generator(self.compute.device).manual_seed(seed)
        radius, numbers = self.config.virtual_adversarial_radius, self.compute.numbers
        with copied_buffers(self.network):
            adversary = Adversary(predict, self.task.divergences, radius, numbers)
            return adversary.losses(inputs, mean_of_members(shifted), generator, state.scaler.scale)

    def _seed_noise(self, step: StepId) -> None:
        # By the step: there is no generator whose state a checkpoint would have to hold.
        noise = derive_seed(self.config.seed, "noise", step.epoch, self.rank, step.step)
        seed_generators(noise, self.compute.device)

    def _augmented(self, features: torch.Tensor, step: StepId) -> torch.Tensor:
        if not self.config.augmentation:
            return features
        # A generator for each step: nothing to keep between steps, and torch's own stays as it is.
        seed = derive_seed(self.config.seed, "augmentation", step.epoch, self.rank, step.step)
        return augment(features, self.config.augmentation, torch.Generator().manual_seed(seed))


def _check_loss(loss: float, step: StepId) -> None:
    if not math.isfinite(loss):
        raise DataError(f"the loss is {loss} {Progress(*step)}; a lower learningRate or fewer extreme values may help")
