"""The mutable state of a rank's training, in one value."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from sparkwater.gpu.records import EpochRecord, Progress
from sparkwater.gpu.tasks import Sums, Task
from sparkwater.gpu.training.flat_parameters import FlatParameters
from sparkwater.gpu.training.regularizers.weight_average import WeightAverage
from sparkwater.gpu.training.stopping import Best

#: What ended a training: all epochs were done, or the Param of this name said so.
EPOCHS, STOPPING_ROUNDS, MAX_RUNTIME, CALLBACKS = "epochs", "stoppingRounds", "maxRuntimeSecs", "callbacks"


@dataclass
class TrainingState:
    """The state of a training; with the network's buffers, enough for a later process to go on.

    Rates follow from the number of steps, and random numbers from the seed and the position, so
    neither a schedule nor a generator has a state of its own.

    Attributes
    ----------
    flat : FlatParameters
        The weights.
    optimizer : torch.optim.Optimizer
        The optimizer with its moments.
    scaler : torch.amp.GradScaler
        See `sparkwater.gpu.networks.compute.loss_scaler`.
    sums : Sums
        Of this rank's training rows in this epoch so far.
    progress : Progress
        Epoch and step.
    task : Task
        The task by whose losses this epoch learns.
    average : WeightAverage or None
        The averaged weights, where they are wanted.
    loss : float
        Sum of the losses over the rows of all ranks in this epoch so far.
    rows : int
        Rows trained in this epoch so far, on all ranks.
    history : list of EpochRecord
        Records of the epochs done, on which early stopping is decided.
    best : Best or None
        The network after its best epoch, where that is wanted.
    stopped_by : str or None
        What ended the training; None while it runs.
    details : dict of str to torch.Tensor
        `sparkwater.gpu.tasks.Sums.details` of the rows that judge, after the epoch whose network this is.
    learning_rate : float
        Of the last step.
    lost_checkpoints : list of str
        Reasons of failed writes of checkpoints, on rank 0.
    """

    flat: FlatParameters
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    sums: Sums
    progress: Progress
    task: Task
    average: WeightAverage | None = None
    loss: float = 0.0
    rows: int = 0
    history: list[EpochRecord] = field(default_factory=list)
    best: Best | None = None
    stopped_by: str | None = None
    details: dict[str, torch.Tensor] = field(default_factory=dict)
    learning_rate: float = 0.0
    lost_checkpoints: list[str] = field(default_factory=list)

    def begin_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch."""
        self.progress.epoch, self.progress.step = epoch, None
        self.loss, self.rows = 0.0, 0
        self.sums.values.zero_()
