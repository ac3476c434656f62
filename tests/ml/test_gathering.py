from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from sparkwater.errors import StallError
from sparkwater.ml.launch import gathering
from sparkwater.ml.launch.driver_channel import DriverChannel, listen
from sparkwater.ml.launch.gathering import KIND, Gatherer, Gathering


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
    together = Gathering(8)
    outcomes = set()

    def said_at_last(rank: int, number: int) -> str:
        time.sleep(0.001 * rank)
        return str(together(said(rank, "x", number)))

    with ThreadPoolExecutor(8) as ranks:
        for number in range(200):
            # From far too short to long enough, by way of all that is close.
            monkeypatch.setattr(gathering, "_PATIENCE_SECONDS", number * 0.0005)
            heard = set(ranks.map(lambda rank, n=number: said_at_last(rank, n), range(8)))
            assert len(heard) == 1
            outcomes |= heard
    assert len(outcomes) == 2  # both ends happened


@contextlib.contextmanager
def losing_answers(channel: DriverChannel, lost: int) -> Iterator[tuple[DriverChannel, list[int]]]:
    """Stand between a rank and the driver, and lose the first answers; what is given grows with each question."""
    asked: list[int] = []

    class Between(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((channel.host, channel.port), timeout=10) as driver:
                driver.sendall(self.rfile.readline())
                answer = driver.makefile("rb").readline()
            asked.append(len(answer))
            if len(asked) > lost:
                self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Between) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield replace(channel, port=server.server_address[1]), asked
        server.shutdown()
        thread.join()


def barrier_closed(message: str) -> list[str]:
    raise AssertionError(f"{message} came to the barrier")


def test_a_rank_whose_answers_are_lost_goes_no_other_way_than_the_others(monkeypatch):
    monkeypatch.setattr(gathering, "_SECONDS_BETWEEN_TRIES", 0.05)
    with listen("127.0.0.1", {KIND: Gathering(2)}) as channel, ThreadPoolExecutor(1) as other:
        assert channel is not None
        with losing_answers(channel, lost=3) as (lossy, asked):
            heard = other.submit(Gatherer(channel, 0, barrier_closed).all_gather, "a")
            assert Gatherer(lossy, 1, barrier_closed).all_gather("b") == ["a", "b"]
            assert heard.result(timeout=10) == ["a", "b"]
            assert len(asked) == 4
        monkeypatch.setattr(gathering, "_INSISTING_SECONDS", 1.0)
        stalls = pytest.raises(StallError, match="waited 1 seconds for an answer of the driver's")
        with losing_answers(channel, lost=1_000) as (lossy, _), stalls:
            Gatherer(lossy, 1, barrier_closed).all_gather("b")


@pytest.mark.usefixtures("impatient")
def test_what_did_not_work_once_is_not_tried_again():
    with listen("127.0.0.1", {KIND: Gathering(2)}) as channel:
        assert channel is not None
        with losing_answers(channel, lost=0) as (counting, asked):
            alone = Gatherer(counting, 0, lambda message: [message, "other"])
            assert [alone.all_gather(text) for text in ("a", "b", "c")] == [[text, "other"] for text in "abc"]
            assert len(asked) == 1


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
