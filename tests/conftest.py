"""Real Spark sessions, one at a time: `spark` runs in this process's JVM, `cluster` has two executor JVMs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any

os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
# Networks of tests are too small for several threads, which wait for each other where other tests run beside them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests are too short for the second compiler to pay off: without it Java takes half the processor time. It has 48 MB
# for what it compiled then, which a minute of tests fills, and drops and compiles again what doesn't fit.
# Classes as `scripts/archive_classes.py` left them start Spark in half the time; a JVM goes without those of another.
os.environ.setdefault(
    "JDK_JAVA_OPTIONS",
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m "
    f"-XX:SharedArchiveFile={sys.prefix}/spark.jsa -Xshare:auto -Xlog:cds=off,cds+dynamic=off",
)

import pytest
from both_sets import needs_one_set
from hypothesis import is_hypothesis_test
from pyspark import SparkConf, SparkContext
from pyspark.sql import SparkSession

if TYPE_CHECKING:
    from object_store import Store

ROOT = Path(__file__).parents[1]
#: The Spark Connect server of this run's sessions, such as ``local[2]``; empty for classic sessions. A process has one
#: kind of sessions only.
REMOTE = os.environ.get("SPARKWATER_TEST_REMOTE", "")
if REMOTE:
    os.environ["SPARK_TESTING"] = "1"  # the server takes a free port; else it insists on 15002
CLUSTERS = ("cluster", "gpu_cluster")

#: Where programs in processes of their own find the package, and modules of tests.
PATHS = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
#: Where workers find the module that they are forked from, which has loaded torch, as ranks are.
DAEMONS = os.pathsep.join([str(ROOT / "tests" / "daemon"), *filter(None, [os.environ.get("PYTHONPATH")])])
DAEMON = {"spark.python.daemon.module": "preloaded_workers"}
PRELOADED = {**DAEMON, "spark.executorEnv.PYTHONPATH": DAEMONS}


def options(settings: dict[str, str]) -> list[str]:
    """Return settings as spark-submit's options."""
    return [word for each in settings.items() for word in ("--conf", "=".join(each))]


#: What `PRELOADED` says, for a program that starts a session of its own.
FORKED = {"PYSPARK_SUBMIT_ARGS": " ".join([*options(DAEMON), "pyspark-shell"]), "PYTHONPATH": DAEMONS}


def start_session(master: str, **settings: str) -> SparkSession:
    """Return a session with this master; a session with another one, or with other settings, is stopped first."""
    active = SparkSession.getActiveSession()
    if active is not None:
        same = active.conf.get("spark.master") == master and active.conf.get("tests.settings") == str(settings)
        if same and (REMOTE or not active.sparkContext._jsc.sc().isStopped()):
            return active
        active.stop()
    defaults = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "2g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.log.level": "ERROR",
        # Else each operation on a column asks Java a dozen things about the line that it stands on.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        **PRELOADED,
    }
    if REMOTE:
        os.environ["PYTHONPATH"] = DAEMONS  # workers of a Connect server have no other environment than its own
    else:
        # What a JVM is started with stays its default: the first session's own settings would be those of all others.
        SparkContext._ensure_initialized(conf=SparkConf(loadDefaults=False).setAll([*defaults.items()]))
    builder = SparkSession.builder.remote(REMOTE) if REMOTE else SparkSession.builder.master(master)
    builder = builder.appName("sparkwater tests").config("tests.settings", str(settings))
    for name, value in {**defaults, **settings}.items():
        builder = builder.config(name.replace("__", "."), value)
    return builder.getOrCreate()


@contextmanager
def saying(spark: SparkSession, name: str, value: str) -> Iterator[None]:
    """Let a session say that a setting of Spark's core has a value: set so late it changes nothing else."""
    own = "spark.sql.legacy.setCommandRejectsSparkCoreConfs"
    rejects = spark.conf.get(own)
    spark.conf.set(own, "false")
    before = spark.conf.get(name, None)
    spark.conf.set(name, value)
    try:
        yield
    finally:
        if before is None:
            spark.conf.unset(name)
        else:
            spark.conf.set(name, before)
        spark.conf.set(own, rejects)


def reaches(function: Any, name: str) -> bool:
    """Return whether a function calls what has this name, itself or through other functions that it calls."""
    waiting, seen = [function], set()
    while waiting:
        found = waiting.pop()
        code = getattr(found, "__code__", None)
        if code is None or code in seen:
            continue
        seen.add(code)
        names = _names(code)
        if name in names:
            return True
        waiting += [found.__globals__.get(used) for used in names]
    return False


def _names(code: CodeType) -> set[str]:
    """Return the names that a function's code takes from elsewhere, that of functions within it included."""
    within = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_names, within))


def needs(item: pytest.Item) -> set[str]:
    """Return the marks that follow from a test's fixtures, its module, and the sessions and ranks that it starts."""
    fixtures: dict[str, Any] = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 - has no public name
    functions = [item.function, *(found.func for each in fixtures.values() for found in each)]
    found = {
        "spark": any(reaches(function, "start_session") for function in functions),
        "cluster": not fixtures.keys().isdisjoint(CLUSTERS) or ROOT / "tests" / "faults" in item.path.parents,
        "petastorm": "petastorm" in item.module.__dict__,
        # Ranks in processes of their own, each of which imports torch first.
        "slow": any(reaches(function, "launch") for function in functions),
        "house": needs_one_set(item.path),
    }
    return {name for name, holds in found.items() if holds}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what a test needs, and run those of one kind of session one after the other: a new one costs seconds.

    Files that start sessions come first: they are long, and quick ones at the end let all processes end together.
    A hang under Hypothesis ends the whole run at the time limit: Hypothesis takes the exception that ends any
    other test for a failed example, and tries it again, now without a limit.
    """
    for item in items:
        for name in sorted(needs(item)):
            item.add_marker(name)
        if is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.timeout(method="thread"))
    with_spark = {item.path for item in items if item.get_closest_marker("spark")}
    items.sort(key=lambda item: (item.path not in with_spark, *_sessions(item)))


def _sessions(item: pytest.Item) -> list[bool]:
    return [name in getattr(item, "fixturenames", ()) for name in reversed(CLUSTERS)]


@pytest.fixture
def spark() -> SparkSession:
    """A session with two slots."""
    return start_session("local[2]")


@pytest.fixture
def cluster() -> SparkSession:
    """A session with two executor JVMs of one slot each."""
    return start_session("local-cluster[2,1,1024]")


@pytest.fixture(scope="session")
def gpu_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that tells Spark of one GPU."""
    script = tmp_path_factory.mktemp("gpus") / "gpus.sh"
    script.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["0"]}\'\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def gpu_cluster(gpu_script: Path) -> SparkSession:
    """A session like `cluster`: executors claim to have a GPU, tasks ask for none, and slow ones run a second time."""
    settings = {
        "spark.worker.resource.gpu.amount": "1",
        "spark.worker.resource.gpu.discoveryScript": str(gpu_script),
        "spark.executor.resource.gpu.amount": "1",
        "spark.executor.resource.gpu.discoveryScript": str(gpu_script),
        "spark.speculation": "true",
        "spark.speculation.quantile": "0.1",
        "spark.speculation.multiplier": "1.01",
        "spark.speculation.interval": "50ms",
    }
    return start_session("local-cluster[2,1,1024]", **settings)


@pytest.fixture(scope="module")
def running_store() -> Iterator[Store]:
    """A store of objects on loopback."""
    import object_store  # its client takes long to import

    with object_store.running_store() as store:
        yield store


@pytest.fixture
def store(running_store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store, reached by the environment; what was to be refused ends with the test."""
    import object_store

    object_store.use(running_store, monkeypatch)
    yield running_store
    running_store.refuse()
