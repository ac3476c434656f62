"""Checkpoints of one training, in a folder on any filesystem.

A checkpoint is a folder with the files of its state and, written last and renamed into place, a
manifest of their checksums. A folder without a manifest was never finished, and one whose files
differ from the manifest is damaged: neither is ever read. Whenever the process or the machine
stops, the newest finished checkpoint is whole.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pyarrow import fs
from safetensors import SafetensorError

from sparkwater.conversions.files.filesystems import create_private, is_local, is_pyarrows, open_filesystem, scheme_of
from sparkwater.conversions.files.s3 import explained
from sparkwater.errors import CheckpointError, ConfigurationError

logger = logging.getLogger(__name__)

#: Finished checkpoints that stay: if the newest is damaged later, there is one before it.
KEPT = 2

_STATE, _NETWORK, _TENSORS, _MANIFEST = "state.json", "network.json", "tensors.safetensors", "manifest.json"
_PREFIX = "step-"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training between two steps.

    Attributes
    ----------
    steps : int
        Steps done since the training began.
    state : dict
        The part that JSON holds.
    tensors : dict of str to torch.Tensor
        The tensors, on the CPU.
    network : dict
        Identity of the network, by `sparkwater.gpu.networks.identity.NetworkIdentity`: for trainings that begin with
        these weights.
    """

    steps: int
    state: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    network: dict[str, Any] = field(default_factory=dict)


class CheckpointFolder:
    """The checkpoints of one training; one process at a time writes them.

    Parameters
    ----------
    url : str
        A folder, which need not be there yet, on a filesystem that pyarrow or fsspec reaches. On a
        local disk only its owner can read it.

    Raises
    ------
    ConfigurationError
        If nothing here reads such URLs, or a store can't be reached or has no such bucket.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._filesystem, self._root = open_filesystem(url)

    def inside(self, name: str) -> CheckpointFolder:
        """Return a folder in this one; settings behind a question mark stay at the end of the URL."""
        plain, mark, settings = self.url.partition("?") if is_pyarrows(scheme_of(self.url)) else (self.url, "", "")
        return CheckpointFolder(f"{plain.rstrip('/')}/{name}{mark}{settings}")

    def check(self) -> None:
        """Refuse a folder on a store that doesn't show it to this process.

        Raises
        ------
        ConfigurationError
            With what the store said.
        """
        if not is_local(self._filesystem):
            try:
                self._names()
            except OSError as error:
                raise ConfigurationError(f"{self.url!r} can't be used for checkpoints: {explained(error)}") from error

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, read it back, publish it, and delete those that are too old.

        Raises
        ------
        CheckpointError
            If that fails, by a full disk for example; nothing of it is left, and older checkpoints are.
        """
        files = {
            _STATE: json.dumps(checkpoint.state).encode(),
            _NETWORK: json.dumps(checkpoint.network).encode(),
            _TENSORS: safetensors.torch.save(checkpoint.tensors),
        }
        folder = f"{self._root}/{_name(checkpoint.steps)}"
        try:
            self._delete(folder)
            self._create(folder)
            for name, content in files.items():
                self._put(f"{folder}/{name}", content)
            manifest = {name: _checksum(content) for name, content in files.items()}
            self._read(folder, manifest)
            self._put(f"{folder}/.{_MANIFEST}", json.dumps(manifest).encode())
            self._filesystem.move(f"{folder}/.{_MANIFEST}", f"{folder}/{_MANIFEST}")
        except OSError as error:
            self._delete(folder)
            raise CheckpointError(f"no checkpoint could be written to {self.url!r}: {explained(error)}") from error
        self._delete_old()

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, or None where there is none at all.

        Raises
        ------
        CheckpointError
            If there are some and none is whole and can be read, or the folder can't be read.
        """
        try:
            names = self._finished()
        except OSError as error:
            raise CheckpointError(f"{self.url!r} can't be read: {explained(error)}") from error
        whole = next((found for found in map(self._load, names) if found), None)
        if whole is None and names:
            raise CheckpointError(
                f"all checkpoints in {self.url!r} are damaged, or can't be read now (the log says why): "
                f"{', '.join(names)}; fit again once they can, or delete the folder to train anew"
            )
        return whole

    def load(self, steps: int) -> Checkpoint:
        """Return the checkpoint after a number of steps.

        Raises
        ------
        CheckpointError
            If it isn't there or is damaged.
        """
        checkpoint = self._load(_name(steps))
        if checkpoint is None:
            raise CheckpointError(
                f"the checkpoint {self.url}/{_name(steps)} can't be read here; all executors must reach checkpointDir"
            )
        return checkpoint

    def trainings(self) -> list[CheckpointFolder]:
        """Return this folder where it holds checkpoints, else those in it that do; none where there are none.

        Raises
        ------
        CheckpointError
            If the folder can't be read.
        """
        try:
            if self._finished():
                return [self]
            found = self._filesystem.get_file_info(fs.FileSelector(self._root, allow_not_found=True))
            names = sorted(info.base_name for info in found if info.type == fs.FileType.Directory)
            folders = [self.inside(name) for name in names]
            return [folder for folder in folders if folder._finished()]
        except OSError as error:
            raise CheckpointError(f"{self.url!r} can't be read: {explained(error)}") from error

    def sweep(self) -> None:
        """Delete unfinished checkpoints; if they can't be listed they stay."""
        try:
            finished = set(self._finished())
            unfinished = [name for name in self._names() if name not in finished]
        except OSError as error:
            logger.warning("unfinished checkpoints in %s could not be listed, and stay: %s", self.url, error)
            return
        for name in unfinished:
            self._delete(f"{self._root}/{name}")

    def _load(self, name: str) -> Checkpoint | None:
        """Return a checkpoint, or None and a warning where it is damaged or can't be read."""
        folder = f"{self._root}/{name}"
        try:
            with self._filesystem.open_input_stream(f"{folder}/{_MANIFEST}") as stream:
                manifest = json.loads(stream.read())
            files = self._read(folder, manifest)
            tensors = safetensors.torch.load(files[_TENSORS])
            state, network = json.loads(files[_STATE]), json.loads(files[_NETWORK])
            return Checkpoint(int(name.removeprefix(_PREFIX)), state, tensors, network)
        except (OSError, ValueError, SafetensorError) as error:
            logger.warning(
                "the checkpoint %s/%s is damaged or can't be read, and is passed over: %s", self.url, name, error
            )
            return None

    def _read(self, folder: str, manifest: Any) -> dict[str, bytes]:
        """Return the files of a checkpoint, verified against its manifest."""
        files = {}
        for name in (_STATE, _NETWORK, _TENSORS):
            with self._filesystem.open_input_stream(f"{folder}/{name}") as stream:
                files[name] = bytes(stream.read())
            if not isinstance(manifest, dict) or manifest.get(name) != _checksum(files[name]):
                raise CheckpointError(f"{name} isn't what the manifest says")
        return files

    def _finished(self) -> list[str]:
        """Return the names of the checkpoints that have a manifest, newest first."""
        finished = (name for name in self._names() if self._is_file(f"{self._root}/{name}/{_MANIFEST}"))
        return sorted(finished, reverse=True)

    def _delete_old(self) -> None:
        """Delete what is older than the checkpoints that stay; if it can't be listed it stays too."""
        try:
            old = self._finished()[KEPT:]
        except OSError as error:
            logger.warning("old checkpoints in %s could not be listed, and stay: %s", self.url, error)
            return
        for name in old:
            self._delete(f"{self._root}/{name}")

    def _names(self) -> list[str]:
        found = self._filesystem.get_file_info(fs.FileSelector(self._root, allow_not_found=True))
        return [info.base_name for info in found if info.base_name.startswith(_PREFIX)]

    def _is_file(self, path: str) -> bool:
        return bool(self._filesystem.get_file_info(path).type == fs.FileType.File)

    def _create(self, folder: str) -> None:
        """Create the folder of a checkpoint, for its owner: weights may give away what they were trained on."""
        create_private(self._filesystem, self._root)
        if is_local(self._filesystem):
            Path(folder).mkdir(0o700)  # what could not be deleted there isn't written into
        else:
            self._filesystem.create_dir(folder)

    def _put(self, path: str, content: bytes) -> None:
        with self._filesystem.open_output_stream(path) as stream:
            stream.write(content)

    def _delete(self, folder: str) -> None:
        """Delete a checkpoint, its manifest first: half of it must not look like a whole one."""
        try:
            if self._is_file(f"{folder}/{_MANIFEST}"):
                self._filesystem.delete_file(f"{folder}/{_MANIFEST}")
            if self._filesystem.get_file_info(folder).type == fs.FileType.Directory:
                self._filesystem.delete_dir(folder)
        except OSError as error:
            logger.warning("%s could not be deleted: %s", folder, error)


def _name(steps: int) -> str:
    return f"{_PREFIX}{steps:012d}"


def _checksum(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
