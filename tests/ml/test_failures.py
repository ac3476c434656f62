"""Exceptions of ranks as the driver raises them."""

from __future__ import annotations

import pytest

from sparkwater import errors
from sparkwater.errors import CheckpointError, DataError, RankFailure, SparkwaterError
from sparkwater.gpu.outcome import Failure, Outcome
from sparkwater.ml.launch.launcher import first_cause, lost
from sparkwater.ml.launch.progress import LastReport


def outcome(rank: int, error_type: str, first: bool) -> Outcome:
    return Outcome(rank, "here", Failure(error_type, "the word", "the traceback", epoch=1, step=2, first=first))


@pytest.mark.parametrize(
    ("error_type", "kind"),
    [
        ("DataError", DataError),
        ("CheckpointError", CheckpointError),
        ("LedgerError", RankFailure),
        ("CollectiveError", RankFailure),
        ("RankFailure", RankFailure),
        ("ZeroDivisionError", RankFailure),
        ("raised_on_executor", RankFailure),
    ],
)
def test_only_what_the_user_can_mend_is_raised_as_it_was(error_type: str, kind: type[SparkwaterError]) -> None:
    raised = first_cause([outcome(0, "PeerFailed", False), outcome(1, error_type, True)])
    assert type(raised) is kind
    if isinstance(raised, RankFailure):
        assert (raised.rank, raised.epoch, raised.step, raised.error_type) == (1, 1, 2, error_type)
        assert "the traceback" in str(raised)
    assert hasattr(errors, error_type) or error_type == "ZeroDivisionError"


STALLED = "Job aborted: sparkwater.errors.StallError: rank 0 waited 20 seconds for the other ranks (stallTimeout=20) "


@pytest.mark.parametrize(
    ("rest", "ranks", "culprit", "end"),
    [
        ("in epoch 2, step 3", 2, 1, "in epoch 2, step 3; rank 1 stood still"),
        ("in epoch 2, step 3", 3, None, "in epoch 2, step 3"),
        ("before the first epoch", 2, 1, "before the first epoch; rank 1 stood still"),
        ("between steps of epoch 2", 2, 1, "between steps of epoch 2; rank 1 stood still"),
        (
            "in epoch 2, step 3; rank 1's host can't be reached at 10.0.0.2:1 from 10.0.0.1",
            2,
            None,
            "rank 1's host can't be reached at 10.0.0.2:1 from 10.0.0.1: the network between them, or a host, is gone",
        ),
    ],
)
def test_a_stall_blames_nobody_that_it_cannot_know_of(rest: str, ranks: int, culprit: int | None, end: str) -> None:
    raised = lost(RuntimeError(f"{STALLED}{rest}\n\tat org.apache.spark"), ranks, LastReport())
    assert isinstance(raised, RankFailure)
    assert raised.rank == culprit
    assert str(raised).startswith("rank 0 waited 20 seconds")
    assert str(raised).endswith(end)
    assert raised.retryable
    assert raised.epoch == (None if "before" in rest else 2)
    assert raised.step == (3 if "step 3" in rest else None)
