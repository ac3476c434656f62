"""Repeated folds: level one as the mean over several assignments of folds, in each of which no model saw its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.stacking.folds import Folds
from sparkwater.stacking.level_one.metrics import keep_measured
from sparkwater.stacking.level_one.values import mean_values, side_by_side
from sparkwater.stacking.row_keys import ROW

if TYPE_CHECKING:
    from pyspark.sql import Column

    from sparkwater.stacking.cross_fitting import LevelOneFrame

#: Between the seeds of two repeats.
_APART = 15_485_863


def check_repeats(repeats: int, folds: Folds | str) -> None:
    """Refuse repeats of folds that no seed moves.

    Raises
    ------
    ConfigurationError
        With the column that holds or decides on the folds.
    """
    if repeats == 1:
        return
    fixed = ("foldCol", folds) if isinstance(folds, str) else ("timeCol", folds.timeCol)
    if fixed[1]:
        raise ConfigurationError(
            f"repeats={repeats} with {fixed[0]}={fixed[1]!r}: the folds would be the same each time; accepted: 1"
        )


def repeat_folds(fit: Callable[[Folds | str], LevelOneFrame], folds: Folds | str, repeats: int) -> LevelOneFrame:
    """Cross-fit on several assignments of folds, and return the mean of the predictions.

    The frame's folds, by which meta-learners are measured, are the first ones. It holds all fold models that are kept.

    Parameters
    ----------
    fit : callable
        A cross-fitting on some folds.
    folds : Folds or str
        The first assignment; others have other seeds.
    repeats : int
        Number of assignments, 1 at least.
    """
    check_repeats(repeats, folds)
    if not isinstance(folds, Folds) or repeats == 1:
        return fit(folds)
    with ExitStack() as undo:
        frames = []
        for number in range(repeats):
            frames.append(fit(replace(folds, seed=folds.seed + number * _APART)))
            undo.callback(frames[-1].unpersist)
        merged = _merge(frames)
        # The rows of the first repeat are those of the merged frame.
        undo.pop_all()
        for frame in frames[1:]:
            frame.unpersist()
        frames[0].values.unpersist()
    return merged


def _merge(frames: Sequence[LevelOneFrame]) -> LevelOneFrame:
    first = frames[0]
    if any(frame.labels != first.labels for frame in frames):
        raise DataError(
            "the rows or labels of two repeats differ: the input gives other rows each time that Spark evaluates it; "
            "write it to a file first"
        )
    parts = [
        frame.values.select(ROW, *(F.col(f"`{name}`").alias(f"{name}/{number}") for name in first.names))
        for number, frame in enumerate(frames)
    ]
    joined = side_by_side(parts, first.prepared.gather)

    def mean(name: str) -> Column:
        return mean_values([F.col(f"`{name}/{number}`") for number in range(len(frames))]).alias(name)

    values, metrics = keep_measured(first.prepared, joined.select(ROW, *map(mean, first.names)), first.names)
    numbered = ((fit, number) for number, one in enumerate(frames, 1) for fit in one.fits)
    return replace(
        first,
        values=values,
        fits=tuple(replace(fit, fold=f"{fit.fold} of repeat {number}") for fit, number in numbered),
        # Each was checked against its own folds, which are other than the first's.
        models=tuple(replace(model, fingerprint=first.fingerprint) for one in frames for model in one.models),
        metrics=metrics,
    )
