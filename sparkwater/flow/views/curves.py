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

#: Title of the loss's panel; and the largest relative difference between the loss and a metric that is equal to it:
#: their sums are of the same numbers in another order.
_LOSS, _ROUNDING = "loss", 1e-5

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

    The loss and a metric of the same values, as ``logloss`` mostly is, are one plot.

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
    """Return the panels with the loss in that of the metric whose values it has."""
    loss = next(iter(panels[_LOSS].values()))
    for title, lines in panels.items():
        if title != _LOSS and _same(loss, next(iter(lines.values()))):
            others = {name: each for name, each in panels.items() if name not in (_LOSS, title)}
            return {f"{_LOSS} ({title})": lines, **others}
    return dict(panels)


def _same(loss: Sequence[float | None], metric: Sequence[float | None]) -> bool:
    """Return whether values differ by their rounding alone."""
    return all(
        one is not None and other is not None and math.isclose(one, other, rel_tol=_ROUNDING)
        for one, other in zip(loss, metric, strict=True)
    )


def _thinned(records: Sequence[EpochRecord], best: int | None) -> list[EpochRecord]:
    step = -(-len(records) // _POINTS)
    kept = {record.epoch for record in (*records[::step], records[-1])} | {best}
    return [record for record in records if record.epoch in kept]
