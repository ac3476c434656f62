"""Spark Connect servers in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: What Spark's own functions need on workers.
OF_SPARK = ("numpy", "pandas", "pyarrow", "pytz", "dateutil", "six", "tzdata")

#: They tell this process, and would tell the server, what sessions and Pythons to take.
_OWN = ("SPARK", "PYSPARK", "PYTHONPATH")


def of_spark(name: str) -> bool:
    """Return whether a file or folder of packages is of those that Spark's own functions need."""
    return name.partition(".")[0] in OF_SPARK


def environment() -> dict[str, str]:
    """Return this process's environment, but for what tells which sessions and Pythons to take; plans stay."""
    return {name: value for name, value in os.environ.items() if name == "SPARK_CONF_DIR" or not name.startswith(_OWN)}


@contextmanager
def running_server(python: Path, workers: Path, folder: Path, *path: Path, **settings: str) -> Iterator[str]:
    """Give the address of a server until the ``with`` block ends.

    Parameters
    ----------
    python : pathlib.Path
        The Python whose Spark it is.
    workers : pathlib.Path
        The Python of its workers.
    folder : pathlib.Path
        An empty folder to run in.
    path : pathlib.Path
        Folders of more modules for the workers.
    settings : str
        Spark's settings, with two underscores for a dot.
    """
    more = json.dumps({name.replace("__", "."): value for name, value in settings.items()})
    given = {"PYSPARK_PYTHON": str(workers), "PYSPARK_DRIVER_PYTHON": str(python), "SPARK_LOCAL_IP": "127.0.0.1"}
    with subprocess.Popen(
        [python, Path(__file__).with_name("server.py"), "local[2]", "127.0.0.1", more],
        env={**environment(), **given, "PYTHONPATH": os.pathsep.join(map(str, path))},
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield f"sc://127.0.0.1:{int(server.stdout.readline())}"
        # Leaving the block closes its input, which ends it.


def other_python() -> Path | None:
    """Return the Python of the other set of dependencies, which has another Spark; None where it isn't set up."""
    here = Path(sys.prefix)
    name = {".venv": ".venv-latest", ".venv-latest": ".venv"}.get(here.name, "")
    python = here.with_name(name) / "bin" / "python" if name else here
    return python if name and python.exists() else None
