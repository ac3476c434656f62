"""Parquet whose schema names classes is refused unread: pyspark would import them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkwater.errors import DataError
from sparkwater.flow.work.folders import Folders
from sparkwater.flow.work.parquet import check_classes
from sparkwater.flow.work.workspace import Workspace
from sparkwater.flow.workbook.actions.tables import ReadParquet

VECTOR = {
    "type": "udt",
    "class": "org.apache.spark.ml.linalg.VectorUDT",
    "pyClass": "pyspark.ml.linalg.VectorUDT",
    "sqlType": "double",
}
TABLE = pa.table({"x": [1.0]})


def schema(kind, **metadata):
    field = {"name": "x", "type": kind, "nullable": True, "metadata": metadata}
    return json.dumps({"type": "struct", "fields": [field]})


def write(path, text):
    path.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(TABLE.replace_schema_metadata({"org.apache.spark.sql.parquet.row.metadata": text}), path)
    return path


@pytest.mark.parametrize("text", [schema("double"), schema(VECTOR), schema("double", type="udt", note="pyClass")])
def test_plain_types_and_spark_s_own_vectors_are_taken(tmp_path, text):
    check_classes([write(tmp_path / "a.parquet", text)])
    pq.write_table(TABLE, tmp_path / "b.parquet")
    check_classes([tmp_path])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (schema({**VECTOR, "pyClass": "os.Evil"}), "class 'os.Evil'"),
        (schema({**VECTOR, "class": "com.example.Evil"}), "class 'com.example.Evil'"),
        (schema({**VECTOR, "pyClass": "pyspark.ml.linalg._test"}), "class 'pyspark.ml.linalg._test'"),
        (schema({**VECTOR, "serializedClass": "gASV"}), "class 'pickled'"),
        (schema({"type": "array", "containsNull": True, "elementType": {**VECTOR, "pyClass": "a.B"}}), "class 'a.B'"),
        (schema(VECTOR).replace('"pyClass"', '"pyClass": "a.B", "pyClass"'), "class 'a.B'"),
        (schema({**VECTOR, "pyClass": "a.B"}).replace("pyClass", "py\\u0043lass"), "class 'a.B'"),
        ("StructType(List(StructField(x,DoubleType,true)))", "no JSON"),
    ],
)
def test_other_classes_are_refused_wherever_they_are_named(tmp_path, text, said):
    write(tmp_path / "deep" / "part-1.parquet", text)
    folders = Folders([tmp_path])
    with pytest.raises(DataError, match=said):
        check_classes(folders.below(str(tmp_path)))
    (tmp_path / "deep" / "part-1.parquet").rename(tmp_path / "_common_metadata")
    with pytest.raises(DataError, match=said):
        check_classes(folders.below(str(tmp_path)))


def test_a_second_schema_behind_a_harmless_one_is_refused(tmp_path):
    key, other = "org.apache.spark.sql.parquet.row.metadata", "org.apache.spark.sql.parquet.row.metadatb"
    texts = {key: schema("double"), other: schema({**VECTOR, "pyClass": "a.B"})}
    file = tmp_path / "a.parquet"
    pq.write_table(TABLE.replace_schema_metadata(texts), file)
    check_classes([file])
    file.write_bytes(file.read_bytes().replace(other.encode(), key.encode()))
    assert pq.read_metadata(file).metadata[key.encode()] == texts[key].encode()  # what pyarrow sees of the two
    with pytest.raises(DataError, match="several schemas of Spark's"):
        check_classes([file])


@pytest.mark.parametrize("name", ["_kind=1/a.parquet", "_a=1.parquet", "_metadata.d/a.parquet", "_common_metadata.x"])
def test_names_with_an_underline_that_spark_reads_are_looked_at(tmp_path, name):
    write(tmp_path / name, schema({**VECTOR, "pyClass": "a.B"}))
    with pytest.raises(DataError, match=r"class 'a\.B'"):
        check_classes(Folders([tmp_path]).below(str(tmp_path)))


@pytest.mark.parametrize("name", ["_hidden/a.parquet", ".a=1/a.parquet", "_SUCCESS"])
def test_names_that_spark_leaves_out_are_left_out(tmp_path, name):
    write(tmp_path / name, schema({**VECTOR, "pyClass": "a.B"}))
    check_classes(Folders([tmp_path]).below(str(tmp_path)))


@pytest.mark.parametrize(
    "content", [b"PAR1 and more", b"", b"PAR1", b"PAR1\xff\xff\xff\xffPAR1", b"PAR1\0\0\0\0PAR1", b"PARE\0\0\0\0PARE"]
)
def test_a_file_that_is_no_parquet_says_so(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"'a\.parquet' can't be read as Parquet"):
        check_classes([tmp_path])


def bytes_read():
    """Return the bytes that this process has read from files so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_metadata_is_read_once(tmp_path):
    texts = {"other": "x" * 2_000_000, "org.apache.spark.sql.parquet.row.metadata": schema("double")}
    file = tmp_path / "a.parquet"
    pq.write_table(TABLE.replace_schema_metadata(texts), file)
    check_classes([file])  # imports
    before = bytes_read()
    check_classes([file])
    assert 2_000_000 < bytes_read() - before < 1.2 * file.stat().st_size


def test_a_module_that_a_schema_names_is_not_imported(spark, tmp_path, monkeypatch):
    touched = tmp_path / "touched"
    (tmp_path / "named_by_a_file.py").write_text(f"open({str(touched)!r}, 'w')\nclass Evil: pass\n")
    monkeypatch.syspath_prepend(tmp_path)  # as the folder is in which the program was started
    file = write(
        tmp_path / "a.parquet",
        schema({"type": "udt", "sqlType": "double", "pyClass": "named_by_a_file.Evil", "serializedClass": "gASV"}),
    )
    workspace = Workspace(spark, Folders([tmp_path]))
    with pytest.raises(DataError, match="whose code Spark would run"):
        workspace.run(ReadParquet("a", str(file))).schema  # noqa: B018 - pyspark imports when it is asked for
    assert not touched.exists()
    assert workspace.variables() == {}
