"""Stand-ins that several tests share."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch

from sparkwater.gpu.collective.communicator import Communicator


class ThreadCommunicator(Communicator):
    """Adds up the tensors of ranks that are threads of one process."""

    def __init__(self, rank: int, table: list[torch.Tensor], together: Barrier) -> None:
        self._rank, self._table, self._together = rank, table, together

    def begin_sum_(self, values: torch.Tensor) -> Callable[[], None]:
        """Add up in ascending order of ranks."""
        values.copy_(torch.stack(self._gathered(values)).sum(dim=0))
        return lambda: None

    def broadcast_(self, values: torch.Tensor) -> None:
        """Copy rank 0's."""
        values.copy_(self._gathered(values)[0])

    def _gathered(self, values: torch.Tensor) -> list[torch.Tensor]:
        self._table[self._rank] = values.clone()
        self._together.wait()
        gathered = list(self._table)
        self._together.wait()
        return gathered


def in_threads(run: Callable[[int, Communicator], None], ranks: int) -> None:
    """Call a function once a rank, at the same time, and raise what it raises."""
    table, together = [torch.empty(0)] * ranks, Barrier(ranks, timeout=20)

    def one(rank: int) -> None:
        try:
            run(rank, ThreadCommunicator(rank, table, together))
        except BaseException:
            together.abort()
            raise

    with ThreadPoolExecutor(ranks) as pool:
        for done in [pool.submit(one, rank) for rank in range(ranks)]:
            done.result()
