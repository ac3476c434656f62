"""Exceptions of sparkwater, under one base class."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence


class SparkwaterError(Exception):
    """Base class: ``except SparkwaterError`` catches all of them."""


class ConfigurationError(SparkwaterError, ValueError):
    """A parameter or the cluster doesn't allow the request; nothing has run yet."""


class SchemaError(SparkwaterError, ValueError):
    """A column is missing, or has a type, dtype or shape that the stage doesn't take."""


class DataError(SparkwaterError, ValueError):
    """A row can't be used: a corrupt image, a null, a NaN, an unknown label, or no rows at all."""


class CheckpointError(SparkwaterError, OSError):
    """Saved weights or metadata are missing, damaged, or belong to another network."""


class UnsafeLoadError(SparkwaterError, ValueError):
    """A file asks to load something outside of what the loader allows."""


class RankFailure(SparkwaterError, RuntimeError):
    """A training rank failed and all ranks were stopped.

    Attributes
    ----------
    rank : int or None
        The rank that failed first; None when its process was lost without a report.
    host : str or None
        The host of that rank.
    epoch, step : int or None
        Its epoch and step, counted from 0; None before the first step.
    error_type : str
        Name of the exception class raised on the rank.
    remote_traceback : str
        The traceback as text, as it was on the rank.
    retryable : bool
        True where a process or an executor was lost, or a rank stood still: the same training may
        succeed when it is tried again.
    """

    def __init__(
        self,
        message: str,
        *,
        rank: int | None = None,
        host: str | None = None,
        epoch: int | None = None,
        step: int | None = None,
        error_type: str = "",
        remote_traceback: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.rank = rank
        self.host = host
        self.epoch = epoch
        self.step = step
        self.error_type = error_type
        self.remote_traceback = remote_traceback
        self.retryable = retryable


class CollectiveError(SparkwaterError, RuntimeError):
    """This rank lost the others: one of them failed and hung up."""


class StallError(CollectiveError):
    """Another rank kept this one waiting for too long, and may never answer.

    Attributes
    ----------
    unreached : list of str
        A phrase for each rank whose host can't be reached from this one's.
    """

    def __init__(self, message: str = "", unreached: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.unreached = list(unreached)


class PeerFailed(SparkwaterError):
    """Another rank gave up before the ranks trained."""


class LedgerError(SparkwaterError, RuntimeError):
    """The rows that were trained are not the rows that there are: a fault of this package."""


class UnreachableError(SparkwaterError, ConnectionError):
    """The driver can't be reached: it has heard nothing of what was to be said."""


class ForwardPassEnded(BaseException):
    """End of a forward pass after the last layer that is read. No ``except Exception`` of a network's catches it."""


#: Mistakes that can be mended: what a rank raised of these is raised on the driver as it is.
MISTAKES: dict[str, type[SparkwaterError]] = {
    kind.__name__: kind for kind in (ConfigurationError, SchemaError, DataError, CheckpointError, UnsafeLoadError)
}


def raised_on_executor(error: Exception) -> SparkwaterError | None:
    """Return the user's own mistake that a failed Spark job is about, as it was raised on the executor.

    Spark hands over an executor's exception as text. None where the job failed for another reason. A module that
    the executors' Python lacks is a mistake as well, unless another exception came of it.
    """
    text = str(error)
    named = re.search(rf"sparkwater\.errors\.({'|'.join(MISTAKES)}): (.*)", text)
    if named:
        return MISTAKES[named[1]](named[2])
    raised = re.search(r"\[USER_RAISED_EXCEPTION] (invalid row .*?)(?: SQLSTATE|\n|$)", text)
    if raised:
        return DataError(raised[1])
    chained = "During handling of|The above exception"
    missing = re.search(rf"ModuleNotFoundError: No module named '([\w.]+)'.*$(?!\s+(?:{chained}))", text, re.MULTILINE)
    if missing:
        return ConfigurationError(
            f"the Python on the executors has no module {missing[1]}; install there what this one has "
            f"({sys.executable}), or set PYSPARK_PYTHON to a Python that has it, before the session or the server of "
            "Spark Connect starts"
        )
    return None


def first_line(error: BaseException) -> str:
    """Return an error's message without the stack trace that Spark's have; its type's name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def root_cause(said: str) -> str | None:
    """Return the words of the last cause in what Spark says of an error, without its class; None without a cause."""
    causes: list[str] = re.findall(r"^Caused by: (?:[\w.$]+: )?(.+)$", said, re.MULTILINE)
    return causes[-1] if causes else None
