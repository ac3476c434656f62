from __future__ import annotations

import importlib.util
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu import ranks
from processes import begun

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.communicator import LocalCommunicator, Meeting
from sparkwater.gpu.collective.connections import COLLECTIVES, missing_collective, open_communicator
from sparkwater.gpu.collective.world import World


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_two_ranks_add_up_and_copy_through_several_connections_and_leave_nothing_behind(
    collective: str, tmp_path: Path
) -> None:
    reports = ranks.launch("cycles", tmp_path, collective=collective)
    for report in reports:
        assert report["sums"] == [True] * 12
        assert report["copies"] == [[0.0] * 5, [10.0] * 5, [20.0] * 5]
        assert report["changed"] == []
    # Rank 0 serves the rendezvous as well, whose threads may need a moment to end.
    assert len(set(reports[1]["threads"])) == 1


def test_the_store_of_torch_is_there_as_long_as_the_ranks_are_connected(tmp_path: Path) -> None:
    assert ranks.launch("late_keys", tmp_path) == [["of rank 0", "of rank 1"]] * 2


@pytest.mark.parametrize(
    ("collective", "culprit"), [("horovod", 0), ("horovod", 1), ("torch", 0), ("memory", 0), ("memory", 1)]
)
def test_a_rank_that_raises_is_noticed_by_the_other(collective: str, culprit: int, tmp_path: Path) -> None:
    reports = ranks.launch(
        "fault", tmp_path, collective=collective, kind="raise", culprit=culprit, stall_timeout=60, limit=50
    )
    assert reports[culprit]["raised"] == "ZeroDivisionError"
    assert reports[1 - culprit]["raised"] == "CollectiveError"
    assert "lost the other ranks" in reports[1 - culprit]["message"]
    assert reports[1 - culprit]["seconds"] < 30
    assert [report["held"] for report in reports] == [0, 0]


STALLS = [("horovod", 0), ("horovod", 1), ("torch", 1), ("memory", 0), ("memory", 1)]
Reports = list[dict[str, Any]]


def stall(folder: Path, collective: str, culprit: int) -> Reports:
    settings = {"collective": collective, "culprit": culprit, "kind": "stall", "stall_timeout": 5}
    return ranks.launch("fault", folder, limit=60, **settings)


@pytest.fixture(scope="module")
def stalls(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Future[Reports]]:
    """Ranks that wait for others which sleep: all at once, because they do nothing else."""
    return {each: begun(partial(stall, tmp_path_factory.mktemp("stall"), *each)) for each in STALLS}


@pytest.mark.parametrize(("collective", "culprit"), STALLS)
def test_a_rank_that_keeps_the_other_waiting_is_given_up(
    stalls: dict[tuple[str, int], Future[Reports]], collective: str, culprit: int
) -> None:
    reports = stalls[collective, culprit].result()
    waiting = reports[1 - culprit]
    assert waiting["raised"] == "StallError"
    assert 4 < waiting["seconds"] < 24
    assert reports[culprit]["raised"] == "CollectiveError", "a rank that comes too late must not train on alone"


def test_one_rank_needs_no_horovod(tmp_path: Path) -> None:
    (report,) = ranks.launch("alone_without_horovod", tmp_path, ranks=1)
    assert (report["kind"], report["values"]) == (LocalCommunicator.__name__, [1.0, 2.0])
    for_one, for_two, of_torch = report["missing"]
    assert for_one is of_torch is None
    assert "sparkwater.gpu.build_horovod" in for_two


def test_an_installed_horovod_is_not_missed() -> None:
    assert importlib.util.find_spec("horovod") is not None
    assert missing_collective("horovod", 2) is None


def test_an_unknown_collective_is_refused_with_the_accepted_names() -> None:
    meeting, device = Meeting("none", "127.0.0.1", 5), torch.device("cpu")
    with (
        pytest.raises(ConfigurationError, match=r"'mpi'.*horovod, torch"),
        open_communicator("mpi", World(0, ("a", "a")), meeting, device),
    ):
        pass
