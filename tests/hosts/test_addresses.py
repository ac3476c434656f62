"""Names that resolve to nothing, to loopback, or to a network that leads nowhere; hosts that don't reach each other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from hosts.network import DEAD_END, Host, Network
from hosts.ranks_on_hosts import launch
from processes import within

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


BOTH = ("horovod", "torch")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def pair(network) -> list[Host]:
    return [
        network.add(2, "a", {"a": "10.77.0.2", **NAMES}),
        network.add(3, "b", {"b": "10.77.0.3", **NAMES}),
    ]


def jobs_on(*cases):
    """Return trainings by name, each by a collective and with the names of the ranks' hosts."""
    return {
        f"{collective} {' '.join(hosts)}": {
            "epochs": 1,
            "starts": [30 * rank for rank in range(len(hosts) + 1)],
            "hosts": hosts,
            "collective": collective,
        }
        for collective, *hosts in cases
    }


def test_names_that_lead_nowhere_change_nothing(pair, tmp_path):
    jobs = jobs_on(
        ("horovod", "10.77.0.2", "10.77.0.3"),
        *((collective, f"{kind}-a", f"{kind}-b") for kind in ("nothing", "loop", "dead") for collective in BOTH),
    )
    reports = launch(pair, "trainings", tmp_path, limit=200, jobs=jobs)
    assert [report[name]["failure"] for report in reports for name in jobs] == [None] * 2 * len(jobs)
    assert len({report[name]["weights_digest"] for report in reports for name in jobs}) == 1


def test_hosts_own_names_that_mislead_horovod_are_refused_and_torch_does_not_mind(network, tmp_path):
    known = {"c": {"c": "10.77.0.4"}, "d": {"d": "127.0.1.1"}, "e": {}}
    hosts = [network.add(number, name, known[name]) for number, name in enumerate("cde", 4)]
    places = [host.address for host in hosts]
    jobs = jobs_on(("horovod", *places), ("torch", *places))
    refused, trained = jobs
    for report in launch(hosts, "trainings", tmp_path, limit=200, jobs=jobs):
        assert report[refused]["failure"]["error_type"] == "ConfigurationError"
        assert report[refused]["failure"]["message"] == (
            "Horovod listens where a host's own name leads to, and on rank 1's host the name d leads to 127.0.1.1; add "
            "the line '10.77.0.5 d' to /etc/hosts there, or use collective='torch'"
        )
        assert report[trained]["failure"] is None


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
        with within(15):  # they knock for 4 seconds
            (first, second), doors = entrances(pair, pair[1].cut)
    finally:
        pair[1].restore()
    assert first == second
    assert first.startswith(f"rank 1 on b (10.77.0.3) can't reach rank 0 on a at 10.77.0.2:{doors[0].port} (timed out)")
    assert "let executors' hosts connect to each other" in first
    assert entrances(pair, lambda: None)[0] == [[[0], [0]]] * 2
