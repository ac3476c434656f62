"""Trainings of one rank in this process."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import torch
from gpu import ranks
from torch import nn

from sparkwater.gpu.collective.communicator import LocalCommunicator
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.job import RankJob
from sparkwater.gpu.networks.compute import Compute
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.rows.held import load_rows
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.training.loop import train
from sparkwater.gpu.training.state import TrainingState

#: A scaling that doesn't depend on the rows.
FIXED = Scaling((80.0,), (50.0,))


def trained(batches: list[pa.RecordBatch], rows: int = 40, kind: str = "classification", **changes: Any) -> Outcome:
    if kind != "classification":
        batches, changes = ranks.relabelled(batches, kind), {**changes, "task": ranks.TASKS[kind][0]}
    outcome = run_rank(batches, ranks.rank_job(rows, **changes), SinglePeer())
    assert outcome.failure is None, outcome.failure
    return outcome


def train_network(network: nn.Module, batches: list[pa.RecordBatch], place: Place, job: RankJob) -> TrainingState:
    rows = load_rows(batches, job.spec, job.task, "error")
    compute = Compute(network, FIXED, torch.device("cpu"))
    return train(compute, rows, job.task, place, job.config, LocalCommunicator())
