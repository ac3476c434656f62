"""Damaged and hostile bundles are refused, and nothing outside of their folder is read."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import onnxruntime
import pytest
from digits import png
from made_bundles import mixed, mixed_bundle, model, rehash, write
from onnx import TensorProto, helper
from safetensors.numpy import save

from sparkwater.bundle import Bundle
from sparkwater.bundle.format import MOST_BYTES
from sparkwater.bundle.scorer.model_bytes import check_model
from sparkwater.errors import CheckpointError, DataError, UnsafeLoadError


@pytest.fixture
def folder(tmp_path):
    return mixed_bundle(tmp_path / "bundle")


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def refused(folder, error, words):
    with pytest.raises(error, match=words):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["model.onnx", "signature.json", "preprocessing.json", "vectors.safetensors"])
def test_a_changed_byte_and_a_missing_file_are_found(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    refused(folder, CheckpointError, f"{name} is damaged: its SHA-256")
    (folder / name).write_bytes(content[:-1])
    refused(folder, CheckpointError, f"{name} is damaged: it has")
    (folder / name).unlink()
    refused(folder, CheckpointError, f"{name} is missing")


def test_a_manifest_that_is_none(folder, tmp_path):
    for text, words in [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "no JSON object"),
        ("{}", "format is None"),
    ]:
        (folder / "manifest.json").write_text(text)
        refused(folder, CheckpointError, words)
    rehash(folder, format=2)
    refused(folder, CheckpointError, "format 2; this sparkwater reads format 1. Update sparkwater")
    for files in (None, {}, {"model.onnx": {"bytes": 3}}):
        rehash(folder, files=files)
        refused(folder, CheckpointError, "names no|is damaged")
    refused(tmp_path / "nothing", CheckpointError, "is no folder")
    rehash(folder)
    for name in ("versions", "metrics"):
        for value in (["a"], "text", 3):
            rehash(folder, **{name: value})
            refused(folder, CheckpointError, f"manifest.json is damaged: {name} is no object")
        rehash(folder, **{name: None})
        assert "files:" in Bundle.load(folder).describe()


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/model.onnx", "more.onnx", "..", ""])
def test_names_of_other_files_are_refused(folder, tmp_path, name):
    (tmp_path / "secret").write_text("secret")
    files = manifest(folder)["files"]
    rehash(folder, files={**files, name: files["model.onnx"]})
    refused(folder, UnsafeLoadError, "a bundle's files are")


def test_links_pipes_and_files_that_nobody_named_are_refused(folder, tmp_path):
    (tmp_path / "model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(tmp_path / "model.onnx")
    refused(folder, UnsafeLoadError, "model.onnx is a link")
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")
    refused(folder, UnsafeLoadError, "no regular file")
    (folder / "model.onnx").unlink()
    (tmp_path / "model.onnx").rename(folder / "model.onnx")
    (folder / ".model.onnx.crc").write_text("Hadoop writes such files")
    Bundle.load(folder)
    (folder / "model.onnx.data").write_text("weights")
    refused(folder, UnsafeLoadError, "holds 'model.onnx.data', which its manifest doesn't name")


def test_oversized_files_are_refused_before_they_are_read(folder):
    with (folder / "signature.json").open("ab") as file:
        file.truncate(MOST_BYTES["signature.json"] + 1)  # sparse
    refused(folder, CheckpointError, "signature.json has 67,108,865 bytes; at most 67,108,864 are read")
    with (folder / "manifest.json").open("ab") as file:
        file.truncate(2**30)
    refused(folder, CheckpointError, "at most 1,048,576 are read")


#: Numbers in another file; onnxruntime reads a few of them in another way, which fails.
SECRETS = 1000


def reading(location, place):
    """A bundle whose graph gives numbers of another file: of an initializer, or of a node."""
    tensor = TensorProto(name="secret", data_type=TensorProto.DOUBLE, dims=[SECRETS])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(8 * SECRETS))):
        tensor.external_data.add(key=key, value=value)
    nodes = [helper.make_node("Gather", ["secret", "x"], ["y"])]
    if place == "node":
        nodes.insert(0, helper.make_node("Constant", [], ["secret"], value=tensor))
    sides = ({"x": ("int64", ())}, {"y": ("float64", ())})
    content = model(nodes, *sides, [tensor] if place == "initializer" else [])
    each = {"name": "x", "tensor": "x", "kind": "tensor", "dtype": "int64", "shape": []}
    signature = {"inputs": [each], "outputs": [{**each, "name": "y", "tensor": "y", "dtype": "float64"}]}
    vectors = {"input:x": np.zeros(1, np.int64), "output:y": np.array([42.0])}
    return content.SerializeToString(), signature, vectors, {}


@pytest.mark.parametrize("place", ["initializer", "node"])
@pytest.mark.parametrize("location", ["secret", "./secret", "model.onnx.data", "../secret", "/etc/hostname"])
def test_tensors_in_other_files_are_refused(tmp_path, monkeypatch, location, place):
    for folder in (tmp_path, tmp_path / "here"):
        folder.mkdir(exist_ok=True)
        (folder / "secret").write_bytes(struct.pack("<d", 42.0) * SECRETS)
    monkeypatch.chdir(tmp_path / "here")  # onnxruntime looks there for files of a model that is bytes
    folder = write(tmp_path / "bundle", *reading(location, place))
    refused(folder, CheckpointError, "refuses the graph: a tensor is in another file")


def test_without_the_check_of_bytes_onnxruntime_looks_into_an_empty_folder(tmp_path, monkeypatch):
    (tmp_path / "secret").write_bytes(struct.pack("<d", 42.0) * SECRETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sparkwater.bundle.scorer.session.check_model", len)
    refused(write(tmp_path / "bundle", *reading("secret", "initializer")), CheckpointError, "refuses the graph")


def test_models_of_onnxruntimes_own_format_are_refused(tmp_path, monkeypatch):
    content, *others = mixed()
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    monkeypatch.setattr("sparkwater.bundle.scorer.session.check_model", len)
    folder = write(tmp_path / "bundle", (tmp_path / "model.ort").read_bytes(), *others)
    refused(folder, CheckpointError, "refuses the graph")


def test_a_model_that_ends_too_early_is_refused():
    content, *_ = mixed()
    check_model(content)
    for size in (1, len(content) // 2, len(content) - 1):
        with pytest.raises(ValueError, match=r"ends too early|without an end"):
            check_model(content[:size])


def test_operators_of_other_domains_are_refused(tmp_path):
    node = helper.make_node("Run", ["x"], ["y"], domain="evil")
    content = model([node], {"x": ("float64", ())}, {"y": ("float64", ())})
    content.opset_import.append(helper.make_opsetid("evil", 1))
    _, _, vectors, _ = mixed()
    each = {"name": "x", "tensor": "x", "kind": "number", "dtype": "float64", "shape": []}
    signature = {"inputs": [each], "outputs": [{**each, "name": "y", "tensor": "y"}]}
    folder = write(tmp_path / "bundle", content.SerializeToString(), signature, vectors, {})
    refused(folder, CheckpointError, "refuses the graph")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inputs": []}, "the signature is damaged"),
        ({"outputs": "x"}, "the signature is damaged"),
        ({"problems": [{"reason": 1}]}, "the signature is damaged"),
        ({"problem": "double"}, "the graph has the outputs"),
    ],
)
def test_another_signature_than_the_graphs(tmp_path, change, words):
    content, signature, vectors, texts = mixed()
    refused(write(tmp_path / "bundle", content, signature | change, vectors, texts), CheckpointError, words)


def test_a_time_zone_that_is_nowhere(tmp_path):
    content, signature, vectors, texts = mixed()
    times = [each for each in signature["inputs"] if each["kind"] == "time"]
    times[0]["zone"] = "../../etc/passwd"
    refused(write(tmp_path / "bundle", content, signature, vectors, texts), CheckpointError, "signature is damaged")


@pytest.mark.parametrize(
    ("key", "value"), [("dtype", "object"), ("dtype", "float32"), ("kind", "code"), ("shape", [0]), ("shape", [3, 4])]
)
def test_an_input_of_another_type(tmp_path, key, value):
    content, signature, vectors, texts = mixed()
    signature["inputs"][0][key] = value
    refused(write(tmp_path / "bundle", content, signature, vectors, texts), CheckpointError, "damaged|signature says")


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0, "1", True])
@pytest.mark.parametrize("key", ["absolute", "relative"])
def test_tolerances_that_tolerate_all_are_refused(tmp_path, key, value):
    content, signature, vectors, texts = mixed()
    signature["outputs"][0][key] = value
    refused(write(tmp_path / "bundle", content, signature, vectors, texts), CheckpointError, "damaged.*tolerance")


def test_vectors_that_are_wrong_or_damaged(tmp_path):
    content, signature, vectors, texts = mixed()
    wrong = {**vectors, "output:double": np.array([3.0, 4.1])}
    refused(write(tmp_path / "a", content, signature, wrong, texts), CheckpointError, "'double' differs by 0.1")
    other = {**texts, "output:same": ["a", "b"]}
    refused(write(tmp_path / "b", content, signature, vectors, other), CheckpointError, "'same' differs by inf")
    fewer = {name: values for name, values in vectors.items() if name != "input:size"}
    refused(write(tmp_path / "c", content, signature, fewer, texts), CheckpointError, "no 'input:size'")
    folder = write(tmp_path / "d", content, signature, vectors, texts)
    for damaged in (b"", b"\xff" * 8, struct.pack("<Q", 2**62) + b"{}", save(vectors)[:-9], _beyond(vectors)):
        (folder / "vectors.safetensors").write_bytes(damaged)
        rehash(folder)
        refused(folder, CheckpointError, "test vectors")


@pytest.mark.parametrize("skips", [False, True])
def test_a_graph_that_refuses_its_test_vectors(tmp_path, skips):
    content, signature, vectors, texts = mixed()
    signature["problems"][0]["skips"] = skips
    missing = np.array([1.5, np.nan])
    vectors |= {"input:size": missing, "output:double": 2 * missing}
    folder = write(tmp_path / "bundle", content, signature, vectors, texts)
    refused(folder, CheckpointError, "refuses a row of its test vectors: row 1: size is missing")


def _beyond(vectors):
    """Return vectors of which one claims more bytes than there are."""
    content = save(vectors)
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    header["input:size"] = {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def test_a_picture_needs_its_preprocessing(tmp_path):
    content = model(
        [helper.make_node("Identity", ["p"], ["q"])], {"p": ("uint8", (1, 2, 2))}, {"q": ("uint8", (1, 2, 2))}
    ).SerializeToString()
    each = {"name": "p", "tensor": "p", "kind": "picture", "dtype": "uint8", "shape": [1, 2, 2]}
    signature = {"inputs": [each], "outputs": [{**each, "name": "q", "tensor": "q"}]}
    pixels = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2)
    vectors = {"input:p": pixels, "output:q": pixels}
    way = {"height": 2, "width": 2, "channels": 1, "resize": "stretch", "max_pixels": 100}
    good = write(tmp_path / "good", content, signature, vectors, {}, {"p": way})
    bundle = Bundle.load(good)
    assert bundle.predict([pixels[0, 0]])["q"].tolist() == pixels.tolist()
    color = np.broadcast_to(pixels[0, 0][..., None], (2, 2, 3))
    for one in (pixels[0, 0], color):  # without a list around it, as bytes and paths
        assert bundle.predict(one)["q"].tolist() == pixels.tolist()
        assert bundle.predict(np.stack([one, one]))["q"].tolist() == [pixels[0].tolist()] * 2
    with pytest.raises(DataError, match="row 1: 'p': the picture has no bytes"):
        bundle.predict([pixels[0, 0], b""])
    for number, change in enumerate([{"height": 3}, {"resize": "none"}, {"max_pixels": 2**62}, {"channels": 2}]):
        folder = write(tmp_path / str(number), content, signature, vectors, {}, {"p": way | change})
        refused(folder, CheckpointError, "preprocessing")
    pictures = {**vectors, "picture:p:0": np.zeros(3, np.uint8)}
    refused(write(tmp_path / "bad", content, signature, pictures, {}, {"p": way}), CheckpointError, "picture")
    other = {**vectors, "picture:p:0": np.frombuffer(png(pixels[0, 0] + 100), np.uint8)}
    refused(write(tmp_path / "other", content, signature, other, {}, {"p": way}), CheckpointError, "decoded otherwise")
