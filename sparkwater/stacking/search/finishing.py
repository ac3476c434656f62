"""End of a search: the predictions of all trials side by side, in one plan whose depth doesn't grow with the trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import NoReturn

from sparkwater.errors import ConfigurationError, SparkwaterError
from sparkwater.stacking.cross_fitting import LevelOneFrame
from sparkwater.stacking.level_one.values import side_by_side
from sparkwater.stacking.search.exploring import Explored, Rows


def finish(rows: Rows, explored: Explored) -> LevelOneFrame:
    """Return the predictions of all trials that succeeded, side by side.

    Raises
    ------
    ConfigurationError, DataError, SchemaError
        If all failed: with the first reason.
    """
    frames = list(explored.frames)
    if not frames:
        _raise_first(explored)
    whole = frames[0] if len(frames) == 1 else join_all(frames)
    counted = [one.learner for one in explored.trials if one.learner in whole.names]
    if len(frames) > 1 or len(counted) < len(whole.names):
        whole = whole.select(counted)  # without trials beyond an early end
        explored.frames.append(whole)  # what fails after this frees it with the others
        whole.values.persist().count()
        for one in frames:
            one.values.unpersist()
    return replace(whole, checkpoint=rows.checkpoint)


def join_all(frames: Sequence[LevelOneFrame]) -> LevelOneFrame:
    """Return the learners of several frames of the same rows, as one frame.

    Parameters
    ----------
    frames : sequence of LevelOneFrame
        Frames with learners of their own.
    """
    first = frames[0]
    for frame in frames:
        first.check_same(frame.prepared)
    return replace(
        first,
        learners=tuple(learner for frame in frames for learner in frame.learners),
        values=side_by_side([frame.values for frame in frames], first.prepared.gather),
        fits=tuple(fit for frame in frames for fit in frame.fits),
        models=tuple(model for frame in frames for model in frame.models),
        metrics=reduce(lambda one, other: one.join(other), (frame.metrics for frame in frames)),
    )


def _raise_first(explored: Explored) -> NoReturn:
    count = len(explored.trials)
    said = next((one.error for one in explored.trials if one.error), "there was no candidate")
    message = f"none of the {count} trial(s) could be fitted; the first: {said}"
    first = explored.errors[0] if explored.errors else None
    kind = type(first) if isinstance(first, SparkwaterError) and isinstance(first, ValueError) else ConfigurationError
    raise kind(message) from first
