"""Actions that read, change types and split: their Python, and what it gives."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from digits import png
from pyspark.errors import AnalysisException

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.flow.views.data.checks import bad_values, check_objects
from sparkwater.flow.views.data.preview import preview_csv, read_texts
from sparkwater.flow.work.folders import Folders
from sparkwater.flow.work.workspace import Workspace
from sparkwater.flow.workbook.actions import from_json, to_json
from sparkwater.flow.workbook.actions.reading import ReadPictures
from sparkwater.flow.workbook.actions.splitting import SplitFrame
from sparkwater.flow.workbook.actions.tables import ChangeTypes, ReadCsv, ReadJson, ReadParquet
from sparkwater.flow.workbook.column_types import TYPES, type_expression

TYPED = (("n", "whole", ""), ("x", "number", ""), ("day", "date", "dd.MM.yyyy"), ("flag", "boolean", ""))
CSV = ReadCsv("t", "/d/t.csv", ";", True, "NA", TYPED)
ACTIONS = [
    ReadPictures("p", "/d"),
    ReadPictures("p", "/d", "none"),
    ReadPictures("p", "/d", "pattern", r"/(cat|dog)_\d+'\"\n"),
    ReadPictures("p", "/d", "pattern", r"/([^/(*)]+)(?:ab)*[]+|]+\(\)+/(\d{4})?[^/]+$"),
    CSV,
    ReadParquet("q", "/d/q'); import os; ('"),
    ReadJson("j", "/d/j.json", True),
    ChangeTypes("u", "t", (("a`b'\"); drop", "text", ""),)),
    SplitFrame("train", "t", 80, (("valid", 10), ("test", 10)), 7, "id"),
]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.kind)
def test_actions_are_json_and_python_that_compiles(action):
    assert from_json(to_json(action)) == action
    compile(action.code().text, "<action>", "exec")
    assert action.title


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (ReadPictures("p", "/d", "size"), "accepted: folder, pattern, none"),
        (ReadPictures("p", "/d", "pattern", "/[a-z]+/"), "has no group"),
        (ReadPictures("p", "/d", "pattern", "(("), "no regular expression"),
        (ReadPictures("p", "/d", "pattern", "(a{99999999999999999999})"), "no regular expression"),
        (ReadPictures("p", "/d", "pattern", "(" * 5_000), "longer than 200"),
        (ReadPictures("p", "/d", "pattern", "((a+)+)x"), "repeats a group"),
        (ReadPictures("p", "/d", "pattern", "/((?:a|a)*)x"), "repeats a group"),
        (ReadPictures("p", "/d", "pattern", r"([^/]{2,}-){3,}"), "repeats a group"),
        (ReadPictures("p q", "/d"), "can't name a variable"),
        (ReadCsv("t", "/d", ""), "delimiter '' is not accepted"),
        (ReadCsv("t", "/d", types=(("a", "int", ""),)), "accepted: text, number"),
        (ChangeTypes("u", "t", (("a", "date", "yyyy', now()"),)), "the format"),
        (ChangeTypes("u", "t", ()), "at least one"),
        (SplitFrame("a", "t", 50, (("b", 40),)), "100 together"),
        (SplitFrame("a", "t", 100, (("b", 0),)), "100 together"),
        (SplitFrame("a", "t", 50, (("a", 50),)), "a name of its own"),
        (SplitFrame("a", "t", 50, (("t", 50),)), "a name of its own"),
        (SplitFrame("a", "t", 100, ()), "two parts or more"),
    ],
)
def test_what_an_action_refuses(action, said):
    with pytest.raises(ConfigurationError, match=said.replace("(", r"\(")):
        action.code()


@pytest.fixture
def workspace(spark, tmp_path):
    return Workspace(spark, Folders([tmp_path]))


def test_pictures_with_labels(workspace, tmp_path):
    for name in ("a/cat_1.png", "b/dog_2.png", "b/other.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png(np.zeros((4, 4), np.uint8)))
    by_folder = workspace.run(ReadPictures("one", str(tmp_path)))
    assert sorted(row["label"] for row in by_folder.collect()) == ["a", "b", "b"]
    by_path = workspace.run(ReadPictures("two", str(tmp_path), "pattern", r"/(cat|dog)_\d+"))
    assert Counter(row["label"] for row in by_path.collect()) == {"cat": 1, "dog": 1, None: 1}
    assert workspace.run(ReadPictures("three", str(tmp_path), "none")).columns == ["path", "content"]
    assert workspace.frames() == ["one", "two", "three"]


def test_a_table_with_types_and_its_bad_values(workspace, tmp_path):
    text = (
        "n;x;day;flag;name\n1;2.5;29.02.2024;true;a\n2.0;1e3;31.12.1999;no;NA\n2.5;oops;2024-01-01;maybe;b\nNA;;;;c\n"
    )
    (tmp_path / "t.csv").write_text(text)
    action = ReadCsv("t", str(tmp_path / "t.csv"), ";", True, "NA", TYPED)
    rows = workspace.run(action).collect()
    assert [row["n"] for row in rows] == [1, 2, None, None]
    assert [row["x"] for row in rows] == [2.5, 1000.0, None, None]
    assert [str(row["day"]) for row in rows] == ["2024-02-29", "1999-12-31", "None", "None"]
    assert [row["flag"] for row in rows] == [True, False, None, None]
    assert [row["name"] for row in rows] == ["a", None, "b", "c"]
    found = bad_values(read_texts(workspace.spark, action), (*TYPED, ("name", "number", "")))
    assert [(one.column, one.given, one.bad, one.example) for one in found] == [
        ("n", 3, 1, "2.5"),
        ("x", 3, 1, "oops"),
        ("day", 3, 1, "2024-01-01"),
        ("flag", 3, 1, "maybe"),
        ("name", 3, 3, "a"),
    ]
    assert str(found[0]) == (
        "Column 'n': 1 of 3 values don't fit the type 'whole number' and become missing, such as '2.5'"
    )
    assert str(found[-1]).startswith("Column 'name': no value fits the type 'number'")


def test_preview_of_the_penguins_is_what_reading_gives(spark):
    path = str(ROOT / "data" / "penguins.csv")
    action = ReadCsv("penguins", path, null_text="NA")
    preview = preview_csv(spark, action)
    types = tuple((name, kind, "") for name, kind in zip(preview.names, preview.types, strict=True) if kind != "text")
    assert {kind for _, kind, _ in types} <= {"number", "whole"}
    assert bad_values(read_texts(spark, action), types) == ()
    penguins = Workspace(spark, Folders([ROOT])).run(ReadCsv("penguins", path, null_text="NA", types=types))
    assert penguins.count() == len((ROOT / "data" / "penguins.csv").read_text().splitlines()) - 1


def test_quotes_and_delimiters_within_quotes_are_text(workspace, tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n"x, ""y"", z",1\nplain,2\n')
    rows = workspace.run(ReadCsv("t", str(tmp_path / "t.csv"))).collect()
    assert [tuple(row) for row in rows] == [('x, "y", z', "1"), ("plain", "2")]


def test_long_texts_of_a_preview_are_cut_and_odd_names_are_read(spark, tmp_path):
    (tmp_path / "t.csv").write_text(f"a`b;c.d\n{'x' * 1_000};1\n{'y' * 80};2\n")
    preview = preview_csv(spark, ReadCsv("t", str(tmp_path / "t.csv"), ";"))
    assert preview.names == ("a`b", "c.d")
    assert preview.rows == ((f"{'x' * 80}…", "1"), ("y" * 80, "2"))
    assert preview.types == ("text", "whole")


def test_types_of_a_frame_are_changed(workspace, tmp_path):
    spark = workspace.spark
    spark.createDataFrame([(1.0, 3, "4", True)], "`a.b` double, b int, c string, d boolean").write.parquet(
        str(tmp_path / "q")
    )
    workspace.run(ReadParquet("q", str(tmp_path / "q")))
    types = (("a.b", "whole", ""), ("b", "text", ""), ("c", "number", ""), ("d", "whole", ""))
    typed = workspace.run(ChangeTypes("typed", "q", types))
    assert typed.dtypes == [("a.b", "bigint"), ("b", "string"), ("c", "double"), ("d", "bigint")]
    assert tuple(typed.first()) == (1, "3", 4.0, 1)
    assert set(TYPES) == {"text", "number", "whole", "boolean", "date", "timestamp"}
    assert all(type_expression(("a", kind, "")) for kind in TYPES)


def test_json_of_lines_and_of_whole_documents(workspace, tmp_path):
    (tmp_path / "lines.json").write_text('{"a": 1}\n{"a": 2}\n')
    (tmp_path / "whole.json").write_text('[{"a": 1},\n{"a": 2}]')
    assert workspace.run(ReadJson("lines", str(tmp_path / "lines.json"))).count() == 2
    assert workspace.run(ReadJson("whole", str(tmp_path / "whole.json"), whole_files=True)).count() == 2


def test_parts_are_the_same_in_any_partitioning_and_lose_no_row(workspace, tmp_path):
    frame = workspace.spark.range(3_000).selectExpr("id", "id % 100 as person")
    frame.write.parquet(str(tmp_path / "one"))
    frame.repartition(7).orderBy("person").write.parquet(str(tmp_path / "other"))
    split = SplitFrame("train", "t", 80, (("test", 20),))
    workspace.run(ReadParquet("t", str(tmp_path / "one")))
    train = workspace.run(split)
    ids = [{row["id"] for row in part.collect()} for part in (train, workspace.value("test"))]
    assert train.columns == ["id", "person"]
    assert len(ids[0]) + len(ids[1]) == 3_000
    assert ids[0] | ids[1] == set(range(3_000))
    assert 0.77 < len(ids[0]) / 3_000 < 0.83
    workspace.run(ReadParquet("u", str(tmp_path / "other")))
    workspace.run(replace(split, frame="u", result="train_2", others=(("test_2", 20),)))
    assert {row["id"] for row in workspace.value("test_2").collect()} == ids[1]
    workspace.run(SplitFrame("some", "t", 80, (("others", 20),), together="person"))
    people = [{row["person"] for row in workspace.value(name).collect()} for name in ("some", "others")]
    assert people[0].isdisjoint(people[1])


def test_a_path_is_read_as_it_is_written(workspace, tmp_path):
    inside, secret = tmp_path / "inside", tmp_path / "secret.csv"
    (inside / "deep").mkdir(parents=True)
    secret.write_text("secret\n1\n")
    within = Workspace(workspace.spark, Folders([inside]))
    names = ("%2e%2e/secret.csv", "deep/%2e%2e/%2e%2e/secret.csv", f"a.csv,{secret}", f"file:{secret}", f"a\n{secret}")
    for name in names:  # names like any others, of files that aren't there
        with pytest.raises(AnalysisException, match="PATH_NOT_FOUND"):
            within.run(ReadCsv("t", f"{inside}/{name}"))
    assert within.variables() == {}
    for name in ("a%2fb.csv", "a,b.csv", "a b#c.csv"):
        (inside / name).write_text("secret\n1\n")
        assert within.run(ReadCsv(f"t{len(within.variables())}", f"{inside}/{name}")).columns == ["secret"]


def test_json_without_objects_is_told_from_a_table(workspace, tmp_path):
    (tmp_path / "text.json").write_text("this is\nno JSON\n")
    (tmp_path / "empty.json").write_text("")
    (tmp_path / "some.json").write_text('no JSON\n{"a": 1}\n')
    for name in ("text", "empty"):
        with pytest.raises(DataError, match="no JSON objects in the file"):
            check_objects(workspace.run(ReadJson(name, str(tmp_path / f"{name}.json"))))
    check_objects(workspace.run(ReadJson("some", str(tmp_path / "some.json"))))


def test_a_wide_table_is_checked_in_two_jobs(workspace, tmp_path):
    columns = [f"c{place}" for place in range(600)]
    rows = ["7"] * 600, ["x" if place % 100 == 7 else "8.5" for place in range(600)], [""] * 600
    (tmp_path / "t.csv").write_text("\n".join(map(",".join, (columns, *rows))))
    action = ReadCsv("t", str(tmp_path / "t.csv"))
    types = tuple((name, ("number", "whole", "text")[place % 3], "") for place, name in enumerate(columns))
    frame = read_texts(workspace.spark, action)
    tracker = workspace.spark.sparkContext.statusTracker()
    before = len(tracker.getJobIdsForGroup())
    found = {one.column: one for one in bad_values(frame, types)}
    assert len(tracker.getJobIdsForGroup()) - before <= 4  # each of two with its shuffle
    whole = {name for name, kind, _ in types if kind == "whole"}
    assert found.keys() == whole | {"c207", "c507"}
    assert (found["c1"].given, found["c1"].bad, found["c1"].example) == (2, 1, "8.5")
    assert (found["c207"].given, found["c207"].bad, found["c207"].example) == (2, 1, "x")


def test_paths_outside_of_the_folders_are_refused(workspace, tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    for path in ("/etc", str(tmp_path / "link"), "file:/etc/passwd", str(tmp_path / ".." / "x.csv")):
        for action in (ReadPictures("p", path), ReadCsv("t", path), ReadParquet("q", path), ReadJson("j", path)):
            with pytest.raises(ConfigurationError, match=r"outside|no whole path"):
                workspace.run(action)
