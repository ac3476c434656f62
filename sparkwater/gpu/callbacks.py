"""User callbacks after each epoch, which may end the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from sparkwater.gpu.collective.communicator import Communicator
from sparkwater.gpu.records import EpochRecord

#: It gets the epoch's record; what it returns matters only where it is True.
Callback = Callable[[EpochRecord], Any]


def call_back(
    callbacks: Sequence[Callback], record: EpochRecord, rank: int, communicator: Communicator, device: torch.device
) -> bool:
    """Call all of them on rank 0, and return on all ranks whether one of them returned True.

    Parameters
    ----------
    callbacks : sequence of callable
        The same number on all ranks.
    record : EpochRecord
        The argument of each call.
    rank : int
        This rank.
    communicator : Communicator
        Open; every rank calls this at the same time.
    device : torch.device
        The device of the communicator's tensors.
    """
    if not callbacks:
        return False
    answer = torch.zeros(1, device=device)
    if rank == 0:
        answer[0] = float(any([_is_true(callback(deepcopy(record))) for callback in callbacks]))  # noqa: C419 - calls each
    communicator.broadcast_(answer)
    return bool(answer.item())


def _is_true(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_)) and bool(value)
