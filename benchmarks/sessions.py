"""Setup of the benchmarks: a Spark session on this machine, its time on processors, and the folder of digits."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from PIL import Image
from pyspark.sql import SparkSession


def start_spark(cores: int | None = None, memory: str = "3g", *, remote: bool = False, **settings: str) -> SparkSession:
    """Return a session with so many slots, all cores by default; settings have ``__`` in place of dots.

    A remote one is a client of a Spark Connect server, which it starts on this machine.
    """
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    given = {
        "spark.driver.memory": memory,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        **{name.replace("__", "."): value for name, value in settings.items()},
    }
    master = f"local[{cores or os.cpu_count()}]"
    builder = SparkSession.builder.remote(master) if remote else SparkSession.builder.master(master)
    for name, value in given.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def check_digits(data: str | Path) -> None:
    """End the program, and say what to do, where a folder of digits isn't there."""
    if not Path(data, "training").is_dir():
        sys.exit(f"there is no {data}/training: run 'make build/mnist_png' once, or pass --data")


def read_digits(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the pictures in a folder of <label>/<picture>, uint8 ``(rows, 1, 28, 28)``, and their labels, by class."""
    files = sorted(folder.glob("*/*.png"))
    pictures = np.stack([np.asarray(Image.open(file))[None] for file in files])
    return pictures, np.array([int(file.parent.name) for file in files])


def processor_seconds() -> float:
    """Return the seconds of processors that this process and those below it have taken, ended ones included."""
    own = psutil.Process()
    total = 0.0
    for process in [own, *own.children(recursive=True)]:
        with suppress(psutil.Error):  # it ended meanwhile
            total += sum(process.cpu_times()[:4])  # user and system, its own and of children that ended
    return total
