"""Followers of trainings on the driver: a caller sees the records of all fits that it makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from sparkwater.gpu.records import NOBODY, Observer

#: Function of the most epochs of a training that begins; it returns the training's observer.
Begin: TypeAlias = Callable[[float], Observer]

_begin: ContextVar[Begin | None] = ContextVar("follower of trainings", default=None)


@contextmanager
def follow_fits(begin: Begin) -> Iterator[None]:
    """Follow the trainings that begin while the ``with`` block runs, on the driver.

    Those in this thread, and those that cross-fitting and searches make in threads of theirs. It holds for the caller
    alone: other threads' fits are not seen. A follower in a follower's block takes its place.

    Parameters
    ----------
    begin : callable
        Called with the largest number of epochs (float) when a training begins, also when it begins again after a
        lost rank; returns its `Observer`. The observer gets an `EpochRecord` after each epoch and a `StepRecord`
        about every two seconds, in other threads, best effort: records may be lost, and may overtake each other.

    Examples
    --------
    >>> from sparkwater.gpu.records import Observer
    >>> with follow_fits(lambda epochs: Observer(on_epoch=print)):  # doctest: +SKIP
    ...     model = classifier.fit(train)
    """
    token = _begin.set(begin)
    try:
        yield
    finally:
        _begin.reset(token)


def follower(epochs: float) -> Observer:
    """Return the observer of a training that begins here; one that does nothing where nobody follows."""
    begin = _begin.get()
    return NOBODY if begin is None else begin(epochs)
