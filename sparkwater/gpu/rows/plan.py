"""Epoch plans: the rows that each rank visits in each step, a pure function of row counts.

Every rank takes the same number of steps and every row is in exactly one of them. A rank's rows
are spread evenly over the steps, so a rank with a tenth of the rows brings a tenth of each global
batch, and one without rows brings none. Global batches differ in size by one at most: there is no
short one at the end that would weigh its rows more than others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparkwater.gpu.seeding import derive_seed


@dataclass(frozen=True)
class EpochPlan:
    """One epoch of all ranks.

    Parameters
    ----------
    rows : tuple of int
        The rows that each rank holds.
    steps : int
        The steps that every rank takes.
    seed : int
        The training's seed.
    epoch : int
        The epoch, counted from 0.
    """

    rows: tuple[int, ...]
    steps: int
    seed: int
    epoch: int

    def bounds(self, rank: int) -> npt.NDArray[np.int64]:
        """Return ``steps + 1`` positions in `order`: step ``s`` visits those from ``s`` to ``s + 1``."""
        share, rest = divmod(self.rows[rank], self.steps)
        # Each rank's remainder goes to the steps after those that took the ranks' before it.
        first = sum(rows % self.steps for rows in self.rows[:rank])
        sizes = share + ((np.arange(self.steps) - first) % self.steps < rest)
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def order(self, rank: int) -> npt.NDArray[np.int64]:
        """Return the order in which a rank visits its rows: each of them once."""
        generator = np.random.Generator(np.random.PCG64(derive_seed(self.seed, "order", self.epoch, rank)))
        return generator.permutation(self.rows[rank])

    def visited(self) -> npt.NDArray[np.int64]:
        """Return the rows that each rank has visited before each step, and at the end: shape (ranks, steps + 1)."""
        return np.stack([self.bounds(rank) for rank in range(len(self.rows))])

    def global_batches(self) -> npt.NDArray[np.int64]:
        """Return for each step the rows that all ranks visit together."""
        return np.diff(self.visited().sum(axis=0))


def steps_an_epoch(rows: int, batch_size: int) -> int:
    """Return the steps in which all rows are visited once.

    Parameters
    ----------
    rows : int
        Of all ranks.
    batch_size : int
        Rows of a global batch, all ranks together.
    """
    return math.ceil(rows / batch_size)


def plan_epoch(rows: Sequence[int], batch_size: int, seed: int, epoch: int) -> EpochPlan:
    """Plan one epoch.

    Parameters
    ----------
    rows : sequence of int
        The rows that each rank holds; zeros are fine, but not all of them.
    batch_size : int
        Rows of a global batch, all ranks together. See `steps_an_epoch`.
    seed, epoch : int
        Seeds of the order of the rows.
    """
    return EpochPlan(tuple(rows), steps_an_epoch(sum(rows), batch_size), seed, epoch)
