"""The interface of collectives to the training loop, and their failures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch

from sparkwater.errors import CollectiveError, StallError


class Communicator(Protocol):
    """A collective: sums and broadcasts of tensors over all ranks."""

    def begin_sum_(self, values: torch.Tensor) -> Callable[[], None]:
        """Begin to replace a contiguous tensor by its sum over all ranks; the function returned waits for that.

        All ranks begin their sums in the same order, and wait for them in that order, for none of several before
        all have begun.
        """

    def broadcast_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by rank 0's."""

    def all_reduce_(self, values: torch.Tensor) -> None:
        """Replace a contiguous tensor by its sum over all ranks."""
        self.begin_sum_(values)()


@dataclass(frozen=True)
class Meeting:
    """The ranks' meeting point and time limit.

    Attributes
    ----------
    endpoint : str
        ``address:port`` of the `RendezvousServer`.
    address : str
        This rank's own address.
    stall_timeout : int
        Seconds that one rank may keep the others waiting.
    """

    endpoint: str
    address: str
    stall_timeout: int


class LocalCommunicator(Communicator):
    """The collective of a single rank, which leaves tensors as they are."""

    def begin_sum_(self, values: torch.Tensor) -> Callable[[], None]:
        """Leave the tensor as it is."""
        del values
        return lambda: None

    def broadcast_(self, values: torch.Tensor) -> None:
        """Leave the tensor as it is."""


@contextmanager
def losing_peers(stall_timeout: int, began: float) -> Iterator[None]:
    """Convert a collective library's errors to `CollectiveError`, or to `StallError` after the stall timeout.

    Libraries count the time that they allow from the beginning of an operation, whenever one waits for it.
    """
    try:
        yield
    except Exception as error:
        waited = time.monotonic() - began
        # Libraries raise a little before or after their limit, and not always a TimeoutError.
        if waited > stall_timeout - 1:
            raise StallError(
                f"waited {waited:.0f} seconds for the other ranks (stallTimeout={stall_timeout})"
            ) from error
        raise CollectiveError(f"lost the other ranks: {error}") from error
