"""One cluster of hosts for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from digits import tensor_frame
from hosts.cluster import Cluster, started
from hosts.fits import learner
from hosts.network import missing

from sparkwater.ml import ImageClassifierModel

#: Files that take minutes: begun last, they would be waited for.
LONGEST = (
    "test_unreachable_driver.py",
    "test_unreachable_hosts.py",
    "test_same_weights.py",
    "test_users_program.py",
    "test_failing_ranks.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and skip them where there can be no hosts; the longest files come first."""
    reason = missing()
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("hosts")
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def hosts() -> Iterator[Cluster]:
    """A driver, two workers and a stranger, each with addresses of its own."""
    with started() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def undisturbed(hosts: Cluster) -> ImageClassifierModel:
    """What `learner` learns by Horovod where nothing happens."""
    return learner(collective="horovod").fit(tensor_frame(hosts.session(), 100))
