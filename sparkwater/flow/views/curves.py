"""Curves by epoch as plain values, with text alternatives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from sparkwater.ml.reports.plotting import curve_panels
from sparkwater.plots.drawing.palette import listed, number

if TYPE_CHECKING:
    from sparkwater.gpu.records import EpochRecord

#: The most points of a line, for which a plot has room, and the most metrics: a task's first ones are those to watch.
_POINTS, _METRICS = 300, 6

#: The largest difference, relative and absolute, between measures that are equal: their sums are of the same numbers
#: in another order, by which small ones differ more, and no plot shows it.
_ROUNDING, _NOTHING = 1e-4, 1e-6

_Lines: TypeAlias = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Curves:
    """Lines of one measure by epoch.

    Attributes
    ----------
    title : str
        The measure.
    lines : mapping of str to tuple of float or None
        A value an epoch, by the name of the rows or the learner.
    best : int or None
        The epoch, from 0, whose weights the model has.
    epochs : tuple of int
        The epochs of the values, counted from 1, where they aren't all.
    """

    title: str
    lines: Mapping[str, tuple[float | None, ...]]
    best: int | None = None
    epochs: tuple[int, ...] = ()

    @property
    def numbers(self) -> tuple[int, ...]:
        """The epochs of the values, counted from 1."""
        most = max((len(values) for values in self.lines.values()), default=0)
        return self.epochs or tuple(range(1, most + 1))

    @property
    def alt(self) -> str:
        """First, last and lowest value of each line in words."""
        parts = []
        for name, values in self.lines.items():
            known = [(value, place) for place, value in zip(self.numbers, values, strict=False) if value is not None]
            if known:
                low, place = min(known)
                parts.append(
                    f"{name}: {number(known[0][0])} in epoch {known[0][1]}, {number(known[-1][0])} in epoch "
                    f"{known[-1][1]}, lowest {number(low)} in epoch {place}"
                )
        return f"{self.title} by epoch. {listed(parts)}"


def training_curves(records: Sequence[EpochRecord], best: int | None = None) -> tuple[Curves, ...]:
    """Return the loss and the first metrics by epoch, of training and validation rows; none without epochs.

    Measures of the same values are one plot: mostly the loss and ``logloss``, and for classes with as many rows each
    ``error`` and ``meanPerClassError``.

    Parameters
    ----------
    records : sequence of EpochRecord
        The epochs so far. Of many, some are shown: evenly, with the last and the best.
    best : int, optional
        The epoch, from 0, whose weights the model has.
    """
    if not records:
        return ()
    shown = _thinned(records, best)
    numbers = tuple(record.epoch + 1 for record in shown)
    return tuple(
        Curves(title, {name: tuple(values) for name, values in lines.items()}, best, numbers)
        for title, lines in _joined(curve_panels(shown, _METRICS)).items()
    )


def _joined(panels: Mapping[str, _Lines]) -> dict[str, _Lines]:
    """Return the panels, those with the same lines as one."""
    found: list[tuple[list[str], _Lines]] = []
    for title, lines in panels.items():
        place = next((place for place, (_, known) in enumerate(found) if _alike(known, lines)), None)
        if place is None:
            found.append(([title], lines))
        else:
            titles, known = found[place]
            found[place] = ([*titles, title], {**lines, **known})
    return {f"{first} ({', '.join(others)})" if others else first: lines for (first, *others), lines in found}


def _alike(one: _Lines, other: _Lines) -> bool:
    """Return whether the lines that both panels have are the same; the loss has none of the validation rows."""
    return all(_same(one[name], other[name]) for name in one.keys() & other.keys())


def _same(one: Sequence[float | None], other: Sequence[float | None]) -> bool:
    """Return whether values differ by their rounding alone."""
    return all(
        mine is theirs
        if mine is None or theirs is None
        else math.isclose(mine, theirs, rel_tol=_ROUNDING, abs_tol=_NOTHING)
        for mine, theirs in zip(one, other, strict=True)
    )


def _thinned(records: Sequence[EpochRecord], best: int | None) -> list[EpochRecord]:
    step = -(-len(records) // _POINTS)
    kept = {record.epoch for record in (*records[::step], records[-1])} | {best}
    return [record for record in records if record.epoch in kept]
