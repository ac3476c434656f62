"""The settings in conf/ are Spark's own: each key stands in its classes, and each has a reason before it."""

from __future__ import annotations

import re
import zipfile
from functools import lru_cache
from pathlib import Path

import pyspark
import pytest
from conftest import ROOT

FILES = sorted((ROOT / "conf").glob("*.conf"))

#: Keys whose end is the user's to choose, by the part that stands in Spark's classes.
OPEN = {
    r"spark\.executorEnv\.\w+": b"spark.executorEnv.",
    r"spark\.yarn\.appMasterEnv\.\w+": b"spark.yarn.appMasterEnv.",
    r"spark\.kubernetes\.(driver|executor)\.secretKeyRef\.\w+": b"spark.kubernetes.executor.secretKeyRef.",
    r"spark\.kubernetes\.executor\.volumes\.emptyDir\.\w+\.(mount\.path|options\.(medium|sizeLimit))": (
        b"spark.kubernetes.executor.volumes."
    ),
    r"spark\.(executor|task)\.resource\.gpu\.(amount|vendor|discoveryScript)": b"discoveryScript",
    r"spark\.kubernetes\.authenticate\.driver\.serviceAccountName": b"spark.kubernetes.authenticate.driver",
}


@lru_cache(maxsize=1)
def constants() -> bytes:
    """Return the classes of Spark that name settings."""
    jars = Path(pyspark.__file__).parent / "jars"
    names = ("core", "common-utils", "yarn", "kubernetes", "catalyst", "sql-api", "launcher")
    found = [jar for name in names for jar in jars.glob(f"spark-{name}_*.jar")]
    assert len(found) == len(names)
    read = []
    for jar in found:
        with zipfile.ZipFile(jar) as classes:
            wanted = re.compile(r"(?i)config|conf\$?\.class|resource|spark(conf|context|launcher)|submit|yarn/client\.")
            read += [classes.read(name) for name in classes.namelist() if wanted.search(name)]
    return b"\n".join(read)


def settings(path: Path) -> list[str]:
    """Return the keys of a file."""
    return [line.split()[0] for line in path.read_text().splitlines() if line and not line.startswith("#")]


def known(key: str) -> bool:
    """Return whether Spark has a setting of this name: a constant of a class, with its length before it."""
    for pattern, part in OPEN.items():
        if re.fullmatch(pattern, key):
            return part in constants()
    return len(key).to_bytes(2, "big") + key.encode() in constants()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_setting_is_one_of_sparks(path: Path) -> None:
    keys = settings(path)
    assert [key for key in keys if not known(key)] == []
    assert len(set(keys)) == len(keys)
    assert not known("spark.executor.instance")


@pytest.mark.parametrize("name", ["spark-defaults-yarn", "spark-defaults-k8s"])
def test_clusters_run_ranks_at_the_same_time_and_say_why(name) -> None:
    text = (ROOT / "conf" / f"{name}.conf").read_text()
    values = dict(line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#"))
    assert values["spark.dynamicAllocation.enabled"] == "false"
    assert int(values["spark.executor.cores"]) % int(values["spark.task.cpus"]) == 0
    # Every run of settings has a comment before it, but the first lines of a file.
    blocks = [block for block in text.split("\n\n") if block.strip()]
    assert [block for block in blocks if not block.lstrip().startswith("#")] == []
