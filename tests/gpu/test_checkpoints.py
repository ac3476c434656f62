from __future__ import annotations

import logging
import multiprocessing
import random
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from processes import little_room

from sparkwater.errors import CheckpointError, ConfigurationError
from sparkwater.gpu.training.checkpoints import Checkpoint, CheckpointFolder

#: Processes that start at once: their parent has imported everything.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["sparkwater.gpu.training.checkpoints", "fsspec", "pytest"])


def checkpoint(steps: int, numbers: int = 1000) -> Checkpoint:
    generator = torch.Generator().manual_seed(steps)
    values = torch.randn(numbers, generator=generator)
    return Checkpoint(steps, {"epoch": steps // 10, "history": [0.1, steps]}, {"values": values})


def same(first: Checkpoint | None, second: Checkpoint) -> bool:
    assert first is not None
    assert (first.steps, first.state) == (second.steps, second.state)
    return torch.equal(first.tensors["values"], second.tensors["values"])


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_newest_checkpoint_comes_back_and_two_are_kept(tmp_path: Path) -> None:
    folder = CheckpointFolder(str(tmp_path / "new" / "checkpoints"))
    assert folder.latest() is None
    for steps in (7, 20, 100):
        folder.write(checkpoint(steps))
        assert same(folder.latest(), checkpoint(steps))
    checkpoints = tmp_path / "new" / "checkpoints"
    assert [path.name for path in sorted(checkpoints.iterdir())] == [
        "step-000000000020",
        "step-000000000100",
    ]
    folders = [tmp_path / "new", checkpoints, *checkpoints.iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


class ObjectStore(MemoryFileSystem):
    """A filesystem in memory that notes what is done to manifests and files, and can refuse to list folders."""

    protocol = "objects"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    listable = True
    done: ClassVar[list[str]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(str(path).removeprefix("objects://"))

    def find(self, path: str, *arguments: Any, **settings: Any) -> Any:
        # Only what holds the checkpoints: a single one is listed to move its manifest.
        if not self.listable and "step-" not in path:
            raise PermissionError(f"{path} is not to be listed")
        return super().find(path, *arguments, **settings)

    def _open(self, path: str, mode: str = "rb", **settings: Any) -> Any:
        if mode == "wb":
            folder, _, name = path.rpartition("/")
            self.done.append(f"write {name}" + " beside a manifest" * self.exists(f"{folder}/manifest.json"))
        return super()._open(path, mode, **settings)

    def rm(self, path: str, *arguments: Any, **settings: Any) -> None:
        self.done.append(f"remove {path.rpartition('/')[2]}")
        super().rm(path, *arguments, **settings)


@pytest.fixture
def objects() -> Iterator[str]:
    """The URL of an empty folder in an `ObjectStore`."""
    fsspec.register_implementation("objects", ObjectStore, clobber=True)
    yield "objects://checkpoints"
    ObjectStore.store.clear()
    ObjectStore.pseudo_dirs[:] = [""]
    ObjectStore.done.clear()


def test_files_are_rewritten_only_once_their_manifest_is_gone(objects: str) -> None:
    folder = CheckpointFolder(objects)
    folder.write(checkpoint(5, 10))
    ObjectStore.done.clear()
    folder.write(checkpoint(5, 20))
    assert same(folder.latest(), checkpoint(5, 20))
    done = ObjectStore.done
    assert done[:2] == ["remove manifest.json", "remove step-000000000005"]
    assert [each for each in done if each.startswith("write")] == [
        "write state.json", "write network.json", "write tensors.safetensors", "write .manifest.json"
    ]  # fmt: skip


def test_a_checkpoint_stands_though_old_ones_cannot_be_listed(
    objects: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = CheckpointFolder(objects)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(ObjectStore, "listable", False)
        for steps in (1, 2, 3):
            folder.write(checkpoint(steps))
    assert caplog.text.count("is not to be listed") == 3
    assert same(folder.latest(), checkpoint(3))
    assert same(folder.load(1), checkpoint(1))
    folder.write(checkpoint(4))
    assert same(folder.latest(), checkpoint(4))
    with pytest.raises(CheckpointError, match="can't be read here"):
        folder.load(2)


def test_a_step_is_written_again() -> None:
    url = "memory://checkpoints-again"
    for numbers in (10, 20):
        CheckpointFolder(url).write(checkpoint(5, numbers))
        assert same(CheckpointFolder(url).latest(), checkpoint(5, numbers))
    fsspec.filesystem("memory").rm("/checkpoints-again", recursive=True)


@pytest.mark.parametrize("name", ["state.json", "tensors.safetensors", "manifest.json"])
@pytest.mark.parametrize("harm", ["flip", "cut", "empty", "missing"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, harm: str
) -> None:
    folder = CheckpointFolder(str(tmp_path))
    folder.write(checkpoint(1))
    folder.write(checkpoint(2))
    damage(tmp_path / "step-000000000002" / name, harm)
    with caplog.at_level(logging.WARNING):
        assert same(folder.latest(), checkpoint(1))
    # A checkpoint without a manifest was never finished; there is nothing to warn of.
    assert ("is damaged" in caplog.text) == ((name, harm) != ("manifest.json", "missing"))
    damage(tmp_path / "step-000000000001" / name, harm)
    if (name, harm) == ("manifest.json", "missing"):
        assert folder.latest() is None
    else:
        with pytest.raises(CheckpointError, match=r"all checkpoints in .* are damaged"):
            folder.latest()


def damage(path: Path, harm: str) -> None:
    content = bytearray(path.read_bytes())
    if harm == "missing":
        path.unlink()
        return
    if harm == "flip":
        content[len(content) // 2] ^= 1
    path.write_bytes(content if harm == "flip" else content[: len(content) // 2] if harm == "cut" else b"")


def write_for_ever(url: str, started: multiprocessing.synchronize.Event) -> None:
    folder = CheckpointFolder(url)
    folder.sweep()
    started.set()
    latest = folder.latest()
    steps = latest.steps if latest else 0
    while True:
        steps += 1
        folder.write(checkpoint(steps, 100_000))


def test_whenever_the_writer_is_killed_the_newest_checkpoint_is_whole(tmp_path: Path) -> None:
    moments = random.Random(3)
    folder, steps = CheckpointFolder(str(tmp_path / "checkpoints")), 0
    for _ in range(25):
        started = PROCESSES.Event()
        writer = PROCESSES.Process(target=write_for_ever, args=(folder.url, started))
        writer.start()
        assert started.wait(60)
        time.sleep(moments.uniform(0, 0.03))
        writer.kill()
        writer.join()
        latest = folder.latest()
        if latest is not None:
            assert same(latest, checkpoint(latest.steps, 100_000))
            assert latest.steps >= steps
            steps = latest.steps
        begun = [path for path in (tmp_path / "checkpoints").glob("*") if not (path / "manifest.json").exists()]
        assert len(begun) <= 1
    assert steps > 0
    folder.sweep()
    assert all((path / "manifest.json").exists() for path in (tmp_path / "checkpoints").iterdir())


def write_with_little_room(url: str, errors: multiprocessing.queues.SimpleQueue[str]) -> None:
    with little_room():
        try:
            CheckpointFolder(url).write(checkpoint(2, 10_000))
        except CheckpointError as error:
            errors.put(str(error))


def test_a_full_disk_leaves_the_last_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    folder = CheckpointFolder(str(tmp_path))
    folder.write(checkpoint(1))
    before, errors = files(tmp_path), PROCESSES.SimpleQueue()
    writer = PROCESSES.Process(target=write_with_little_room, args=(folder.url, errors))
    writer.start()
    assert "no checkpoint could be written" in errors.get()
    writer.join()
    assert files(tmp_path) == before
    assert same(folder.latest(), checkpoint(1))


def test_a_folder_on_no_known_filesystem_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nothing here reads nowhere://"):
        CheckpointFolder("nowhere://somewhere")


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CheckpointError, match="no checkpoint could be written"):
        CheckpointFolder(str(tmp_path / "file")).write(checkpoint(1))
