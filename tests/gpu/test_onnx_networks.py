"""Networks from ONNX files, on the training side, against onnxruntime."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_files
import onnxruntime
import pytest
import torch
from gpu import ranks
from onnx import TensorProto, helper
from torch import nn

from sparkwater.errors import CheckpointError, ConfigurationError, UnsafeLoadError
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.networks import build_network, check_network, find_network
from sparkwater.gpu.networks.elsewhere.onnx_reading import read_onnx
from sparkwater.gpu.networks.heads import with_head
from sparkwater.gpu.networks.pretrained import plan_beginning
from sparkwater.gpu.networks.weight_bytes import dump_weights, load_weights
from sparkwater.gpu.rank import run_rank

SHAPE = (1, 16, 16)


def runtime(name: str, rows: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(name.removeprefix("onnx:"), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: rows})[0])


def ours(name: str, rows: np.ndarray, outputs: int = 5) -> np.ndarray:
    shape = rows.shape[1:]
    network = build_network(find_network(name), shape, outputs, 0).eval()
    with torch.no_grad():
        return network(torch.from_numpy(rows)).numpy()


def drawn(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


PICTURE = (3, 9, 8)

#: Operator, attributes, further inputs, and the version of the operators.
OPERATORS: list[tuple[str, dict[str, Any], list[Any], int]] = [
    ("Abs", {}, [], 20),
    ("Add", {}, [drawn(3, 1, 1)], 20),
    ("Add", {}, [np.float32(0.5)], 20),
    ("AveragePool", {"kernel_shape": [3, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"}, [], 20),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}, [], 20),
    ("AveragePool", {"kernel_shape": [2, 2], "pads": [0, 1, 1, 0]}, [], 20),
    ("BatchNormalization", {"epsilon": 1e-3}, [drawn(3), drawn(3), drawn(3), np.abs(drawn(3))], 20),
    ("Cast", {"to": 1}, [], 20),
    ("Clip", {}, [np.float32(-0.5), np.float32(0.25)], 20),
    ("Clip", {"min": -0.5, "max": 6.0}, [], 8),
    ("Conv", {"pads": [1, 1, 1, 1], "strides": [2, 2]}, [drawn(4, 3, 3, 3), drawn(4)], 20),
    ("Conv", {"pads": [0, 1, 2, 0], "dilations": [2, 1]}, [drawn(4, 3, 3, 3)], 20),
    ("Conv", {"auto_pad": "SAME_LOWER", "strides": [2, 3], "group": 3}, [drawn(6, 1, 3, 2)], 20),
    ("Div", {}, [np.float32(3.0)], 20),
    ("Dropout", {"ratio": 0.5}, [], 8),
    ("Elu", {"alpha": 0.7}, [], 20),
    ("Erf", {}, [], 20),
    ("Exp", {}, [], 20),
    ("Flatten", {}, [], 20),
    ("Gather", {"axis": 2}, [ints(0, 3, 1)], 20),
    ("Gelu", {}, [], 20),
    ("GlobalAveragePool", {}, [], 20),
    ("GlobalMaxPool", {}, [], 20),
    ("HardSigmoid", {"alpha": 0.3}, [], 20),
    ("HardSwish", {}, [], 20),
    ("Identity", {}, [], 20),
    ("LRN", {"size": 3, "alpha": 0.1, "beta": 0.6, "bias": 2.0}, [], 20),
    ("LeakyRelu", {"alpha": 0.2}, [], 20),
    ("Max", {}, [np.float32(0.1)], 20),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}, [], 20),
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, [], 20),
    ("Min", {}, [drawn(3, 1, 1)], 20),
    ("Mul", {}, [drawn(3, 1, 1)], 20),
    ("Neg", {}, [], 20),
    ("PRelu", {}, [drawn(3, 1, 1)], 20),
    ("Pad", {}, [ints(0, 0, 1, 2, 0, 0, 3, 0), np.float32(0.5)], 20),
    ("Pad", {"mode": "reflect"}, [ints(0, 0, 1, 2, 0, 0, 3, 0)], 20),
    ("Pad", {"pads": [0, 0, 1, 1, 0, 0, 1, 1], "value": 1.0}, [], 8),
    ("Pow", {}, [np.float32(2.0)], 20),
    ("ReduceMax", {"keepdims": 0}, [ints(2, 3)], 20),
    ("ReduceMean", {"axes": [2, 3]}, [], 13),
    ("ReduceSum", {}, [ints(-1)], 20),
    ("Relu", {}, [], 20),
    ("Reshape", {}, [ints(0, -1, 8)], 20),
    ("Slice", {}, [ints(1), ints(100), ints(2), ints(2)], 20),
    ("LogSoftmax", {"axis": 2}, [], 11),
    ("Softmax", {}, [], 11),
    ("Softmax", {"axis": -1}, [], 11),
    ("Softmax", {}, [], 13),
    ("Softplus", {}, [], 20),
    ("Sub", {}, [drawn(3, 1, 1)], 20),
    ("Tanh", {}, [], 20),
    ("Transpose", {"perm": [0, 2, 3, 1]}, [], 20),
    ("Unsqueeze", {}, [ints(1, -1)], 20),
    ("Unsqueeze", {"axes": [1]}, [], 8),
]


@pytest.mark.parametrize(
    ("op", "attributes", "inputs", "opset"), OPERATORS, ids=[f"{one[0]}-{place}" for place, one in enumerate(OPERATORS)]
)
def test_an_operator_computes_what_onnxruntime_computes(
    tmp_path: Path, op: str, attributes: dict[str, Any], inputs: list[Any], opset: int
) -> None:
    weights = {f"w{place}": value for place, value in enumerate(inputs)}
    nodes = [
        helper.make_node(op, ["x", *weights], ["values"], **attributes),
        helper.make_node("Neg", ["values"], ["y"]),
    ]
    name = onnx_files.write_graph(tmp_path / "one.onnx", nodes, ["rows", *PICTURE], weights, opset)
    rows = drawn(4, *PICTURE)
    assert np.allclose(ours(name, rows), runtime(name, rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_what_a_task_does_itself_is_left_off_the_end(tmp_path: Path, last: str) -> None:
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Gemm", ["flat", "w"], ["z"], alpha=0.5),
        helper.make_node(last, ["z"], ["p"]), helper.make_node("Identity", ["p"], ["y"])]  # fmt: skip
    weights = {"w": drawn(216, 4)}
    name = onnx_files.write_graph(tmp_path / "a.onnx", nodes, ["rows", *PICTURE], weights)
    rows = drawn(4, *PICTURE)
    logits = ours(name, rows, 4)
    powers = np.exp(logits)
    probabilities = {
        "Softmax": powers / powers.sum(1, keepdims=True),
        "LogSoftmax": logits - np.log(powers.sum(1, keepdims=True)),
        "Sigmoid": powers / (1 + powers),
    }[last]
    assert np.allclose(logits, 0.5 * rows.reshape(4, -1) @ weights["w"], atol=1e-5)
    assert np.allclose(probabilities, runtime(name, rows), atol=1e-5)


def test_sizes_that_are_computed_and_values_that_are_joined(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "zero"], ["rows"]),
        helper.make_node("Unsqueeze", ["rows", "axis"], ["rows_"]),
        helper.make_node("Concat", ["rows_", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["flat"]),
        helper.make_node("Squeeze", ["pooled", "places"], ["mean"]),
        helper.make_node("Concat", ["flat", "mean"], ["joined"], axis=1),
        helper.make_node("Mul", ["joined", "joined"], ["squared"]),
        helper.make_node("Sum", ["squared", "joined", "joined"], ["y"]),
    ]
    nodes.insert(5, helper.make_node("GlobalAveragePool", ["x"], ["pooled"]))
    weights = {"zero": np.int64(0), "axis": ints(0), "rest": ints(-1), "places": ints(2, 3)}
    name = onnx_files.write_graph(tmp_path / "a.onnx", nodes, ["rows", *PICTURE], weights)
    rows = drawn(4, *PICTURE)
    assert np.allclose(ours(name, rows), runtime(name, rows), atol=1e-5)


@pytest.mark.parametrize(
    ("network", "shape", "arguments"),
    [("lenet", (1, 28, 28), {}), ("mlp", (1, 8, 8), {"batch_norm": True})],
)
def test_registered_networks_come_back(
    tmp_path: Path, network: str, shape: tuple[int, ...], arguments: dict[str, Any]
) -> None:
    own = build_network(find_network(network, arguments), shape, 7, 1)
    with torch.no_grad():
        own.train()(torch.rand(8, *shape))
    path = str(tmp_path / "a.onnx")
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            own.eval(), (torch.zeros(2, *shape),), path, dynamo=True, opset_version=20, verbose=False,
            external_data=True, dynamic_shapes=({0: torch.export.Dim("rows")},),
        )  # fmt: skip
    assert (tmp_path / "a.onnx.data").exists()
    rows = np.random.default_rng(0).random((6, *shape), np.float32)
    taken = ours(f"onnx:{path}", rows, 7)
    with torch.no_grad():
        assert np.abs(taken - own(torch.from_numpy(rows)).numpy()).max() < 1e-5
    assert np.abs(taken - runtime(f"onnx:{path}", rows)).max() < 1e-5


def test_weights_are_parameters_statistics_buffers_and_modules_nodes(tmp_path: Path) -> None:
    name = onnx_files.write_small(tmp_path / "a.onnx")
    network = build_network(find_network(name), SHAPE, 5, 0)
    assert [key for key, _ in network.named_parameters()] == [
        "model_conv_Conv2D.weight", "bn.weight", "bn.bias", "dense_MatMul.weight", "dense_MatMul.bias"
    ]  # fmt: skip
    assert {key for key, _ in network.named_buffers()} == {
        "bn.running_mean",
        "bn.running_var",
        "bn.num_batches_tracked",
    }
    rows = torch.rand(8, *SHAPE)
    before = network.bn.running_mean.clone()
    network.train()(rows).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert not torch.equal(network.bn.running_mean, before)
    network.eval()
    assert np.allclose(network.state_dict()["dense_MatMul.weight"].numpy(), onnx_files.small_weights()["product"].T)


def test_a_head_for_other_classes_is_made_anew_and_a_trained_network_needs_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    name = onnx_files.write_small(path)
    entry = find_network(name)
    assert entry.head == "dense_MatMul"
    network = build_network(entry, SHAPE, 3, 1)
    assert network.dense_MatMul.weight.shape == (3, 144)
    check_network(entry, SHAPE, 3)
    arguments = json.loads(json.dumps(dict(entry.arguments)))
    path.unlink()
    again = with_head(find_network(name, arguments), entry.head)
    assert again.key == entry.key
    other = build_network(again, SHAPE, 3, 2)
    load_weights(other, dump_weights(network))
    rows = torch.rand(4, *SHAPE)
    assert torch.equal(other.eval()(rows), network.eval()(rows))
    _, beginning = plan_beginning(entry, SHAPE, rows[:2], None, "", "backbone", "paper", 3)
    assert (beginning.head, beginning.held) == ("dense_MatMul", ("bn",))


@pytest.mark.parametrize("sizes", [(1, 144), (1, -1)])
def test_pictures_in_another_order_and_a_fixed_number_of_rows(tmp_path: Path, sizes: tuple[int, int]) -> None:
    weights = {**onnx_files.small_weights(channels=3), "sizes": ints(*sizes)}
    nodes = [helper.make_node("Transpose", ["x"], ["first"], perm=[0, 3, 1, 2]), *onnx_files.small_nodes()]
    nodes[1].input[0] = "first"
    name = onnx_files.write_graph(tmp_path / "a.onnx", nodes, [1, 16, 16, 3], weights)
    rows = drawn(3, 3, 16, 16)
    given = torch.from_numpy(ours(name, rows)).softmax(1).numpy()
    expected = np.concatenate([runtime(name, row[None].transpose(0, 2, 3, 1)) for row in rows])
    assert np.allclose(given, expected, atol=1e-5)
    with pytest.raises(ConfigurationError, match=r"takes inputs of shape \(16, 16, 3\); accepted here: \(16, 16, 1\)"):
        check_network(find_network(name), SHAPE, 5)


def test_double_precision_becomes_single(tmp_path: Path) -> None:
    weights = {name: value.astype(np.float64) if value.dtype == np.float32 else value
        for name, value in onnx_files.small_weights().items()}  # fmt: skip
    shape = ["rows", 1, 16, 16]
    name = onnx_files.write_graph(
        tmp_path / "a.onnx", onnx_files.small_nodes(), shape, weights, kind=TensorProto.DOUBLE
    )
    plain = onnx_files.write_small(tmp_path / "b.onnx")
    rows = drawn(3, *SHAPE)
    assert np.array_equal(ours(name, rows), ours(plain, rows))


def test_a_training_that_broke_off_gives_the_same_bits(tmp_path: Path) -> None:
    name = onnx_files.write_small(tmp_path / "a.onnx")
    start = {key: value.clone() for key, value in build_network(find_network(name), SHAPE, 5, 0).state_dict().items()}

    def train(folder: str, **changes: Any) -> Any:
        job = ranks.rank_job(40, **{"network": name, "epochs": 2, "learning_rate": 0.01, "checkpoint_interval": 2,
            "checkpoint_dir": str(tmp_path / folder), "collective": "local", **changes})  # fmt: skip
        return run_rank(ranks.picture_batches(range(40)), job, SinglePeer())

    whole = train("whole")
    assert whole.failure is None
    assert train("parts", fail_at=4).failure is not None
    again = train("parts")
    assert (again.resumed_at > 0, again.weights) == (True, whole.weights)
    ended = build_network(find_network(name), SHAPE, 3, 0)
    load_weights(ended, whole.weights)
    assert not torch.equal(ended.state_dict()["model_conv_Conv2D.weight"], start["model_conv_Conv2D.weight"])
    assert isinstance(ended.bn, nn.modules.batchnorm._BatchNorm)


def external(folder: Path, location: str, length: int = 10**6) -> str:
    path = folder / "external.onnx"
    onnx_files.write_small(path)
    model = onnx.load(path)
    tensor = next(each for each in model.graph.initializer if each.name == "product")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return f"onnx:{path}"


@pytest.mark.parametrize("scheme", ["onnx:", "onnx:file://"])
@pytest.mark.parametrize(
    "location",
    ["../secret", "/etc/passwd", "sub/weights", "..", "", "a\\b", "link", "..%2f..%2fsecret",
     "x?endpoint_override=evil&scheme=http"],
)  # fmt: skip
def test_tensors_in_files_elsewhere_are_refused(tmp_path: Path, location: str, scheme: str) -> None:
    (tmp_path / "link").symlink_to(__file__)
    with pytest.raises(UnsafeLoadError, match="accepted: a file in the model's own folder"):
        find_network(external(tmp_path, location).replace("onnx:", scheme))


def test_a_file_of_tensors_is_read_once_and_what_they_share_is_not_copied_beyond_bounds() -> None:
    tensors = []
    for place in range(2050):
        tensor = TensorProto(name=f"w{place}", data_type=TensorProto.FLOAT, dims=[2**18])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="shared")
        tensors.append(tensor)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w0"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2**18])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors[:3],
    )
    read: list[str] = []

    def beside(name: str) -> bytes:
        read.append(name)
        return bytes(2**20)

    _, weights = read_onnx(helper.make_model(graph).SerializeToString(), "it", beside)
    assert (read, [*weights]) == (["shared"], ["w0"])
    graph.initializer.extend(tensors[3:])
    with pytest.raises(CheckpointError, match="it has weights of 2,149,580,800 bytes; accepted: up to 2,147,483,648"):
        read_onnx(helper.make_model(graph).SerializeToString(), "it", beside)
    assert read == ["shared", "shared"]


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"123")
    with pytest.raises(CheckpointError, match="'short' is damaged: it ends before the tensor 'product'"):
        find_network(external(tmp_path, "short"))
    for content in (b"no model", Path(onnx_files.write_small(tmp_path / "a.onnx")[5:]).read_bytes()[:-40]):
        (tmp_path / "b.onnx").write_bytes(content)
        with pytest.raises(CheckpointError, match="is no ONNX model, or a damaged one"):
            find_network(f"onnx:{tmp_path}/b.onnx")
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as file:
        file.truncate(2**31 + 1)
    with pytest.raises(CheckpointError, match="has 2,147,483,649 bytes; accepted: up to 2,147,483,648"):
        find_network(f"onnx:{huge}")
    with pytest.raises(ConfigurationError, match="can't be read"):
        find_network(f"onnx:{tmp_path}/none.onnx")
    name = onnx_files.write_small(tmp_path / "c.onnx")
    graph = json.loads(json.dumps(dict(find_network(name).arguments)))["graph"]
    node = graph["nodes"][0]
    damages = [{"nodes": [1]}, {"nodes": [["Loop", *node[1:]]]}, {"nodes": [[*node[:4], {"strides": "x"}]]}]
    damages += [{"weights": {"kernel": "x"}}, {"weights": {}}, {"output": "no"}]
    for damage in damages:
        with pytest.raises((CheckpointError, ConfigurationError), match=r"graph is damaged|from another|no node"):
            find_network(name, {"graph": {**graph, **damage}})
    with pytest.raises(CheckpointError, match="has weights of 4,000,000,000,000 bytes"):
        find_network(name, {"graph": {**graph, "weights": {"kernel": [1000, 10**9]}}})
    with pytest.raises(ConfigurationError, match="takes none"):
        find_network(name, {"width": 3})


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (helper.make_node("Relu6", ["x"], ["y"]), r"the operator 'Relu6', which isn't known; near ones: .*Relu.*Abs"),
        (helper.make_node("Gemm", ["x", "w"], ["y"], domain="evil"), r"'evil.Gemm', which isn't known"),
        (helper.make_node("Flatten", ["x"], ["y"], axis=0), "the operator Flatten of node 'flatten_0' has axis=0"),
        (helper.make_node("Transpose", ["x"], ["y"], perm=[1, 0, 2, 3]), "that leave the rows first"),
        (helper.make_node("ReduceMean", ["x", "w"], ["y"]), "goes over the rows|has axes that"),
        (helper.make_node("Concat", ["x", "w"], ["y"], axis=1), "joins what is computed with fixed values"),
        (helper.make_node("Relu", ["nothing"], ["y"]), "reads 'nothing', which no node before it gives"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, node: Any, message: str) -> None:
    name = onnx_files.write_graph(tmp_path / "a.onnx", [node], ["rows", *PICTURE], {"w": ints(0)})
    with pytest.raises(ConfigurationError, match=message):
        check_network(find_network(name), PICTURE, 2)


def test_a_softmax_over_the_rows_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Softmax", ["x"], ["z"], axis=0), helper.make_node("Relu", ["z"], ["y"])]
    name = onnx_files.write_graph(tmp_path / "a.onnx", nodes, ["rows", *PICTURE], {"w": ints(0)})
    with pytest.raises(ConfigurationError, match=r"the operator Softmax of node .* goes over the rows"):
        build_network(find_network(name), PICTURE, 4)


def test_old_opsets_and_several_outputs_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    with pytest.raises(ConfigurationError, match="has opset 6; accepted: 7 and above"):
        find_network(onnx_files.write_graph(tmp_path / "a.onnx", nodes, ["rows", 4], {}, opset=6))
    name = onnx_files.write_graph(tmp_path / "a.onnx", nodes, ["rows", 4], {})
    model = onnx.load(tmp_path / "a.onnx")
    model.graph.output.add().CopyFrom(model.graph.input[0])
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(ConfigurationError, match="has 2 outputs; accepted: one"):
        find_network(name)
