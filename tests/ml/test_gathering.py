from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from sparkwater.ml import gathering
from sparkwater.ml.driver_channel import DriverChannel, listen
from sparkwater.ml.gathering import KIND, Gatherer, Gathering


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(gathering, "_PATIENCE_SECONDS", 0.5)


def said(rank: int, message: str, number: int = 0) -> dict[str, Any]:
    return {"round": number, "rank": rank, "message": message}


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_every_rank_gets_all_messages_in_order_round_by_round():
    together = Gathering(4)
    with ThreadPoolExecutor(4) as ranks:
        for number in range(3):
            answers = list(ranks.map(lambda rank, n=number: together(said(rank, f"{n}.{rank}", n)), (2, 0, 3, 1)))
            assert answers == [{"messages": [f"{number}.{rank}" for rank in range(4)]}] * 4


def test_who_asks_again_gets_the_same_and_nobody_changes_a_word():
    together = Gathering(1)
    assert together(said(0, "a")) == together(said(0, "a")) == {"messages": ["a"]}
    with pytest.raises(ValueError, match="said something else"):
        together(said(0, "b"))
    with pytest.raises(ValueError, match="no rank 1"):
        together(said(1, "b"))
    assert together(said(0, "a")) == {"messages": ["a"]}


@pytest.mark.usefixtures("impatient")
def test_all_are_sent_to_the_barrier_or_none():
    together = Gathering(3)
    with ThreadPoolExecutor(2) as ranks:
        assert list(ranks.map(lambda rank: together(said(rank, "here")), (0, 1))) == [{"messages": None}] * 2
    assert together(said(2, "late")) == {"messages": None}
    assert together(said(0, "here")) == {"messages": None}


def test_ranks_that_come_at_the_last_moment_all_hear_the_same(monkeypatch):
    monkeypatch.setattr(gathering, "_PATIENCE_SECONDS", 0.001)
    together = Gathering(8)
    outcomes = set()
    with ThreadPoolExecutor(8) as ranks:
        for number in range(300):
            answers = ranks.map(lambda rank, n=number: str(together(said(rank, "x", n))), range(8))
            heard = set(answers)
            assert len(heard) == 1
            outcomes |= heard
    assert len(outcomes) == 2  # both ends happened


def gathered(session: Any, channel: DriverChannel, unreachable: int, forbidden: bool) -> list[list[str]]:
    """Return what two barrier tasks hear in two rounds; the port is closed for one, or the barrier for all."""
    closed = closed_port()

    def program(_: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import BarrierTaskContext

        context = BarrierTaskContext.get()
        rank = context.partitionId()
        barrier = None if forbidden else context.allGather
        gatherer = Gatherer(replace(channel, port=closed) if rank == unreachable else channel, rank, barrier)  # type: ignore[arg-type]
        heard = [gatherer.all_gather(f"{number}.{rank}") for number in range(2)]
        yield pa.RecordBatch.from_pydict({"heard": heard})

    frame = session.range(0, 2, 1, 2).mapInArrow(program, "heard array<string>", barrier=True)
    return [row.heard for row in frame.collect()]


def test_tasks_of_a_barrier_stage_meet_without_the_barrier(spark):
    with listen("127.0.0.1", {KIND: Gathering(2)}) as channel:
        assert channel is not None
        assert gathered(spark, channel, -1, forbidden=True) == [["0.0", "0.1"], ["1.0", "1.1"]] * 2


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("unreachable", [0, 1])
def test_where_one_task_cannot_reach_the_driver_all_meet_at_the_barrier(spark, unreachable):
    with listen("127.0.0.1", {KIND: Gathering(2)}) as channel:
        assert channel is not None
        assert gathered(spark, channel, unreachable, forbidden=False) == [["0.0", "0.1"], ["1.0", "1.1"]] * 2
