"""Models that somebody made to do harm, their checksums corrected: an error of our own each, nothing executed."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import socket
import struct
from pathlib import Path

import psutil
import pytest
import safetensors.torch
import torch
from conftest import start_session
from digits import tensor_frame

from sparkwater.errors import CheckpointError, ConfigurationError, SparkwaterError, UnsafeLoadError
from sparkwater.ml import ImageClassifier, ImageClassifierModel


class Marks:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model"
    ImageClassifier(epochs=0).fit(tensor_frame(start_session("local[2]"), 8)).save(str(path))
    return path


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    """A copy, without the checksums that Hadoop keeps beside local files."""
    path = shutil.copytree(saved, tmp_path / "model")
    for checksum in path.rglob(".*.crc"):
        checksum.unlink()
    return path


def correct(model: Path, content: bytes, **changes: object) -> None:
    """Let the description say of the weights what they are, and other things."""
    path = model / "model.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "weightsSha256": hashlib.sha256(content).hexdigest(), **changes}))


def refused(model: Path, kind: type[SparkwaterError]) -> str:
    before = psutil.Process().memory_info().rss
    with pytest.raises(kind) as caught:
        ImageClassifierModel.load(str(model))
    assert psutil.Process().memory_info().rss - before < 200 * 2**20
    return str(caught.value)


def weights_of(kind: str, mark: Path) -> bytes:
    if kind == "pickle":
        return pickle.dumps(Marks(mark))
    if kind == "oversized header":
        return struct.pack("<Q", 1 << 40) + b"{}"
    if kind == "offsets beyond the end":
        header = b'{"conv1.bias":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,399999999996]}}'
        return struct.pack("<Q", len(header)) + header
    return safetensors.torch.save({"../../../outside": torch.zeros(3)})


@pytest.mark.parametrize("kind", ["pickle", "oversized header", "offsets beyond the end", "names that climb"])
def test_weights_that_are_none(spark, model: Path, tmp_path: Path, kind: str) -> None:
    content = weights_of(kind, tmp_path / "mark")
    (model / "weights.safetensors").write_bytes(content)
    correct(model, content)
    refused(model, CheckpointError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize("target", ["a secret", "itself", "a folder", "nothing"])
def test_weights_that_are_a_link(spark, model: Path, tmp_path: Path, target: str) -> None:
    weights, secret = model / "weights.safetensors", tmp_path / "secret"
    secret.write_text("the word that must not be shown")
    weights.unlink()
    weights.symlink_to(
        {"a secret": secret, "itself": weights, "a folder": tmp_path, "nothing": tmp_path / "no"}[target]
    )
    correct(model, secret.read_bytes())
    assert "the word" not in refused(model, CheckpointError)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("../../outside", ConfigurationError), ("os:system", UnsafeLoadError), ("lenet\0", ConfigurationError)],
)
def test_networks_that_are_none(spark, model: Path, name: str, kind: type[SparkwaterError]) -> None:
    network = json.loads((model / "model.json").read_text())["network"]
    correct(model, (model / "weights.safetensors").read_bytes(), network={**network, "name": name})
    refused(model, kind)


@pytest.mark.parametrize("arguments", [{}, {"graph": {}, "more": 1}])
def test_a_network_of_an_onnx_file_without_its_graph_opens_nothing(spark, model: Path, arguments: dict) -> None:
    """Whatever its name leads to: a service of the network that the driver is in, a file of its user."""
    network = json.loads((model / "model.json").read_text())["network"]
    with socket.create_server(("127.0.0.1", 0)) as service:
        name = f"onnx:http://127.0.0.1:{service.getsockname()[1]}/secret"
        content = (model / "weights.safetensors").read_bytes()
        correct(model, content, network={**network, "name": name, "arguments": arguments})
        assert "is without its graph" in refused(model, CheckpointError)
        service.settimeout(0)
        with pytest.raises(BlockingIOError):
            service.accept()
