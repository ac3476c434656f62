"""The builder of graphs, through onnxruntime."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import Column, number, vector
from sparkwater.errors import ConfigurationError, SchemaError

ort = pytest.importorskip("onnxruntime")


def scored(model: onnx.ModelProto, **rows: object) -> list[np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, rows)


def inner(opset: int = 20) -> onnx.ModelProto:
    """A model as exporters make it: a weight, a trace in a node."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="n")
    node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value="/home/me/secret.py")
    node.doc_string = "/home/me/secret.py"
    graph = helper.make_graph(
        [node],
        "inner",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["n", 1])],
        [helper.make_tensor("w", TensorProto.DOUBLE, [2, 1], [2.0, 3.0])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def double_graph() -> Graph:
    graph = Graph({"x": vector("x", 2), "unused": number("unused")})
    first, second = (graph.splice(inner(), {"x": "x"})[0] for _ in range(2))
    total = graph.node("Add", first, second)
    graph.node("Add", "unused", graph.constant(1.0))
    graph.publish("sum", Column(total, "vector", "float64", (1,)))
    return graph


def test_models_are_spliced_twice_under_their_own_names():
    graph = double_graph()
    model = graph.build({"sum": graph.column("sum")})
    (found,) = scored(model, x=np.array([[1.0, 1.0], [0.0, 2.0], [1.0, 0.0]]))
    np.testing.assert_array_equal(found, [[10.0], [12.0], [4.0]])


def test_traces_and_paths_are_left_out_and_two_exports_are_equal():
    first, second = (graph.build({"sum": graph.column("sum")}) for graph in (double_graph(), double_graph()))
    assert first.SerializeToString() == second.SerializeToString()
    assert b"secret" not in first.SerializeToString()


def test_inputs_that_no_output_needs_are_left_out():
    graph = double_graph()
    model = graph.build({"sum": graph.column("sum")})
    assert [one.name for one in model.graph.input] == ["x"]
    assert (model.ir_version, {one.domain: one.version for one in model.opset_import}) == (
        10,
        {"": 20, "ai.onnx.ml": 5},
    )


def test_equal_constants_are_held_once():
    graph = Graph({"x": number("x")})
    names = {graph.constant(np.float64(2.0)), graph.constant(2.0), graph.constant(np.float32(2.0))}
    assert len(names) == 2
    assert graph.constant(["a", "b"]) == graph.constant(["a", "b"])
    assert graph.constant(["a", "b"]) != graph.constant(["ab", ""])


def test_rows_that_stages_refuse_are_numbered_by_the_first_reason():
    graph = Graph({"x": number("x"), "y": number("y"), "label": number("label")})
    kept = graph.check(graph.node("IsNaN", "x"), "x", "no x", skips=True)
    other = graph.check(graph.node("IsNaN", "label"), "label", "no label")
    graph.publish("z", number(graph.check(graph.node("IsNaN", "y"), graph.node("Add", kept, "y"), "no y")))
    outputs = {"out": graph.column("z")}
    model = graph.build(outputs)
    nan = float("nan")
    _, problems = scored(model, x=np.array([1.0, nan, 1.0, nan]), y=np.array([1.0, 1.0, nan, nan]))
    assert problems.tolist() == [0, 1, 2, 1]
    assert [(one.reason, one.skips) for one in graph.problems(outputs)] == [("no x", True), ("no y", False)]
    assert json.loads(model.metadata_props[0].value)[1] == {"reason": "no y", "skips": False}
    assert model.SerializeToString() == graph.build(outputs).SerializeToString()
    assert len(scored(graph.build({"out": number(other)}), label=np.array([nan]))) == 2


def test_missing_columns_other_opsets_and_taken_names_are_refused():
    graph = Graph({"x": vector("x", 2)})
    with pytest.raises(SchemaError, match="no column 'z'; the columns are 'x'"):
        graph.column("z")
    with pytest.raises(ConfigurationError, match=r"opset is ai\.onnx 19"):
        graph.splice(inner(19), {"x": "x"})
    with pytest.raises(ConfigurationError, match=r"\['x'\] have no tensor"):
        graph.splice(inner(), {"y": "x"})
    with pytest.raises(ConfigurationError, match="can't be named 'x'"):
        graph.build({"x": graph.column("x")})
