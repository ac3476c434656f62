"""Spark's stages that prepare features: assembling, indexing, one-hot vectors, imputation, buckets."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import numpy as np

from sparkwater.bundle.export.columns import column_pairs, vectors
from sparkwater.bundle.export.registry import emits
from sparkwater.bundle.graph.arithmetic import any_of, join_columns, numbers_of, rows_of
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import number, string, vector
from sparkwater.bundle.graph.features import buckets, impute, index_numbers, index_strings, one_hot
from sparkwater.errors import ConfigurationError, SchemaError

_LOG = logging.getLogger(__name__)

#: Single precision of ONNX, for what Spark casts to the type of its input.
_FLOAT = 1


def _numbers(stage: Any, graph: Graph, name: str) -> str:
    """Return a column of numbers as float64, shape (rows,)."""
    column = graph.column(name)
    if column.kind != "number":
        raise SchemaError(f"{type(stage).__name__} needs numbers; column {name!r} is a {column.kind}")
    return numbers_of(graph, column)


@emits("pyspark.ml.feature.VectorAssembler")
def assemble(stage: Any, graph: Graph) -> None:
    """Put columns together to a vector."""
    names = stage.getInputCols()
    columns = [graph.column(name) for name in names]
    texts = [name for name, column in zip(names, columns, strict=True) if column.kind == "string"]
    if texts:
        raise SchemaError(f"VectorAssembler takes numbers and vectors; column {texts[0]!r} holds strings")
    joined = join_columns(graph, [rows_of(graph, column) for column in columns])
    size = sum(column.size for column in columns)
    handling = stage.getHandleInvalid()
    checked = [name for name, column in zip(names, columns, strict=True) if column.kind == "number"]
    if handling != "keep" and checked:
        parts = join_columns(graph, [rows_of(graph, graph.column(name)) for name in checked])
        missing = any_of(graph, graph.node("IsNaN", parts))
        reason = f"VectorAssembler: a number is missing in one of {', '.join(checked)}"
        joined = graph.check(missing, joined, reason, skips=handling == "skip")
    graph.publish(stage.getOutputCol(), vector(joined, size))


@emits("pyspark.ml.feature.StringIndexerModel")
def index_strings_of(stage: Any, graph: Graph) -> None:
    """Replace strings, and numbers, by their places; as in Spark a column that isn't there is passed over."""
    handling = stage.getHandleInvalid()
    for (source, target), labels in zip(column_pairs(stage), stage.labelsArray, strict=True):
        if source not in graph.columns:
            _LOG.info("there is no column %r; StringIndexer passes it over", source)
            continue
        column = graph.column(source)
        if column.kind == "string":
            place = index_strings(graph, column.tensor, labels)
        else:
            # The label of a float is its shortest text, which as a double is another number.
            kind = np.float32 if column.dtype == "float32" else np.float64
            known = np.array([kind(label) for label in labels], np.float64)
            place = index_numbers(graph, _numbers(stage, graph, source), known)
        if handling != "keep":
            unseen = graph.node("Equal", place, graph.constant(float(len(labels))))
            reason = f"StringIndexer: the value of {source!r} was not seen in training"
            place = graph.check(unseen, place, reason, skips=handling == "skip")
        graph.publish(target, number(place))


@emits("pyspark.ml.feature.IndexToString")
def labels_of(stage: Any, graph: Graph) -> None:
    """Replace places by their labels."""
    labels = stage.getLabels() if stage.isSet("labels") else []
    if not labels:
        raise ConfigurationError("IndexToString takes its labels from a column's metadata; set its labels")
    place = graph.node("Cast", _numbers(stage, graph, stage.getInputCol()), to=7)
    outside = graph.node(
        "Or",
        graph.node("Less", place, graph.constant(np.int64(0))),
        graph.node("GreaterOrEqual", place, graph.constant(np.int64(len(labels)))),
    )
    bounded = graph.node("Where", outside, graph.constant(np.int64(0)), place)
    text = graph.node("Gather", graph.constant(np.array(labels, object)), bounded)
    reason = f"IndexToString: {stage.getInputCol()!r} is no place of a label"
    graph.publish(stage.getOutputCol(), string(graph.check(outside, text, reason)))


@emits("pyspark.ml.feature.OneHotEncoderModel")
def encode_one_hot(stage: Any, graph: Graph) -> None:
    """Replace places by vectors with a one at the place."""
    keeps, drops = stage.getHandleInvalid() == "keep", stage.getDropLast()
    for (source, target), categories in zip(column_pairs(stage), stage.categorySizes, strict=True):
        place = _numbers(stage, graph, source)
        size = categories + keeps - drops
        inside = graph.node(
            "And",
            graph.node("GreaterOrEqual", place, graph.constant(0.0)),
            graph.node("Less", place, graph.constant(float(categories))),
        )
        known = graph.node("Where", inside, place, graph.constant(float(categories)))
        encoded = one_hot(graph, known, size)
        if not keeps:
            reason = f"OneHotEncoder: {source!r} is none of {categories} categories"
            encoded = graph.check(graph.node("Not", inside), encoded, reason)
        graph.publish(target, vector(encoded, size))


@emits("pyspark.ml.feature.ImputerModel")
def impute_numbers(stage: Any, graph: Graph) -> None:
    """Replace missing numbers; the result has the type of the input, as in Spark."""
    surrogates = stage.surrogateDF.first()
    for source, target in column_pairs(stage):
        column, surrogate = graph.column(source), float(surrogates[source])
        if column.whole:
            surrogate = float(math.trunc(surrogate))
        if column.places is not None:
            surrogate = _rounded(surrogate, column.places)
        filled = impute(graph, _numbers(stage, graph, source), surrogate, stage.getMissingValue())
        if column.dtype == "float32":
            filled = graph.node("Cast", filled, to=_FLOAT)
        graph.publish(target, replace(column, tensor=filled))


def _rounded(value: float, places: int) -> float:
    """Return a number as Spark's cast to a decimal gives it."""
    return float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, Context(prec=400)))


@emits("pyspark.ml.feature.Bucketizer")
def put_in_buckets(stage: Any, graph: Graph) -> None:
    """Replace numbers by the buckets that they are in."""
    several = stage.isSet("inputCols")
    splits = stage.getSplitsArray() if several else [stage.getSplits()]
    handling = stage.getHandleInvalid()
    for (source, target), bounds in zip(column_pairs(stage), splits, strict=True):
        found = buckets(graph, _numbers(stage, graph, source), np.array(bounds, np.float64))
        place = graph.check(found.outside, found.place, f"Bucketizer: {source!r} is outside of all buckets")
        if handling != "keep":
            reason = f"Bucketizer: {source!r} is missing"
            place = graph.check(found.missing, place, reason, skips=handling == "skip")
        graph.publish(target, number(place))


@emits("pyspark.ml.feature.PCAModel")
def project(stage: Any, graph: Graph) -> None:
    """Multiply by the principal components."""
    components = stage.pc.toArray()
    x = vectors(stage, graph, stage.getInputCol(), len(components))
    product = graph.node("MatMul", x, graph.constant(components))
    graph.publish(stage.getOutputCol(), vector(product, components.shape[1]))
