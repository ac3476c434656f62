"""Stages that hold others: pipelines, and the best models of validators."""

from __future__ import annotations

from typing import Any

from sparkwater.bundle.export.registry import emit, emits
from sparkwater.bundle.graph.builder import Graph


@emits("pyspark.ml.pipeline.PipelineModel", inner=lambda stage: {"": stage.stages})
def emit_pipeline(stage: Any, graph: Graph) -> None:
    """Emit all stages, one after the other."""
    for inner in stage.stages:
        emit(inner, graph)


@emits(
    "pyspark.ml.tuning.CrossValidatorModel",
    "pyspark.ml.tuning.TrainValidationSplitModel",
    inner=lambda stage: {"": [stage.bestModel]},
)
def emit_best(stage: Any, graph: Graph) -> None:
    """Emit the best model."""
    emit(stage.bestModel, graph)
