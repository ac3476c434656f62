from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import torch
from gpu import ranks
from processes import begun, eventually

from sparkwater.errors import CollectiveError, StallError
from sparkwater.gpu.collective.addresses import LOOPBACK
from sparkwater.gpu.collective.communicator import Meeting
from sparkwater.gpu.collective.rendezvous import RendezvousServer, RendezvousStore
from sparkwater.gpu.collective.shared_memory import machine, shared_memory
from sparkwater.gpu.collective.world import World


@pytest.mark.parametrize("size", [2, 5])
def test_sums_are_those_in_ascending_order_of_ranks_to_the_last_bit(size: int, tmp_path: Path) -> None:
    for report in ranks.launch("sums", tmp_path, ranks=size, limit=120):
        assert report == {"wrong": [], "shared": [True], "left": []}


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    with RendezvousServer(LOOPBACK, [LOOPBACK]) as server:
        yield Meeting(server.endpoint, LOOPBACK, 5)


def added(meeting: Meeting, rank: int, size: int = 2) -> float:
    """Return the sum of the ranks' numbers, by a rank in this process."""
    number = torch.tensor([10.0**rank])
    with shared_memory(World(rank, ("here",) * size), meeting) as communicator:
        communicator.all_reduce_(number)
    return number.item()


def test_ranks_that_do_not_come_are_not_waited_for_without_end(meeting: Meeting) -> None:
    with pytest.raises(StallError, match=r"stallTimeout=1"):
        added(replace(meeting, stall_timeout=1), 0)


def test_a_rank_that_is_gone_is_named(meeting: Meeting) -> None:
    def leaves() -> None:
        with shared_memory(World(1, ("here",) * 3), meeting):
            raise ArithmeticError

    gone, other = begun(leaves), begun(lambda: added(meeting, 2, 3))
    with pytest.raises(CollectiveError, match="lost the other ranks: rank 1 is gone"):
        added(meeting, 0, 3)
    assert isinstance(gone.exception(10), ArithmeticError)
    assert isinstance(other.exception(10), CollectiveError)


def test_sums_that_are_waited_for_in_another_order_are_an_error(meeting: Meeting) -> None:
    def add_two(rank: int) -> None:
        with shared_memory(World(rank, ("here",) * 2), meeting) as communicator:
            finishes = [communicator.begin_sum_(torch.ones(3)) for _ in range(2)]
            finishes[1]()

    both = [begun(partial(add_two, rank)) for rank in (0, 1)]
    endings = [str(each.exception(10)) for each in both]
    # Whoever is second may find the first one gone.
    assert any("another order than they began in" in ending for ending in endings), endings
    assert "None" not in endings


AS_ANOTHER_USER = """
import os, socket
os.setuid(65534)
print(act(socket.socket(socket.AF_UNIX)), flush=True)
"""


def stranger(act: str) -> subprocess.Popen[str]:
    """Start a process of another user, that does something with a UNIX socket and prints what comes of it."""
    program = act + AS_ANOTHER_USER
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def names_of_sockets() -> set[str]:
    return set(re.findall(r"@(sparkwater-\w+)", Path("/proc/net/unix").read_text()))


only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")


@only_root
def test_another_user_is_no_rank(meeting: Meeting) -> None:
    before = names_of_sockets()
    waiting = begun(lambda: added(meeting, 0))
    assert eventually(lambda: bool(names_of_sockets() - before))
    (name,) = names_of_sockets() - before
    calls = f"""
def act(caller):
    try:
        caller.connect("\\0{name}")
        caller.sendall(bytes([0, 0, 0, 1]))
        return caller.recv(1)
    except (BrokenPipeError, ConnectionResetError):
        return "refused"
"""
    assert stranger(calls).communicate(timeout=20)[0].strip() == "refused"
    assert not waiting.done()
    assert added(meeting, 1) == waiting.result(10) == 11.0


@only_root
def test_another_user_who_answers_for_a_rank_is_told_nothing(meeting: Meeting) -> None:
    answers = """
def act(listener):
    listener.bind("\\0sparkwater-stranger")
    listener.listen()
    print("listening", flush=True)
    return listener.accept()[0].recv(4)
"""
    imposter = stranger(answers)
    assert imposter.stdout is not None
    assert imposter.stdout.readline() == "listening\n"
    RendezvousStore(meeting.endpoint, timedelta(seconds=5)).set("memory-0", "\0sparkwater-stranger")
    with pytest.raises(CollectiveError, match="another user answers for rank 0"):
        added(meeting, 1)
    assert imposter.communicate(timeout=20)[0].strip() == "b''"


def test_processes_of_a_machine_know_it_by_the_same_name(tmp_path: Path) -> None:
    assert ranks.launch("machines", tmp_path, ranks=1, apart=False) == [machine()] != [""]


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode > 0,
    reason="no process can be started in another network here",
)
def test_a_process_that_sees_another_network_is_on_another_machine(tmp_path: Path) -> None:
    (seen,) = ranks.launch("machines", tmp_path, ranks=1, apart=True)
    assert seen not in ("", machine())
