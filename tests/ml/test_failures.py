"""Exceptions of ranks as the driver raises them."""

from __future__ import annotations

import pytest

from sparkwater import errors
from sparkwater.errors import CheckpointError, DataError, RankFailure, SparkwaterError
from sparkwater.gpu.outcome import Failure, Outcome
from sparkwater.ml.launch.launcher import first_cause


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
