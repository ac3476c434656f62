"""The web face as users start it: a program that prints the address to open."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Server:
    """A program that serves."""

    address: str
    process: subprocess.Popen[str]
    log: Path

    def tell(self, line: str) -> str:
        """Write a line to the program, and return the one that it prints when it has done what that asks for."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(line, file=self.process.stdin, flush=True)
        return self.process.stdout.readline()


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[Server]:
    """Run Python with these arguments until the end of the block, once it has printed an address.

    Parameters
    ----------
    arguments : str
        Python's arguments.
    environment : str
        Variables beside those of this process.
    """
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "OMP_NUM_THREADS": "1", **environment}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        tempfile.NamedTemporaryFile("w+") as log,
        subprocess.Popen(
            [sys.executable, *arguments], **pipes, stderr=log, text=True, cwd=ROOT, env=environment
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            if found is None:
                log.seek(0)
                raise RuntimeError(f"the program printed {line!r} and said {log.read()[-2000:]}")
            yield Server(found[0], process, Path(log.name))
            process.send_signal(signal.SIGINT)
            process.wait(60)
        finally:
            process.kill()
