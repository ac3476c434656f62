"""No path leads out of the folders that were given at start."""

from __future__ import annotations

import pytest

from sparkwater.errors import ConfigurationError
from sparkwater.flow.work.folders import Folders


@pytest.fixture
def places(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    (inside / "deep").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("x")
    (inside / "B.csv").write_text("1234")
    (inside / "a.csv").write_text("1")
    (inside / ".hidden").write_text("1")
    (inside / "out").symlink_to(outside)
    (inside / "in").symlink_to(inside / "deep")
    (inside / "broken").symlink_to(outside / "nothing")
    return inside, outside


def test_paths_within_are_taken(places):
    inside, _ = places
    folders = Folders([inside])
    assert folders.within(str(inside)) == inside
    assert folders.within(f"{inside}/deep/new") == inside / "deep" / "new"
    assert folders.within(f"{inside}/in") == inside / "deep"


@pytest.mark.parametrize(
    "path",
    [
        "{outside}/secret",
        "{inside}/../outside/secret",
        "{inside}/out/secret",
        "{inside}/deep/../deep",
        "{inside}/out/../inside/deep",
        "{inside}/broken",
        "{inside}x",
        "/",
        "/etc/passwd",
        "deep",
        "",
        "file:{outside}/secret",
        "hdfs://host/x",
        "{inside}/*",
        "{inside}/{{deep,../../outside}}/secret",
        "{inside}/dee?",
        "{inside}/[d]eep",
        "{inside}/\0",
        "~/x",
    ],
)
def test_paths_outside_are_refused(places, path):
    inside, outside = places
    with pytest.raises(ConfigurationError, match=r"outside of the folders|no whole path|pattern"):
        Folders([inside]).within(path.format(inside=inside, outside=outside))


def test_a_list_has_folders_first_and_nothing_that_leads_outside(places):
    entries = Folders([places[0]]).entries(str(places[0]))
    assert [(entry.name, entry.is_folder, entry.bytes) for entry in entries] == [
        ("deep", True, 0),
        ("in", True, 0),
        ("a.csv", False, 1),
        ("B.csv", False, 4),
    ]


def test_a_file_is_no_folder(places):
    with pytest.raises(ConfigurationError, match="no folder"):
        Folders([places[0] / "a.csv"])
    with pytest.raises(ConfigurationError, match="no folder"):
        Folders([places[0]]).entries(str(places[0] / "a.csv"))
    with pytest.raises(ConfigurationError, match="at least one"):
        Folders([])
