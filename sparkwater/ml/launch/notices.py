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
from dataclasses import asdict
from secrets import token_hex

from pyarrow import fs

from sparkwater.conversions.files.filesystems import create_private, open_filesystem
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.training.checkpoints import CheckpointFolder

logger = logging.getLogger(__name__)

SECONDS_BETWEEN = 2.0


class Notices:
    """The file of one training, as rank 0 knows it.

    Parameters
    ----------
    url : str
        The file, on a filesystem that pyarrow or fsspec reaches.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._epochs: list[EpochRecord] = []
        self._next = 0.0

    def epoch(self, record: EpochRecord) -> None:
        """Write an epoch and those before; where the last writing was just now, a later one does it."""
        self._epochs.append(record)
        if time.monotonic() < self._next:
            return
        try:
            filesystem, path = open_filesystem(self.url)
            create_private(filesystem, path.rpartition("/")[0])
            with filesystem.open_output_stream(path) as stream:
                stream.write(json.dumps([asdict(each) for each in self._epochs]).encode())
        except (OSError, ConfigurationError) as error:
            logger.warning("epoch %d could not be told through %s: %s", record.epoch, self.url, error)
        self._next = time.monotonic() + SECONDS_BETWEEN


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
    notices = Notices(CheckpointFolder(checkpoint_dir).inside(f"epochs-{token_hex(8)}.json").url)
    ended = threading.Event()
    reader = threading.Thread(target=_read, args=(notices.url, on_epoch, ended), name="notices", daemon=True)
    reader.start()
    try:
        yield notices
    finally:
        ended.set()
        reader.join()


def _read(url: str, on_epoch: Callable[[EpochRecord], None], ended: threading.Event) -> None:
    filesystem, path = open_filesystem(url)
    known, last = 0, False
    while not last:
        last = ended.wait(SECONDS_BETWEEN)
        # There is no file yet, or half of one.
        with suppress(OSError, ValueError), filesystem.open_input_stream(path) as stream:
            epochs = [EpochRecord.from_dict(fields) for fields in json.loads(stream.read())]
            for record in epochs[known:]:
                on_epoch(record)
            known = len(epochs)
    with suppress(OSError):
        if filesystem.get_file_info(path).type == fs.FileType.File:
            filesystem.delete_file(path)
