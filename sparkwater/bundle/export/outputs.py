"""Columns that a bundle gives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyspark.ml import PipelineModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def stages_of(model: Any) -> Iterator[Any]:
    """Yield a model, or the stages of a pipeline, in order."""
    if isinstance(model, PipelineModel):
        for stage in model.stages:
            yield from stages_of(stage)
    else:
        yield model


def added_columns(model: Any, sample: DataFrame) -> list[str]:
    """Return the columns that ``transform`` adds: of a pipeline those of its last stage and of its predictors."""
    stages, frame, names = list(stages_of(model)), sample, []
    for place, stage in enumerate(stages):
        after = stage.transform(frame)
        if place == len(stages) - 1 or stage.hasParam("predictionCol"):
            names += [name for name in after.columns if name not in frame.columns]
        frame = after
    return [name for name in names if name in frame.columns]
