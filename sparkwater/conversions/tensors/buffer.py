"""A growing buffer of tensors: in memory, or in a mapped file on the local disk."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import IO

import numpy as np
import numpy.typing as npt

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError


class TensorBuffer:
    """Tensors of one spec, one after the other.

    They are in memory up to a limit. Beyond it all of them go to a file without a name in
    ``directory``, so nothing is left of it once the process ends, however it ends.

    Parameters
    ----------
    spec : TensorSpec
        The spec of each tensor.
    memory_limit : int, optional
        Bytes; None holds everything in memory.
    directory : str, optional
        The folder of the file; by default the first of Spark's local directories on an executor, else
        the system's place for temporary files.
    """

    def __init__(self, spec: TensorSpec, memory_limit: int | None = None, directory: str | None = None) -> None:
        self._spec = spec
        self._limit = memory_limit
        self._directory = directory if directory is not None else local_directory()
        self._memory = np.empty(0, np.uint8)
        self._file: IO[bytes] | None = None
        self._bytes = 0

    @property
    def in_memory(self) -> bool:
        """True while the tensors are in memory, not in a file."""
        return self._file is None

    def __len__(self) -> int:
        return self._bytes // self._spec.nbytes

    def append(self, values: npt.NDArray[np.generic]) -> None:
        """Add tensors, shape ``(rows, *spec.shape)`` and of the spec's dtype; they are copied.

        Raises
        ------
        ConfigurationError
            If the disk can't take them.
        """
        added = np.ascontiguousarray(values, self._spec.numpy_dtype).reshape(-1).view(np.uint8)
        if self._file is None and self._limit is not None and self._bytes + added.nbytes > self._limit:
            self._move_to_file()
        if self._file is None:
            # Large blocks grow by moving pages, not bytes, so there is never a second copy.
            self._memory.resize(self._bytes + added.nbytes, refcheck=False)
            self._memory[self._bytes :] = added
        else:
            self._write(added)
        self._bytes += added.nbytes

    def tensors(self) -> npt.NDArray[np.generic]:
        """Return all tensors, ``(rows, *spec.shape)``, and leave the buffer empty.

        They are writable where they are in memory, and read-only where they are in the file, which
        lives as long as they do.
        """
        raw = self._memory if self._file is None else self._mapped(self._file)
        shape = (len(self), *self._spec.shape)
        self._memory, self._file, self._bytes = np.empty(0, np.uint8), None, 0
        return raw.view(self._spec.numpy_dtype).reshape(shape)

    def _move_to_file(self) -> None:
        self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115 - it lives as long as its tensors
        self._write(self._memory)
        self._memory = np.empty(0, np.uint8)

    def _write(self, data: npt.NDArray[np.uint8]) -> None:
        assert self._file is not None  # both callers have just opened it or found it open
        try:
            self._file.write(data.data)
            self._file.flush()
        except OSError as error:
            raise ConfigurationError(
                f"a rank's tensors don't fit on the disk of {self._directory!r} ({error}); more ranks, a larger disk "
                "(spark.local.dir) or a larger maxMemoryInMB may help"
            ) from error

    @staticmethod
    def _mapped(file: IO[bytes]) -> npt.NDArray[np.uint8]:
        # The map keeps the file; closing the handle doesn't end it.
        with file:
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def local_directory() -> str:
    """Return where large temporary files go: Spark's first local directory on an executor."""
    return os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or tempfile.gettempdir()
