"""Folders as lists."""

from __future__ import annotations

import time

import pytest

from sparkwater.errors import ConfigurationError
from sparkwater.flow.views.data.listing import file_reads, list_folder
from sparkwater.flow.work.folders import Folders


def test_folders_come_first_and_numbers_in_their_order(tmp_path):
    for name in ("10.png", "9.png", "b.csv", "_hidden.csv", ".hidden"):
        (tmp_path / name).write_text("x")
    (tmp_path / "z").mkdir()
    listing = list_folder(Folders([tmp_path]), str(tmp_path))
    assert [entry.name for entry in listing.entries] == ["z", "9.png", "10.png", "b.csv"]
    assert (listing.folders, listing.files, listing.pages) == (1, 3, 1)
    assert listing.reads == ("pictures", "csv")


def test_pictures_in_folders_within_are_seen(tmp_path):
    (tmp_path / "training" / "3").mkdir(parents=True)
    folders = Folders([tmp_path])
    assert list_folder(folders, str(tmp_path)).reads == ()
    (tmp_path / "training" / "3" / "a.PNG").write_text("x")
    assert list_folder(folders, str(tmp_path)).reads == ("pictures",)
    assert list_folder(folders, str(tmp_path / "training")).reads == ("pictures",)


def test_a_folder_with_nothing_to_open_says_so(tmp_path):
    folders = Folders([tmp_path])
    assert list_folder(folders, str(tmp_path)).remark == "The folder is empty."
    (tmp_path / "notes.md").write_text("x")
    said = list_folder(folders, str(tmp_path)).remark
    assert said.startswith("Nothing in this folder can be read: no pictures (png, ")
    assert said.endswith(", and no tables (csv, tsv, txt, data, json, jsonl, ndjson, parquet).")
    (tmp_path / "deeper").mkdir()
    assert list_folder(folders, str(tmp_path)).remark == ""


def test_a_folder_whose_name_is_a_pattern_does_not_hide_those_beside_it(tmp_path):
    (tmp_path / "a[1]").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.png").write_text("x")
    listing = list_folder(Folders([tmp_path]), str(tmp_path))
    assert [entry.name for entry in listing.entries] == ["a[1]", "b"]
    assert listing.reads == ("pictures",)


def test_ten_thousand_files_are_listed_by_the_page(tmp_path):
    for number in range(10_000):
        (tmp_path / f"{number}.png").touch()
    folders, started = Folders([tmp_path]), time.perf_counter()
    listing = list_folder(folders, str(tmp_path), page=3, size=50)
    assert time.perf_counter() - started < 3
    assert [entry.name for entry in listing.entries] == [f"{number}.png" for number in range(150, 200)]
    assert (listing.files, listing.pages) == (10_000, 200)
    assert list_folder(folders, str(tmp_path), page=10**9).page == 199
    assert [entry.name for entry in list_folder(folders, str(tmp_path), text="9999.P").entries] == ["9999.png"]


def test_a_folder_that_is_gone_or_outside_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    folders = Folders([tmp_path / "in"])
    with pytest.raises(ConfigurationError, match="outside"):
        list_folder(folders, str(tmp_path))
    with pytest.raises(ConfigurationError, match="no folder"):
        list_folder(folders, str(tmp_path / "in" / "gone"))


@pytest.mark.parametrize(
    ("name", "way"),
    [("a.csv", "csv"), ("A.TSV.gz", "csv"), ("b.JPeg", "pictures"), ("c.parquet", "parquet"), ("d.jsonl.bz2", "json"),
     ("e.zip", ""), ("csv", ""), ("readme.md", "")],
)  # fmt: skip
def test_ways_to_read_by_name(name, way):
    assert file_reads(name) == way
