"""Names that resolve to nothing, to loopback, or to a network that leads nowhere; hosts that don't reach each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from gpu import ranks
from hosts.network import DEAD_END, Host, Network

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.doors import Entrance
from sparkwater.gpu.collective.world import World

#: What names resolve to on both hosts: their own address on no network that leads to the other.
NAMES = {
    "loop-a": "127.0.1.1",
    "loop-b": "127.0.1.1",
    "dead-a": f"{DEAD_END}.2",
    "dead-b": f"{DEAD_END}.3",
}


@pytest.fixture(scope="module")
def pair() -> Iterator[list[Host]]:
    with Network() as network:
        yield [network.add(2, "a", NAMES), network.add(3, "b", NAMES)]


def test_names_that_lead_nowhere_change_nothing(pair, tmp_path):
    jobs = {
        f"{collective} {kind}": {
            "starts": [0, 30, 60],
            "epochs": 1,
            "hosts": [f"{kind}{end}" for end in ends],
            "collective": collective,
        }
        for kind, ends in (("10.77.0.", "23"), ("nothing-", "ab"), ("loop-", "ab"), ("dead-", "ab"))
        for collective in ("horovod", "torch")
    }
    reports = ranks.launch("trainings", tmp_path, on=[host.on for host in pair], jobs=jobs)
    assert [report[name]["failure"] for report in reports for name in jobs] == [None] * 2 * len(jobs)
    digests = {report[name]["weights_digest"] for report in reports for name in jobs}
    assert len(digests) == 1


class Barrier:
    """Ranks in threads of this process, which exchange messages."""

    threads = 1
    gpu_addresses: list[str] = []

    def __init__(self, world: World, messages: list[str], all_there: threading.Barrier) -> None:
        self.world, self._messages, self._all_there = world, messages, all_there

    def all_gather(self, message: str) -> list[str]:
        self._messages[self.world.rank] = message
        self._all_there.wait(20)
        gathered = list(self._messages)
        self._all_there.wait(20)
        return gathered


def entrances(pair, before_knocking):
    """Return the error of each of two ranks on two hosts, and the ports of their doors."""
    together, messages = threading.Barrier(2), [""] * 2
    reports = [{}, {}]

    def one(rank):
        world = World(rank, tuple(host.address for host in pair))
        with pair[rank].entered(), ExitStack() as opened:
            entrance = Entrance.open(world, opened)
            reports[rank] = {"host": pair[rank].name, **entrance.report()}
            if together.wait(20) == 0:
                before_knocking()
            together.wait(20)
            try:
                return entrance.choose(reports, Barrier(world, messages, together))
            except ConfigurationError as error:
                return str(error)

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(one, (0, 1))), [report["doors"][0] for report in reports]


def test_hosts_that_cannot_reach_each_other_are_named_with_the_port(pair):
    try:
        (first, second), doors = entrances(pair, pair[1].cut)
    finally:
        pair[1].restore()
    assert first == second
    assert first.startswith(f"rank 1 on b (10.77.0.3) can't reach rank 0 on a at 10.77.0.2:{doors[0].port} (timed out)")
    assert "let executors' hosts connect to each other" in first
    assert entrances(pair, lambda: None)[0] == [[0, 0], [0, 0]]
