"""No path leads out of the folders that were given at start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sparkwater.errors import ConfigurationError
from sparkwater.flow.work.folders import Folders
from sparkwater.flow.work.workspace import Workspace
from sparkwater.flow.workbook.actions.keeping import ExportBundle, SaveModel


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


def test_a_file_that_spark_can_t_read_by_its_name_is_told(places):
    inside, _ = places
    (inside / "12:30.csv").touch()
    (inside / "a:b").mkdir()
    folders = Folders([inside])
    assert folders.within(f"{inside}/a:b") == inside / "a:b"
    with pytest.raises(ConfigurationError, match="has : in its name, by which Spark reads no file; rename the file"):
        folders.within(f"{inside}/12:30.csv")


def test_names_with_a_colon_outside_are_as_others_there(places):
    inside, outside = places
    (outside / "12:30.csv").touch()
    with pytest.raises(ConfigurationError, match="is outside of the folders"):
        Folders([inside]).within(f"{outside}/12:30.csv")
    long = f"{inside}/{'a:' * 200}"
    assert Folders([inside]).within(long) == Path(long)


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
        "/{inside}/a.csv",
        "//etc/passwd",
        "file:///etc/passwd",
        "{outside}/secret,{inside}/a.csv",
        "{inside}/../{inside}/a.csv",
        "\n{inside}/a.csv",
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


def test_a_link_to_itself_is_left_out_and_leads_nowhere(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    folders = Folders([tmp_path])
    assert "a.csv" in [entry.name for entry in folders.entries(str(tmp_path))]
    with pytest.raises(ConfigurationError, match=r"no folder|leads nowhere"):
        folders.entries(str(tmp_path / "loop"))


def test_a_name_that_is_not_utf_8_can_be_shown_and_is_refused(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.csv")).write_text("1")
    folders = Folders([tmp_path])
    (entry,) = folders.entries(str(tmp_path))
    assert entry.name == "b?.csv"
    with pytest.raises(ConfigurationError, match="UTF-8") as refused:
        folders.within(entry.path)
    str(refused.value).encode()


def test_a_folder_that_may_not_be_read_says_so(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)  # root may read all
    with pytest.raises(ConfigurationError, match="can't be read: Permission denied"):
        Folders([tmp_path]).entries(str(tmp_path))


def test_nothing_but_models_is_replaced(tmp_path):
    inside = tmp_path / "data" / "inside"
    for name in ("digits/0", "empty", "model/metadata", "bundle"):
        (inside / name).mkdir(parents=True)
    for name in ("digits/0/a.png", "model/metadata/part-00000", "bundle/manifest.json", "bundle/model.onnx", "a.csv"):
        (inside / name).write_text("1")
    folders = Folders([inside, tmp_path / "data"])
    for name in ("new", "empty", "model", "bundle", "new/model"):
        folders.check_replaceable(str(inside / name))
    for name in ("digits", "a.csv"):
        with pytest.raises(ConfigurationError, match="no saved model"):
            folders.check_replaceable(str(inside / name))
    for path in (inside, inside.parent, inside / "."):
        with pytest.raises(ConfigurationError, match="given at start"):
            folders.check_replaceable(str(path))


def test_saving_with_replacing_deletes_no_data(tmp_path):
    (tmp_path / "a.csv").write_text("1")
    workspace = Workspace(None, Folders([tmp_path]))
    workspace.check(SaveModel("m", f"{tmp_path}/new", overwrite=True))
    for action in (SaveModel("m", str(tmp_path)), ExportBundle("m", "rows", f"{tmp_path}/a.csv")):
        with pytest.raises(ConfigurationError, match="exists already; tick 'Replace what is there', or name another"):
            workspace.check(action)
    for action in (SaveModel("m", str(tmp_path), True), ExportBundle("m", "rows", str(tmp_path), True)):
        with pytest.raises(ConfigurationError, match="given at start"):
            workspace.check(action)


def test_a_folder_with_a_link_that_leads_outside_is_not_read_as_a_whole(tmp_path):
    inside, outside, beside = tmp_path / "inside", tmp_path / "outside", tmp_path / "beside"
    for folder in (inside / "a" / "b", inside / "_hidden", outside, beside):
        folder.mkdir(parents=True)
    folders = Folders([inside, beside])
    (inside / "_hidden" / "out").symlink_to(outside)
    (inside / "a" / "round").symlink_to(inside)
    (inside / "a" / "beside").symlink_to(beside)
    (beside / "x.csv").write_text("1")
    for path in (inside, inside / "a", beside / "x.csv", inside / "new"):
        assert folders.check_links(str(path)) == path
    (beside / "out").symlink_to(outside)
    (inside / "a" / "b" / "file").symlink_to("/etc/passwd")
    for path in (inside, inside / "a", inside / "a" / "b", beside):
        with pytest.raises(ConfigurationError, match="leads outside of the folders"):
            folders.check_links(str(path))


def test_a_link_that_leads_outside_is_found_beside_links_of_any_kind(tmp_path):
    inside = tmp_path / "inside"
    (inside / "_kind=1").mkdir(parents=True)
    for number in range(20):  # folders are listed in no order
        (inside / f"long{number}").symlink_to("x" * 300)
        (inside / "_kind=1" / f"long{number}").symlink_to("x" * 300)
    folders = Folders([inside])
    assert folders.below(str(inside)) == {inside, inside / "_kind=1"}
    for number in range(20):
        (inside / "_kind=1" / f"out{number}").symlink_to("/etc")
    with pytest.raises(ConfigurationError, match="leads outside of the folders"):
        folders.check_links(str(inside))


def test_a_file_is_no_folder(places):
    with pytest.raises(ConfigurationError, match="no folder"):
        Folders([places[0] / "a.csv"])
    with pytest.raises(ConfigurationError, match="no folder"):
        Folders([places[0]]).entries(str(places[0] / "a.csv"))
    with pytest.raises(ConfigurationError, match="at least one"):
        Folders([])
    for path in (places[0], str(places[0])):
        with pytest.raises(ConfigurationError, match="give a list of folders"):
            Folders(path)
