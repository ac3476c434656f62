from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gpu import ranks
from processes import begun, eventually

from sparkwater.gpu.communicator import CollectiveError, Meeting, StallError
from sparkwater.gpu.hosts import LOOPBACK
from sparkwater.gpu.rendezvous import RendezvousServer
from sparkwater.gpu.shared_memory import machine, shared_memory
from sparkwater.gpu.world import World


@pytest.mark.parametrize("size", [2, 3, 5])
def test_sums_are_those_in_ascending_order_of_ranks_to_the_last_bit(size: int, tmp_path: Path) -> None:
    for report in ranks.launch("sums", tmp_path, ranks=size, limit=120):
        assert report == {"wrong": [], "shared": [True], "left": []}


@pytest.fixture
def meeting() -> object:
    with RendezvousServer(LOOPBACK, [LOOPBACK]) as server:
        yield Meeting(server.endpoint, LOOPBACK, 5)


def added(meeting: Meeting, rank: int, size: int = 2) -> float:
    """Return the sum of the ranks' numbers, by a rank in this process."""
    number = torch.tensor([10.0**rank])
    with shared_memory(World(rank, ("here",) * size), meeting) as communicator:
        communicator.all_reduce_(number)
    return number.item()


def test_ranks_that_do_not_come_are_not_waited_for_without_end(meeting: Meeting) -> None:
    with pytest.raises(StallError, match=r"stallTimeout=5"):
        added(meeting, 0)


def test_a_rank_that_is_gone_is_named(meeting: Meeting) -> None:
    def leaves() -> None:
        with shared_memory(World(1, ("here",) * 3), meeting):
            raise ArithmeticError

    gone, other = begun(leaves), begun(lambda: added(meeting, 2, 3))
    with pytest.raises(CollectiveError, match=r"lost the other ranks: .*(rank 1 is gone|Broken pipe)"):
        added(meeting, 0, 3)
    assert isinstance(gone.exception(10), ArithmeticError)
    assert isinstance(other.exception(10), CollectiveError)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user")
def test_another_user_is_no_rank(meeting: Meeting) -> None:
    waiting = begun(lambda: added(meeting, 0))
    names: list[str] = []

    def listens() -> bool:
        names[:] = re.findall(r"@(sparkwater-\w+)", Path("/proc/net/unix").read_text())
        return bool(names)

    assert eventually(listens)
    program = f"""
import os, socket
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as stranger:
    stranger.connect("\\0{names[0]}")
    stranger.sendall(bytes([0, 0, 0, 1]))
    try:
        print("heard", stranger.recv(1))
    except ConnectionResetError:
        print("closed unread")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout.strip() == "closed unread", done.stderr
    assert not waiting.done()
    assert added(meeting, 1) == waiting.result(10) == 11.0


PRINT_MACHINE = [sys.executable, "-c", "from sparkwater.gpu.shared_memory import machine; print(machine())"]
IN_ANOTHER_NETWORK = ["unshare", "--net"]


def printed(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def test_processes_of_a_machine_know_it_by_the_same_name() -> None:
    assert printed(PRINT_MACHINE) == machine() != ""


@pytest.mark.skipif(
    shutil.which("unshare") is None
    or subprocess.run([*IN_ANOTHER_NETWORK, "true"], capture_output=True).returncode > 0,
    reason="no process can be started in another network here",
)
def test_a_process_that_sees_another_network_is_on_another_machine() -> None:
    assert printed([*IN_ANOTHER_NETWORK, *PRINT_MACHINE]) not in ("", machine())
