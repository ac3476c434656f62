"""Content of a report: what a page needs to know of an ensemble."""

# ruff: noqa: D102 - EnsembleSummary says what each is.

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sparkwater.stacking.diagnostics import Diagnostics
    from sparkwater.stacking.scores import Curve, Score, Tried

#: Names are cut to this many characters in plots; tables have all of them.
LONGEST = 28


class Content(Protocol):
    """Summary of an ensemble, as `sparkwater.stacking.summary.EnsembleSummary` has it."""

    @property
    def strategy(self) -> str: ...
    @property
    def metrics(self) -> tuple[str, str]: ...
    @property
    def scores(self) -> tuple[Score, ...]: ...
    @property
    def rows(self) -> int: ...
    @property
    def folds(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def skipped(self) -> tuple[str, ...]: ...
    @property
    def metaLearner(self) -> str: ...
    @property
    def tried(self) -> tuple[Tried, ...]: ...
    @property
    def learners(self) -> tuple[str, ...]: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def calibration(self) -> str: ...
    @property
    def calibrationsTried(self) -> tuple[Tried, ...]: ...
    @property
    def diagnostics(self) -> Diagnostics: ...
    @property
    def curves(self) -> tuple[Curve, ...]: ...
    @property
    def totalSeconds(self) -> float: ...
    @property
    def verdict(self) -> str: ...


def short(name: str) -> str:
    """Return a name that fits into a plot."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
