"""Ranks and hosts of a training, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """One rank's view of all ranks.

    Parameters
    ----------
    rank : int
        This rank, counted from 0.
    hosts : tuple of str
        For each rank the name or address of the host that it runs on.
    """

    rank: int
    hosts: tuple[str, ...]

    @property
    def size(self) -> int:
        """The number of ranks."""
        return len(self.hosts)

    @property
    def shares_host(self) -> bool:
        """True if all ranks run on one host."""
        return len(set(self.hosts)) == 1

    @property
    def local_rank(self) -> int:
        """This rank's number among the ranks of its host."""
        return self.hosts[: self.rank].count(self.hosts[self.rank])

    @property
    def local_size(self) -> int:
        """The number of ranks on this host."""
        return self.hosts.count(self.hosts[self.rank])

    @property
    def cross_rank(self) -> int:
        """This host's number among the hosts that have a rank of this local number."""
        return self._hosts_with(self.local_rank).index(self.hosts[self.rank])

    @property
    def cross_size(self) -> int:
        """The number of hosts that have a rank of this local number."""
        return len(self._hosts_with(self.local_rank))

    def _hosts_with(self, local_rank: int) -> list[str]:
        return [host for host in dict.fromkeys(self.hosts) if self.hosts.count(host) > local_rank]


@dataclass(frozen=True)
class Place:
    """A rank among all ranks, with the rows of each.

    Attributes
    ----------
    rank : int
        This rank, counted from 0.
    rows : tuple of int
        The rows that each rank trains on.
    """

    rank: int
    rows: tuple[int, ...]

    @property
    def ranks(self) -> int:
        """The number of ranks."""
        return len(self.rows)

    @property
    def all_rows(self) -> int:
        """The rows of all ranks."""
        return sum(self.rows)
