from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from sparkwater.conversions.images.idx import read_idx, read_idx_pair, write_png_tree
from sparkwater.errors import ConfigurationError, DataError


def idx(values: npt.NDArray[np.uint8]) -> bytes:
    return bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape) + values.tobytes()


def write_part(folder: Path, prefix: str, rows: int, height: int = 5, width: int = 4) -> None:
    rng = np.random.default_rng(rows)
    pictures = rng.integers(0, 256, (rows, height, width), dtype=np.uint8)
    labels = rng.integers(0, 3, rows, dtype=np.uint8)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx(pictures))
    (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    write_part(folder, "train", 9)
    write_part(folder, "t10k", 4)
    return folder


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (0,), (0, 28, 28)])
@pytest.mark.parametrize("packed", [False, True])
def test_what_was_written_is_read(tmp_path: Path, shape: tuple[int, ...], packed: bool) -> None:
    values = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / ("a-ubyte.gz" if packed else "a-ubyte")
    path.write_bytes(gzip.compress(idx(values)) if packed else idx(values))
    found = read_idx(path)
    assert found.dtype == np.uint8
    assert found.shape == shape
    assert found.tobytes() == values.tobytes()


@pytest.mark.parametrize("content", [b"", b"\0\0\x08", b"\0\0\x09\x01\0\0\0\0", b"\x89PNG\r\n\x1a\n", b"label\n"])
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"odd-ubyte.*no idx file"):
        read_idx(path)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("length", [4, 7, 12, 16, 20, 39])
def test_a_file_cut_short_is_named(tmp_path: Path, length: int, packed: bool) -> None:
    path = tmp_path / ("cut-ubyte.gz" if packed else "cut-ubyte")
    content = idx(np.arange(1, 25, dtype=np.uint8).reshape(2, 3, 4))[:length]
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match="cut-ubyte"):
        read_idx(path)


def test_bytes_after_the_values_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a-ubyte"
    path.write_bytes(idx(np.zeros(3, np.uint8)) + b"\0")
    with pytest.raises(DataError, match="4 values where its header says 3"):
        read_idx(path)


@pytest.mark.parametrize("damage", ["cut", "flipped", "plain"])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, damage: str) -> None:
    content = bytearray(gzip.compress(idx(np.arange(200, dtype=np.uint8))))
    if damage == "flipped":
        content[40] ^= 0xFF
    path = tmp_path / "a-ubyte.gz"
    path.write_bytes({"cut": content[:50], "flipped": content, "plain": idx(np.zeros(3, np.uint8))}[damage])
    with pytest.raises(DataError, match=r"a-ubyte\.gz"):
        read_idx(path)


@pytest.mark.parametrize("name", ["a-ubyte", "a-ubyte.gz"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"there is no file .*{name}"):
        read_idx(tmp_path / name)


def test_pictures_and_labels_that_do_not_pair_are_refused(source: Path) -> None:
    (source / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros(8, np.uint8))))
    with pytest.raises(DataError, match="don't pair"):
        read_idx_pair(source, "train")


def test_the_tree_reads_back_equal(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "tree"
    assert write_png_tree(source, target) == 13
    for part, prefix, count in (("training", "train", 9), ("testing", "t10k", 4)):
        pictures, labels = read_idx_pair(source, prefix)
        files = sorted((target / part).glob("*/*.png"), key=lambda path: path.name)
        assert len(files) == count
        for row, path in enumerate(files):
            assert (path.parent.name, path.name) == (str(labels[row]), f"{row:05d}.png")
            with Image.open(path) as opened:
                assert opened.mode == "L"
                assert np.asarray(opened).tobytes() == pictures[row].tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "tree"]


def test_an_existing_target_is_left_alone(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "tree"
    target.mkdir()
    (target / "mine").write_text("kept")
    with pytest.raises(ConfigurationError, match="exists already"):
        write_png_tree(source, target)
    assert [path.name for path in target.iterdir()] == ["mine"]


@pytest.mark.parametrize("missing", ["train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_a_missing_label_file_leaves_nothing_behind(source: Path, tmp_path: Path, missing: str) -> None:
    (source / missing).unlink()
    with pytest.raises(ConfigurationError, match=missing):
        write_png_tree(source, tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_failure_half_way_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    write_part(source, "t10k", 2, height=0, width=0)
    with pytest.raises((SystemError, ValueError, OSError)):
        write_png_tree(source, tmp_path / "tree")
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
