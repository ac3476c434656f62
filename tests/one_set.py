"""Tests that are run on the pinned set alone, and why the newest one would add nothing; their mark is ``house``."""

from __future__ import annotations

from pathlib import Path

#: They read the repository's own files, and import its modules: not what these do with dependencies.
REPOSITORY = frozenset(
    {
        "test_house.py",
        "test_imports.py",
        "test_repository.py",
        "test_security.py",
        "test_site.py",
        "test_words.py",
        "gpu/test_build_horovod.py",
    }
)

#: They are about torch, Horovod and the operating system, which are the same with both sets, and import none of the
#: packages that have two versions; `test_repository.py` proves both. NumPy, pyarrow and Spark beside torch are tested
#: by all others.
SAME_VERSIONS = frozenset(
    {
        "gpu/test_bench.py",
        "gpu/test_collectives.py",
        "gpu/test_compute.py",
        "gpu/test_describe.py",
        "gpu/test_device.py",
        "gpu/test_heap.py",
        "gpu/test_networks.py",
        "gpu/test_networks_each.py",
        "gpu/test_networks_published.py",
        "gpu/test_networks_training.py",
        "gpu/test_normalization.py",
        "gpu/test_optimizers.py",
        "gpu/test_rendezvous.py",
        "gpu/test_schedules.py",
        "gpu/test_shared_memory.py",
    }
)

#: They repeat others over Spark Connect; `connect/lane.py` runs there on both sets.
REPEATED = frozenset({"connect/test_suites.py"})


def needs_one_set(path: Path) -> bool:
    """Return whether the tests of a file are run on the pinned set alone."""
    here = Path(__file__).parent
    return path.is_relative_to(here) and path.relative_to(here).as_posix() in REPOSITORY | SAME_VERSIONS | REPEATED
