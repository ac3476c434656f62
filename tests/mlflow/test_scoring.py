"""The scorer that MLflow calls, and the signature that it shows, of bundles made by hand."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from digits import png
from made_bundles import mixed, mixed_bundle, model, write
from mlflow.types.schema import AnyType, Array, DataType
from onnx import TensorProto, helper

import sparkwater.mlflow
from sparkwater.bundle.scorer.pictures import Preprocessing
from sparkwater.bundle.scorer.signature import Input, Output, Signature, read_signature
from sparkwater.errors import DataError, SchemaError
from sparkwater.mlflow.scoring import load_scorer
from sparkwater.mlflow.signature import input_example, model_signature

FRAME = pd.DataFrame(
    {
        "size": [1.5, 4.0],
        "name": ["a", None],
        "pair": [[1.0, 2.0], [0.5, 0.5]],
        "day": pd.to_datetime(["1970-01-01", "1970-01-02"]),
        "other": [object(), None],
    },
    index=[7, 3],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return mixed_bundle(tmp_path_factory.mktemp("mlflow") / "bundle")


def test_the_scorer_takes_and_gives_pandas_with_the_index_of_the_rows(folder):
    found = sparkwater.mlflow._load_pyfunc(str(folder), {"threads": 1}).predict(FRAME)
    assert list(found.index) == [7, 3]
    assert found["double"].tolist() == [3.0, 8.0]
    assert found["same"].tolist() == ["a", "\uf8ff"]
    assert found["sum"].tolist() == [3.0, 1.0]
    assert len(load_scorer(str(folder)).predict(FRAME[:0])) == 0


def test_it_refuses_rows_by_name(folder):
    scorer = load_scorer(str(folder))
    with pytest.raises(SchemaError, match=r"rows are a builtins.list; accepted: a pandas DataFrame"):
        scorer.predict([{"size": 1.0}])
    with pytest.raises(SchemaError, match="there is no column 'pair'"):
        scorer.predict(FRAME.drop(columns="pair"))
    with pytest.raises(DataError, match="row 1: size is missing"):
        scorer.predict(FRAME.assign(size=[1.0, None]))


def picture_bundle(folder):
    """Write a bundle that adds up the pixels of a picture."""
    nodes = [
        helper.make_node("Cast", ["content"], ["numbers"], to=TensorProto.DOUBLE),
        helper.make_node("ReduceSum", ["numbers", "axes"], ["sum"], keepdims=0),
    ]
    axes = helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])
    built = model(nodes, {"content": ("uint8", (1, 2, 2))}, {"sum": ("float64", ())}, [axes])
    entry = {"name": "content", "tensor": "content", "kind": "picture", "dtype": "uint8", "shape": [1, 2, 2]}
    output = {"name": "sum", "tensor": "sum", "dtype": "float64", "shape": []}
    vectors = {"input:content": np.ones((1, 1, 2, 2), np.uint8), "output:sum": np.array([4.0])}
    way = {"content": {"height": 2, "width": 2, "channels": 1, "resize": "stretch", "max_pixels": 100}}
    return write(folder, built.SerializeToString(), {"inputs": [entry], "outputs": [output]}, vectors, {}, way)


def test_a_picture_by_its_path_is_refused_since_a_server_would_read_its_own_files(tmp_path):
    content = png(np.full((2, 2), 10, np.uint8))
    (tmp_path / "one.png").write_bytes(content)
    scorer = load_scorer(str(picture_bundle(tmp_path / "bundle")))
    assert scorer.predict(pd.DataFrame({"content": [content]}))["sum"].tolist() == [40.0]
    with pytest.raises(SchemaError, match="row 1: 'content' is a text; accepted: the bytes"):
        scorer.predict(pd.DataFrame({"content": [content, str(tmp_path / "one.png")]}))


def test_it_scores_without_spark_torch_and_mlflow(folder):
    program = (
        "import sys\n"
        "for name in ('pyspark', 'torch', 'mlflow', 'onnx', 'sparkwater.ml', 'sparkwater.stacking'):\n"
        "    sys.modules[name] = None\n"
        "import importlib, pandas\n"
        f"scorer = importlib.import_module('sparkwater.mlflow')._load_pyfunc({str(folder)!r})\n"
        "row = {'size': 2.0, 'name': 'b', 'pair': [1, 1], 'day': pandas.Timestamp(0)}\n"
        "print(scorer.predict(pandas.DataFrame([row]))['double'][0])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "4.0", done.stderr


def test_the_signature_has_columns_with_the_types_that_spark_udf_takes():
    inputs = (
        Input("size", "size", "number", "float32", ()),
        Input("count", "count", "number", "float64", ()),
        Input("colour", "colour", "string", "string", ()),
        Input("day", "day", "time", "int64", ()),
        Input("pair", "pair", "vector", "float64", (2,)),
        Input("pixels", "pixels", "tensor", "uint8", (1, 2, 2)),
        Input("content", "content", "picture", "uint8", (1, 2, 2)),
    )
    outputs = (
        Output("prediction", "a", "float64", ()),
        Output("probability", "b", "float64", (3,)),
        Output("rebuilt", "c", "float32", (1, 2, 2)),
        Output("predictedLabel", "d", "string", ()),
        Output("labels", "e", "bool", (3,)),
        Output("at", "f", "int64", ()),
        Output("level", "g", "uint8", ()),
    )
    found = model_signature(Signature(inputs, outputs), {"count"})
    assert found.inputs.input_names() == [each.name for each in inputs]
    number = DataType.double
    assert found.inputs.input_types() == [
        number, AnyType(), DataType.string, DataType.datetime, Array(number), DataType.binary, DataType.binary
    ]  # fmt: skip
    assert found.inputs.optional_input_names() == ["count"]
    assert found.outputs.input_types() == [
        number, Array(number), Array(Array(Array(DataType.float))), DataType.string, Array(DataType.boolean),
        DataType.long, DataType.integer,
    ]  # fmt: skip


def test_the_example_is_the_first_row_of_the_test_vectors(folder):
    _, fields, vectors, texts = mixed()
    arrays = {**vectors, **{name: np.array(values, object) for name, values in texts.items()}}
    signature = read_signature(fields)
    example = input_example(signature, arrays, set())
    assert example.to_dict("list") == {
        "size": [1.5], "name": ["a"], "pair": [[1.0, 2.0]], "day": [pd.Timestamp(0)]
    }  # fmt: skip
    assert load_scorer(str(folder)).predict(example)["sum"].tolist() == [3.0]
    assert input_example(signature, {**arrays, "input:size": np.array([4.0])}, {"size"})["size"].tolist() == [4]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_example_of_a_picture_is_decoded_to_its_tensor(channels):
    tensor = np.random.default_rng(1).integers(0, 256, (1, channels, 5, 4), dtype=np.uint8)
    given = Input("content", "content", "picture", "uint8", (channels, 5, 4))
    example = input_example(Signature((given,), ()), {"input:content": tensor}, set())
    decoded = Preprocessing(5, 4, channels).tensor(example["content"][0])
    np.testing.assert_array_equal(decoded, tensor[0])


def test_an_example_of_a_tensor_is_its_bytes_in_little_endian():
    tensor = np.array([[1.0, -2.0]], ">f4")
    given = Input("values", "values", "tensor", "float32", (2,))
    example = input_example(Signature((given,), ()), {"input:values": tensor}, set())
    assert example["values"][0] == np.array([1.0, -2.0], "<f4").tobytes()
