"""The choice of addresses between hosts, as far as one host can try it; tests/hosts has several."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from sparkwater.errors import ConfigurationError, StallError
from sparkwater.gpu.collective import doors
from sparkwater.gpu.collective.doors import End, Entrance, naming_unreached
from sparkwater.gpu.collective.world import World

LOOPBACK = "127.0.0.1"


def test_ranks_of_one_host_meet_on_loopback_without_doors() -> None:
    with ExitStack() as opened:
        entrances = [Entrance.open(World(rank, ("here", "here")), opened) for rank in (0, 1)]
        assert [entrance.addresses for entrance in entrances] == [[LOOPBACK]] * 2
        assert [entrance.doors for entrance in entrances] == [[], []]
        assert [len(entrance.rendezvous) for entrance in entrances] == [1, 0]
        port = int(entrances[0].rendezvous[0].server_address[1])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port), timeout=5)


REPORTS = [
    {"host": name, "address": f"10.0.0.{rank}", "doors": [[f"10.0.{net}.{rank}", 1000 + rank] for net in (0, 1)]}
    for rank, name in enumerate("abc")
]


@pytest.mark.parametrize(
    ("unreached", "chosen"),
    [
        ({}, [[0, 1], [0, 1], [0, 1]]),
        ({(1, 0, 0): "timed out"}, [[1], [0, 1], [0, 1]]),
        ({(0, 2, 0): "no route", (1, 2, 0): "no route"}, [[0, 1], [0, 1], [1]]),
        # Each of them reaches another one: there is none for both.
        ({(1, 0, 0): "timed out", (2, 0, 1): "refused"}, "rank 1 on b .*can't reach rank 0 on a at 10.0.0.0:1000 "),
        ({(2, 1, 0): "timed out", (2, 1, 1): "no route"},
         r"rank 2 on c \(10.0.0.2\) can't reach rank 1 on b at 10.0.0.1:1001 \(timed out\), 10.0.1.1:1001 \(no"),
    ],
)  # fmt: skip
def test_an_address_counts_where_all_others_reach_it(
    unreached: dict[tuple[int, int, int], str], chosen: list[list[int]] | str
) -> None:
    ranks = range(3)
    answers = [[[unreached.get((here, there, n), "") for n in (0, 1)] for there in ranks] for here in ranks]
    if isinstance(chosen, str):
        with pytest.raises(ConfigurationError, match=chosen):
            [doors._reached_by_all(rank, REPORTS, answers) for rank in ranks]
    else:
        assert [doors._reached_by_all(rank, REPORTS, answers) for rank in ranks] == chosen


def test_a_door_opens_to_its_word_only() -> None:
    with doors._Door(LOOPBACK, "a word") as door:
        end = End(LOOPBACK, door.server_address[1])
        assert doors._knock(end, "a word") == ""
        assert doors._knock(end, "a ward") == "another process answers"
    assert doors._knock(end, "a word") == "Connection refused"


def test_a_host_that_is_there_is_not_named_after_a_stall() -> None:
    with socket.create_server((LOOPBACK, 0)) as listening:
        ends = [End(LOOPBACK, 1), End(*listening.getsockname())]
        with pytest.raises(StallError) as caught, naming_unreached(ends, 0):
            raise StallError("waited")
    assert caught.value.unreached == []
