"""Tests that are run on one of the two sets of dependencies, and why the other one would add nothing.

The mark of those of the pinned set is ``house``, the mark of those of the newest one ``newest``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

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
#: by all others: rows become tensors by the same code in `test_rank.py` and `test_training.py`.
SAME_VERSIONS = frozenset(
    {
        "gpu/test_agreement.py",
        "gpu/test_augmentation.py",
        "gpu/test_bench.py",
        "gpu/test_checkpoints.py",
        "gpu/test_collectives.py",
        "gpu/test_compute.py",
        "gpu/test_describe.py",
        "gpu/test_device.py",
        "gpu/test_gradients.py",
        "gpu/test_heap.py",
        "gpu/test_loss.py",
        "gpu/test_networks.py",
        "gpu/test_networks_each.py",
        "gpu/test_networks_published.py",
        "gpu/test_networks_training.py",
        "gpu/test_normalization.py",
        "gpu/test_optimizers.py",
        "gpu/test_pretrained.py",
        "gpu/test_rendezvous.py",
        "gpu/test_resume.py",
        "gpu/test_schedules.py",
        "gpu/test_seeding.py",
        "gpu/test_shared_memory.py",
        "gpu/test_stopping.py",
        "gpu/test_table_networks.py",
        "gpu/test_weights.py",
    }
)

#: They run programs of `jobs/`, which parse arguments and make a call or two of the package: those are tested on both
#: sets. None of the programs calls NumPy, pandas or pyarrow itself; `test_repository.py` proves it. What spark-submit
#: gives is tested on both, in `jobs/test_submit.py`.
PROGRAMS = frozenset({"jobs/test_find_anomalies.py", "jobs/test_find_similar.py", "jobs/test_programs.py"})

#: They repeat others over Spark Connect; `connect/lane.py` runs there on both sets.
REPEATED = frozenset({"connect/test_suites.py"})


#: Folders of tests whose parameters are this package's own: losses, networks, bad values, pages. What dependencies do
#: with them the first parameter of a test shows on both sets, and the others take turns. Elsewhere parameters are types
#: of columns and stages of Spark, which all differ between the sets.
VARIED = ("flow", "gpu", "ml")


def sets_of(path: Path, parameters: int) -> list[str]:
    """Return the mark of the set for which each parameter of a test is; empty for both sets."""
    here = Path(__file__).parent
    varied = path.is_relative_to(here) and path.relative_to(here).parts[0] in VARIED
    return ["", *(("house", "newest")[place % 2] if varied else "" for place in range(parameters - 1))]


def needs_one_set(path: Path) -> bool:
    """Return whether the tests of a file are run on the pinned set alone."""
    here = Path(__file__).parent
    of_one_set = REPOSITORY | SAME_VERSIONS | PROGRAMS | REPEATED
    return path.is_relative_to(here) and path.relative_to(here).as_posix() in of_one_set


#: A line of a program that makes it one for both sets: calls of these packages differ more than their names do.
OWN_CALLS = re.compile(r"^(?:import|from) (?:pandas|pyarrow)\b", re.MULTILINE)


def by_turns(programs: dict[str, str]) -> list[Any]:
    """Return names of programs as parameters, one for the pinned set, the next one for the newest, and so on.

    Examples of the documentation are made of what other tests call on both sets. Programs that call pandas or pyarrow
    themselves are for both sets.

    Parameters
    ----------
    programs : dict of str to str
        Names and source.
    """
    marks = {name: (pytest.mark.house, pytest.mark.newest)[place % 2] for place, name in enumerate(_alike(programs))}
    return [pytest.param(name, marks=marks.get(name, ())) for name in programs]


def _alike(programs: dict[str, str]) -> Iterable[str]:
    return (name for name, source in programs.items() if not OWN_CALLS.search(source))
