"""Epochs told through a file beside the checkpoints: for a driver that ranks can't reach.

Rank 0 writes there what it can't say, every two seconds at most; the driver looks as often. It is best effort, as all
progress: the last epochs may be known by the model's summary alone.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from secrets import token_hex

from pyarrow import fs

from sparkwater.conversions.files.filesystems import create_private, open_filesystem
from sparkwater.gpu.records import EpochRecord

logger = logging.getLogger(__name__)

SECONDS_BETWEEN = 2.0
#: A store that doesn't answer holds the training up at each writing.
SECONDS_AFTER_FAILURE = 60.0
#: The driver waits so long for a store that doesn't answer its last look.
_SECONDS_AT_END = 10.0
_PREFIX = "epochs-"
#: Files stay of drivers that were killed, or didn't see the folder.
_OLD = timedelta(days=1)


@dataclass(frozen=True)
class Notices:
    """The file of one training.

    Attributes
    ----------
    folder : str
        The folder of checkpoints, on a filesystem that pyarrow or fsspec reaches.
    name : str
        The file's name.
    """

    folder: str
    name: str

    def prepare(self) -> None:
        """Create the folder unless it is there; raises whatever the store's library does."""
        create_private(*open_filesystem(self.folder))

    def write(self, epochs: list[EpochRecord]) -> None:
        """Put epochs in place of what is there, once `prepare` was called; raises whatever the store's library does."""
        filesystem, folder = open_filesystem(self.folder)
        with filesystem.open_output_stream(f"{folder}/{self.name}") as stream:
            stream.write(json.dumps([asdict(each) for each in epochs]).encode())

    def read(self) -> list[EpochRecord]:
        """Return what is there; nothing of half a file, and of a store that doesn't answer."""
        with suppress(Exception):
            filesystem, folder = open_filesystem(self.folder)
            if isinstance(filesystem, fs.PyFileSystem):
                filesystem.handler.fs.invalidate_cache()  # fsspec's listings are of the first look
            path = f"{folder}/{self.name}"
            if filesystem.get_file_info(path).type == fs.FileType.File:  # to fail at opening is loud on HDFS
                with filesystem.open_input_stream(path) as stream:
                    return [EpochRecord.from_dict(fields) for fields in json.loads(stream.read())]
        return []

    def sweep(self) -> None:
        """Delete the file, and those that other trainings left a day ago and more."""
        with suppress(Exception):
            filesystem, folder = open_filesystem(self.folder)
            for found in filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True)):
                ours = found.base_name == self.name
                if ours or (found.base_name.startswith(_PREFIX) and _is_old(found)):
                    filesystem.delete_file(found.path)


def _is_old(found: fs.FileInfo) -> bool:
    return found.mtime is not None and datetime.now(timezone.utc) - found.mtime > _OLD


class Noticeboard:
    """The epochs of a training on rank 0, which writes them; a failure costs a log line, never the training."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices
        self._epochs: list[EpochRecord] = []
        self._prepared, self._next = False, 0.0

    def epoch(self, record: EpochRecord) -> None:
        """Write an epoch and those before; where the last writing was just now, a later one does it."""
        self._epochs.append(record)
        if time.monotonic() < self._next:
            return
        wait = SECONDS_BETWEEN
        try:
            if not self._prepared:  # once: all ranks wait meanwhile
                self._notices.prepare()
                self._prepared = True
            self._notices.write(self._epochs)
        except Exception as error:
            logger.warning("epoch %d could not be told through %s: %s", record.epoch, self._notices.folder, error)
            wait = SECONDS_AFTER_FAILURE
        self._next = time.monotonic() + wait


@contextmanager
def posted(checkpoint_dir: str | None, on_epoch: Callable[[EpochRecord], None]) -> Iterator[Notices | None]:
    """Give the notices of a training; while the ``with`` block runs, a thread calls a function with each new epoch.

    Parameters
    ----------
    checkpoint_dir : str or None
        The folder of checkpoints; None for no notices. The file is deleted at the end.
    on_epoch : callable
        Called on the driver, in the thread.
    """
    if checkpoint_dir is None:
        yield None
        return
    notices, ended = Notices(checkpoint_dir, f"{_PREFIX}{token_hex(8)}.json"), threading.Event()
    reader = threading.Thread(target=_follow, args=(notices, on_epoch, ended), name="notices", daemon=True)
    reader.start()
    try:
        yield notices
    finally:
        ended.set()
        reader.join(_SECONDS_AT_END)


def _follow(notices: Notices, on_epoch: Callable[[EpochRecord], None], ended: threading.Event) -> None:
    known, last = 0, False
    while not last:
        last = ended.wait(SECONDS_BETWEEN)
        for record in notices.read()[known:]:
            known += 1
            try:
                on_epoch(record)
            except Exception as error:
                logger.debug("an observer of epochs failed: %s", error)
    notices.sweep()
