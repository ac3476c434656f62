"""Spark's scalers of vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparkwater.bundle.export.columns import vectors
from sparkwater.bundle.export.registry import emits
from sparkwater.bundle.graph.arithmetic import Numbers
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import vector
from sparkwater.bundle.graph.features import Span, scale, unit_rows


def _reciprocal(spread: Numbers, of_zero: float = 0.0) -> Numbers:
    """Return 1 / spread, and a factor for columns without spread."""
    zero = spread == 0
    return np.where(zero, of_zero, 1.0 / np.where(zero, 1.0, spread))


def _publish(stage: Any, graph: Graph, tensor: str, size: int) -> None:
    graph.publish(stage.getOutputCol(), vector(tensor, size))


def _shift_and_scale(stage: Any, graph: Graph, shift: Numbers | None, factor: Numbers | None, size: int) -> None:
    x = vectors(stage, graph, stage.getInputCol(), size)
    _publish(stage, graph, scale(graph, x, shift, factor), size)


@emits("pyspark.ml.feature.StandardScalerModel")
def standardize(stage: Any, graph: Graph) -> None:
    """Subtract means, and divide by deviations; a column without deviation becomes zero."""
    mean, deviation = stage.mean.toArray(), stage.std.toArray()
    shift = mean if stage.getWithMean() else None
    factor = _reciprocal(deviation) if stage.getWithStd() else None
    _shift_and_scale(stage, graph, shift, factor, max(len(mean), len(deviation)))


@emits("pyspark.ml.feature.RobustScalerModel")
def scale_by_quantiles(stage: Any, graph: Graph) -> None:
    """Subtract medians, and divide by ranges of quantiles."""
    median, spread = stage.median.toArray(), stage.range.toArray()
    shift = median if stage.getWithCentering() else None
    factor = _reciprocal(spread) if stage.getWithScaling() else None
    _shift_and_scale(stage, graph, shift, factor, max(len(median), len(spread)))


@emits("pyspark.ml.feature.MaxAbsScalerModel")
def scale_by_largest(stage: Any, graph: Graph) -> None:
    """Divide by the largest absolute values."""
    largest = stage.maxAbs.toArray()
    _shift_and_scale(stage, graph, None, _reciprocal(largest, 1.0), len(largest))


@emits("pyspark.ml.feature.MinMaxScalerModel")
def scale_to_span(stage: Any, graph: Graph) -> None:
    """Map each column's span to one."""
    lower, upper = stage.originalMin.toArray(), stage.originalMax.toArray()
    x = vectors(stage, graph, stage.getInputCol(), len(lower))
    _publish(stage, graph, Span(lower, upper, stage.getMin(), stage.getMax()).apply(graph, x), len(lower))


@emits("pyspark.ml.feature.Normalizer")
def normalize(stage: Any, graph: Graph) -> None:
    """Divide each row by its norm."""
    x = vectors(stage, graph, stage.getInputCol())
    _publish(stage, graph, unit_rows(graph, x, stage.getP()), graph.column(stage.getInputCol()).size)
