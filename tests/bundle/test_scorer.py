"""The scorer: rows of all forms by name, and errors that name the row."""

from __future__ import annotations

import datetime
import gc
import io
import json
import math
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import ROOT
from made_bundles import mixed_bundle

from sparkwater.bundle import Bundle
from sparkwater.bundle.__main__ import main
from sparkwater.bundle.scorer.columns import encode
from sparkwater.bundle.scorer.row_files import write_rows
from sparkwater.bundle.scorer.signature import Input
from sparkwater.errors import CheckpointError, ConfigurationError, DataError, SchemaError

ROWS = [
    {"size": 1.5, "name": "a", "pair": [1, 2], "day": datetime.datetime(1970, 1, 1), "other": object()},
    {"size": 4, "name": None, "pair": (0.5, 0.5), "day": datetime.date(1970, 1, 2), "other": None},
]
DAY = 86_400_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return mixed_bundle(tmp_path_factory.mktemp("scorer") / "bundle")


@pytest.fixture(scope="module")
def bundle(folder):
    return Bundle.load(folder, threads=1)


def test_a_bundle_scores_dictionaries_and_passes_over_other_keys(bundle):
    found = bundle.predict(ROWS)
    assert found["double"].tolist() == [3.0, 8.0]
    assert found["same"].tolist() == ["a", "\uf8ff"]
    assert found["sum"].tolist() == [3.0, 1.0]
    assert found["later"].tolist() == [10, DAY + 10]
    assert list(bundle.predict(ROWS, outputs=["sum"])) == ["sum"]
    assert all(len(values) == 0 for values in bundle.predict({name: [] for name in ROWS[0]}).values())


def test_the_bytes_of_the_graph_are_freed_once_the_runtime_has_them(folder):
    content, found, waiting = (folder / "model.onnx").read_bytes(), [], [vars(Bundle.load(folder))]
    while waiting:
        value = waiting.pop()
        found += [value] if isinstance(value, bytes) else []
        waiting += gc.get_referents(value) if isinstance(value, (dict, list, tuple)) else []
        waiting += [vars(value)] if type(value).__module__.startswith("sparkwater") else []
    assert content not in found
    assert len(found) <= 1


def forms():
    columns = {name: [row[name] for row in ROWS] for name in ("day", "pair", "name", "size")}
    arrays = {**columns, "size": np.array(columns["size"]), "pair": np.array(columns["pair"])}
    arrays["day"] = np.array(["1970-01-01", "1970-01-02"], "datetime64[ns]")
    table = pa.table({**columns, "day": pa.array([0, DAY], pa.timestamp("us")), "more": [1, 2]})
    frame = pd.DataFrame({**columns, "day": arrays["day"]})
    return {"lists": columns, "arrays": arrays, "pandas": frame, "Arrow": table, "batch": table.to_batches()[0]}


@pytest.mark.parametrize("form", ["lists", "arrays", "pandas", "Arrow", "batch"])
def test_all_forms_of_rows_give_the_same(bundle, form):
    found, expected = bundle.predict(forms()[form]), bundle.predict(ROWS)
    assert all(found[name].tolist() == expected[name].tolist() for name in expected)


def test_blocks_give_what_all_rows_give(bundle, monkeypatch):
    expected = bundle.predict(ROWS * 5)
    monkeypatch.setattr("sparkwater.bundle.scorer.bundle.BLOCK_ROWS", 3)
    found = bundle.predict(ROWS * 5)
    assert all(found[name].tolist() == expected[name].tolist() for name in expected)
    with pytest.raises(DataError, match="row 7: size is missing"):
        bundle.predict(ROWS * 3 + [ROWS[0], {**ROWS[0], "size": None}])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"size": "1.5"}, SchemaError, r"row 0: 'size' is '1.5' \(str\); accepted: a number"),
        ({"size": float("nan")}, DataError, "row 0: size is missing"),
        ({"name": 3}, SchemaError, r"row 0: 'name' is 3 \(int\); accepted: a text"),
        ({"pair": [1, 2, 3]}, SchemaError, "accepted: 2 numbers"),
        ({"pair": [1, "x"]}, SchemaError, "accepted: 2 numbers"),
        ({"pair": None}, DataError, "row 0: 'pair' is missing"),
        ({"day": "1970-01-01"}, SchemaError, "accepted: a date or a time"),
    ],
)
def test_values_of_another_type_are_refused_with_their_row(bundle, change, error, words):
    with pytest.raises(error, match=words):
        bundle.predict([{**ROWS[0], **change}])


def test_missing_columns_and_other_forms_are_refused(bundle):
    lacking = {name: value for name, value in ROWS[0].items() if name != "pair"}
    for rows in ([ROWS[0], lacking], {name: [value] for name, value in lacking.items()}, pd.DataFrame([lacking])):
        with pytest.raises(
            SchemaError, match=r"no (column )?'pair'; the bundle takes size, name, pair, day; given: size"
        ):
            bundle.predict(rows)
    with pytest.raises(SchemaError, match="a list of one dictionary"):
        bundle.predict(ROWS[0] | {"size": 1.0})
    with pytest.raises(SchemaError, match="row 0 is a list; accepted: a list of dictionaries"):
        bundle.predict([[1, 2]])
    with pytest.raises(SchemaError, match="different lengths"):
        bundle.predict({"size": [1.0], "name": ["a", "b"], "pair": [[1, 2]], "day": [None]})
    with pytest.raises(ConfigurationError, match="no output 'x'; the bundle gives double"):
        bundle.predict(ROWS, outputs=["x"])
    with pytest.raises(ConfigurationError, match="threads=0"):
        Bundle.load(bundle.path, threads=0)


def test_values_become_what_the_graph_takes():
    number = Input("x", "x", "number", "float64", ())
    found = encode([1, True, Decimal("0.5"), np.float32(2), None, pd.NA], number, {})
    assert found[:4].tolist() == [1.0, 1.0, 0.5, 2.0]
    assert np.isnan(found[4:]).all()
    time = Input("x", "x", "time", "int64", (), "America/New_York")
    aware = datetime.datetime(2024, 7, 1, 12, tzinfo=datetime.timezone.utc)
    clock = datetime.datetime(2024, 7, 1, 8)
    found = encode(
        [aware, clock, np.datetime64("2024-07-01T08", "ns"), pd.Timestamp(aware), None, pd.NaT, pd.NA], time, {}
    )
    assert len(set(found[:4].tolist())) == 1
    assert found[4:].tolist() == [-(2**63)] * 3
    bytes_of = Input("x", "x", "tensor", "uint8", (2, 1))
    assert encode([b"\x01\x02", [[3], [4]]], bytes_of, {}).tolist() == [[[1], [2]], [[3], [4]]]
    with pytest.raises(DataError, match="row 1: 'x' holds a number that uint8 can't hold"):
        encode([[0, 1], [0, 256]], bytes_of, {})


def test_vectors_of_spark_in_arrow_are_taken_dense_and_sparse():
    given = Input("x", "x", "vector", "float64", (3,))
    dense = {"type": 1, "size": None, "indices": None, "values": [1.0, 2.0, 3.0]}
    sparse = {"type": 0, "size": 3, "indices": [2, 0], "values": [4.0, 5.0]}
    assert encode([dense, sparse], given, {}).tolist() == [[1.0, 2.0, 3.0], [5.0, 0.0, 4.0]]
    wrong = [{"size": 2}, {"size": 10**12}, {"indices": [3]}, {"indices": [1, 2, 0]}, {"values": ["x", "y"]}]
    for change in (*wrong, {"type": 1}):
        with pytest.raises(SchemaError, match=r"row 1: 'x' is .* accepted"):
            encode([dense, sparse | change], given, {})
    with pytest.raises(SchemaError, match=r"row 0: 'x' is .* accepted"):
        encode([{"some": "struct"}], given, {})


def test_the_command_line(folder, tmp_path, capsys):
    assert main(["verify", str(folder)]) == 0
    assert "2 rows and 0 pictures as expected" in capsys.readouterr().out
    assert main(["describe", str(folder)]) == 0
    assert "pair: vector, float64[2]" in capsys.readouterr().out
    rows = tmp_path / "rows.csv"
    rows.write_text('size,name,pair,day,more\n1.5,a,"[1, 2]",1970-01-01,x\n4,,"[0.5, 0.5]",1970-01-02,y\n')
    assert main(["score", str(folder), str(rows)]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first == {"double": 3.0, "same": "a", "sum": 3.0, "later": 10}
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"size": 1.5, "name": "a", "pair": [1, 2], "day": "1970-01-01"}\n')
    assert main(["score", str(folder), str(lines), "--output", str(tmp_path / "out.csv")]) == 0
    assert (tmp_path / "out.csv").read_text() == "double,same,sum,later\n3.0,a,3.0,10\n"
    rows.write_text("size,name\nx,a\n")
    assert main(["score", str(folder), str(rows)]) == 1
    assert "row 0: 'size' is 'x', no number" in capsys.readouterr().err
    assert main(["score", str(folder), str(tmp_path / "rows.txt")]) == 1
    assert main(["verify", str(tmp_path)]) == 1


def test_lines_end_where_json_lines_do_and_marks_of_excel_are_no_part_of_a_name(folder, tmp_path, capsys):
    row = {"size": 1.5, "name": "a\u2028b\x85c", "pair": [1, 2], "day": "1970-01-01"}
    lines = tmp_path / "rows.jsonl"
    lines.write_text(f"{json.dumps(row, ensure_ascii=False)}\n\n", encoding="utf-8", newline="\r\n")
    assert main(["score", str(folder), str(lines)]) == 0
    assert json.loads(capsys.readouterr().out)["same"] == row["name"]
    rows = tmp_path / "rows.csv"
    rows.write_text('\ufeffsize,name,pair,day\n1.5,a,"[1, 2]",1970-01-01\n', encoding="utf-8")
    assert main(["score", str(folder), str(rows)]) == 0
    assert json.loads(capsys.readouterr().out)["double"] == 3.0


def test_json_has_null_for_what_it_cannot_hold():
    nan, inf = math.nan, math.inf
    found = {"number": np.array([nan, 1.0]), "vector": np.array([[-inf, 2.0], [inf, nan]])}
    file = io.StringIO()
    assert write_rows(found, file, as_csv=False) == 2
    assert file.getvalue() == '{"number": null, "vector": [null, 2.0]}\n{"number": 1.0, "vector": [null, null]}\n'
    file = io.StringIO()
    write_rows(found, file, as_csv=True)
    assert file.getvalue() == 'number,vector\nnan,"[null, 2.0]"\n1.0,"[null, null]"\n'


def test_the_scorer_imports_neither_spark_nor_torch_nor_pandas(folder):
    program = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('pyspark', 'torch', 'pandas', 'pyarrow', 'onnx', 'safetensors', 'scipy'):\n"
        "            raise ImportError(f'{name} is blocked here')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "from sparkwater.bundle import Bundle\n"
        "import sparkwater.bundle.__main__, sparkwater.bundle.scorer.row_files\n"
        f"print(Bundle.load({str(folder)!r}).verify().rows)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout == "2\n", done.stderr


def test_a_damaged_graph_is_refused_as_onnxruntime_says(bundle, monkeypatch):
    from sparkwater.bundle.scorer.session import Session

    with pytest.raises(CheckpointError, match=r"onnxruntime .* refuses the graph"):
        Session(b"no graph", bundle.signature)
