"""Inputs of networks in graphs: the rows that ``transform`` refuses are marked, and no others."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from against_spark import session_of

from sparkwater.bundle.export.networks.feature_inputs import offset_tensor
from sparkwater.bundle.export.networks.tables import encoded_table
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import Column, number, vector
from sparkwater.conversions.tables.encoding.encoder import TableEncoder
from sparkwater.conversions.tables.encoding.numbers import VectorColumn
from sparkwater.conversions.tables.encoding.scaling import QuantileScaling, RobustScaling, StandardScaling


def run(graph, column, rows):
    """Return the values of a column and the problems of rows."""
    return session_of(graph.build({"out": column})).run(None, rows)


@pytest.mark.parametrize(
    "scaling",
    [
        StandardScaling((0.5, 1.0), (2.0, 0.0)),
        RobustScaling((0.0, 1.0), (1.0, 0.0)),
        QuantileScaling(((0.0, 1.0), (2.0,)), ((0.0, 1.0), (0.5,))),
    ],
)
@pytest.mark.parametrize("skips", [False, True])
def test_vectors_of_tables_with_a_nan_or_an_infinity(scaling, skips):
    encoder = TableEncoder((VectorColumn("v", "vector", scaling),))
    numbers = [0.0, 1.5, -1e300, 1e39, math.nan, math.inf, -math.inf]
    rows = np.array([[value, 1.0] for value in numbers] + [[1.0, value] for value in numbers])
    expected = encoder.encode(pa.RecordBatch.from_arrays([pa.array(rows.tolist())], ["v"]))
    graph = Graph({"v": vector("v", 2)})
    column = Column(encoded_table(graph, encoder, skips), "tensor", "float32", (2,))
    found, problems = run(graph, column, {"v": rows})
    assert np.flatnonzero(problems).tolist() == sorted(expected.problems)
    np.testing.assert_allclose(found[problems == 0], expected.values, rtol=1e-6)
    assert {one.skips for one in graph.problems({"out": column})} == {skips}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_offsets_that_are_missing_or_infinite(dtype):
    graph = Graph({"exposure": number("exposure", dtype)})
    column = number(offset_tensor(graph, "exposure"))
    given = np.array([0.0, 1.5, -1e30, math.nan, math.inf, -math.inf], dtype)
    if dtype == "float64":
        given[2] = 1e300  # float32 can't hold it, and transform takes it
    found, problems = run(graph, column, {"exposure": given})
    assert problems.tolist() == [0, 0, 0, 1, 1, 1]
    assert found[:3].tolist() == given[:3].tolist()
    (problem,) = graph.problems({"out": column})
    assert problem.reason == "the offset 'exposure' is missing or infinite"
