"""Fitted columns on Arrow batches, without Spark."""

from __future__ import annotations

import datetime
import decimal
import json
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkwater.conversions.tables.encoding.categories import CategoryColumn
from sparkwater.conversions.tables.encoding.encoder import TableEncoder, TableLayout
from sparkwater.conversions.tables.encoding.numbers import NumberColumn, TensorColumn, VectorColumn
from sparkwater.conversions.tables.encoding.scaling import QuantileScaling, RobustScaling, StandardScaling
from sparkwater.conversions.tables.encoding.time_column import TimeColumn
from sparkwater.conversions.tables.encoding.times import PARTS, time_parts, wall_seconds
from sparkwater.conversions.tensors.arrow import tensors_to_arrow
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import SchemaError

STANDARD = StandardScaling((2.0,), (4.0,))
ROBUST = RobustScaling((2.0,), (0.5,))
QUANTILE = QuantileScaling(((0.0, 1.0, 4.0),), ((0.1, 0.5, 1.0),))


def number(scaling=STANDARD, fill=2.0, indicator=False, name="x") -> NumberColumn:
    return NumberColumn(name, "double", scaling, fill, indicator)


def category(*levels: str, flags=False, missing=False, rare=False, name="c") -> CategoryColumn:
    return CategoryColumn(name, "string", pa.array(levels, pa.string()), flags, missing, rare)


def encode(column, values) -> tuple[list, dict]:
    array = values if isinstance(values, pa.Array) else pa.array(values)
    rows = TableEncoder((column,)).encode(pa.RecordBatch.from_arrays([array], [column.name]))
    assert rows.values.dtype == np.float32
    return rows.values.tolist(), rows.problems


def test_numbers_of_all_arrow_types_are_scaled() -> None:
    for values in (
        pa.array([2, 6, None], pa.int8()),
        pa.array([2, 6, None], pa.int64()),
        pa.array([2, 6, None], pa.float32()),
        pa.array([2.0, 6.0, math.nan], pa.float64()),
        pa.array([decimal.Decimal("2.00"), decimal.Decimal("6.00"), None], pa.decimal128(9, 2)),
    ):
        assert encode(number(fill=10.0), values) == ([[0.0], [1.0], [2.0]], {})
    assert encode(number(StandardScaling((0.0,), (1.0,))), [True, False]) == ([[1.0], [0.0]], {})
    assert encode(number(), pa.nulls(2))[0] == [[0.0], [0.0]]


def test_a_missing_number_has_an_indicator_where_training_rows_had_some() -> None:
    assert encode(number(indicator=True), [None, 6.0])[0] == [[0.0, 1.0], [1.0, 0.0]]
    assert encode(number(None, indicator=True), [None, 2.0])[0] == [[1.0], [0.0]]


def test_an_infinite_number_is_a_problem_unless_the_scaling_clips() -> None:
    values = [math.inf, -math.inf, 1e300]
    assert encode(number(), values) == ([], dict.fromkeys(range(3), encode(number(), values)[1][0]))
    assert encode(number(), values)[1][0].startswith("column 'x': the value is infinite, or too far")
    assert encode(number(ROBUST), values) == ([[3.0], [-3.0], [3.0]], {})
    root = np.float32(math.sqrt(3.0))
    assert encode(number(QUANTILE), values)[0] == [[root], [np.float32(-0.8 * math.sqrt(3))], [root]]


def test_robust_scaling_is_that_of_realmlp() -> None:
    found = ROBUST.apply(np.array([[2.0], [4.0], [-10.0]]))[:, 0]
    assert found == pytest.approx([0.0, 1 / math.sqrt(1 + 1 / 9), -6 / math.sqrt(5)])


def test_quantile_scaling_is_linear_between_knots_and_can_be_undone() -> None:
    found = QUANTILE.apply(np.array([[0.5], [2.5], [-9.0], [9.0]]))[:, 0]
    assert (found / math.sqrt(3) + 1) / 2 == pytest.approx([0.3, 0.75, 0.1, 1.0])


def test_ids_have_places_for_missing_and_unseen_categories() -> None:
    values = ["b", None, "new", "a", ""]
    assert encode(category("a", "b"), values) == ([[3], [0], [1], [2], [1]], {})
    assert encode(category("", "a"), values)[0] == [[1], [0], [1], [3], [2]]
    assert TableEncoder((category("a", "b"),)).layout == TableLayout(0, (4,))
    assert encode(category("a"), pa.array(["a", None]).dictionary_encode())[0] == [[2], [0]]
    assert encode(category("a"), pa.nulls(1))[0] == [[0]]


def test_flags_for_missing_and_unseen_ones_are_there_where_training_rows_had_some() -> None:
    values = ["b", None, "new"]
    assert encode(category("a", "b", flags=True), values)[0] == [[0, 1], [0, 0], [0, 0]]
    assert encode(category("a", "b", flags=True, missing=True), values)[0] == [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
    both = category("a", "b", flags=True, missing=True, rare=True)
    assert encode(both, values)[0] == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert both.entries == ("c=a", "c=b", "c is missing", "c is rare")


def test_booleans_and_whole_numbers_are_categories_by_their_text() -> None:
    assert encode(category("false", "true"), [True, None, False])[0] == [[3], [0], [2]]
    assert encode(category("-1", "20"), pa.array([20, -1, 3], pa.int16()))[0] == [[3], [2], [1]]


def test_numbers_come_first_then_ids_in_the_order_of_the_columns() -> None:
    columns = (category("u", name="a"), number(name="b", indicator=True), category("u", flags=True, name="c"))
    encoder = TableEncoder((*columns, category("u", "v", name="d")))
    assert encoder.layout == TableLayout(3, (3, 4))
    assert encoder.layout.width == 5 == encoder.spec.size
    assert encoder.bounds == {"a": (3, 4), "b": (0, 2), "c": (2, 3), "d": (4, 5)}
    assert encoder.entries == ("b", "b is missing", "c=u", "a", "d")
    batch = pa.RecordBatch.from_pydict({"d": ["v"], "c": ["u"], "b": [6.0], "a": [None], "other": [1]})
    assert encoder.encode(batch).values.tolist() == [[1, 0, 1, 0, 3]]


def test_dates_have_parts_and_cycles() -> None:
    day = datetime.date(2024, 12, 31)  # a Tuesday
    parts = time_parts(wall_seconds(pa.array([day, datetime.date(1969, 12, 28), None]), "UTC"))
    assert [values.tolist()[:2] for values in parts.values()] == [
        [20088.0, -4.0], [2024.0, 1969.0], [366.0, 362.0], [31.0, 28.0], [1.0, 6.0], [0.0, 0.0],
    ]  # fmt: skip
    assert all(math.isnan(values[2]) for values in parts.values())
    identity = StandardScaling((0.0,) * 2, (1.0,) * 2)
    column = TimeColumn("t", "date", "UTC", ("year", "weekday"), identity, (2000.0, 3.0), indicator=True)
    found, _ = encode(column, [day, None])
    turn = 2 * math.pi / 7
    assert found[0] == pytest.approx([2024.0, 1.0, math.sin(turn), math.cos(turn), 0.0])
    assert found[1] == [2000.0, 3.0, 0.0, 0.0, 1.0]
    assert column.entries == ("t.year", "t.weekday", "sine of t.weekday", "cosine of t.weekday", "t is missing")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_instants_are_read_by_the_clock_of_the_zone_whatever_their_own(unit: str) -> None:
    noon = datetime.datetime(2024, 7, 1, 12)
    for zone, expected in (("UTC", 12.0), ("Europe/Berlin", 14.0)):
        for own in ("UTC", "America/New_York"):
            array = pa.array([noon], pa.timestamp(unit)).cast(pa.timestamp(unit, own))
            assert time_parts(wall_seconds(array, zone))["hour"].tolist() == [expected]
        clock = pa.array([noon], pa.timestamp(unit))
        assert time_parts(wall_seconds(clock, zone))["hour"].tolist() == [12.0]


def test_vectors_are_scaled_entry_by_entry() -> None:
    column = VectorColumn("v", "vector", StandardScaling((1.0, 0.0, 5.0), (2.0, 1.0, 0.0)))
    lists = pa.array([[3.0, 4.0, 9.0], None, [1.0], [1.0, math.nan, 1.0], [1.0, math.inf, 1.0]])
    values, problems = encode(column, lists)
    assert values == [[1.0, 4.0, 0.0]]
    assert list(problems) == [1, 2, 3, 4]
    assert problems[1] == "column 'v': the value is null"
    assert "has 1 values where float64[3] has 3" in problems[2]
    assert problems[3] == problems[4]
    assert "NaN or an infinity" in problems[3]
    fields = [("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32()))]
    sparse = pa.array(
        [{"type": 0, "size": 3, "indices": [1], "values": [7.0]}],
        pa.struct([*fields, ("values", pa.list_(pa.float64()))]),
    )
    assert encode(column, sparse)[0] == [[-0.5, 7.0, 0.0]]


def test_tensors_go_in_as_they_are() -> None:
    spec = TensorSpec("int16", (2, 2))
    tensors = tensors_to_arrow(np.arange(4, dtype=np.int16).reshape(1, 2, 2), np.array([True, False]))
    values, problems = encode(TensorColumn("t", "binary", spec), tensors)
    assert values == [[0, 1, 2, 3]]
    assert problems == {1: "column 't': the tensor is null"}


@pytest.mark.parametrize(
    ("column", "array"),
    [
        (number(), pa.array(["1"])),
        (category("a"), pa.array([1.5])),
        (TimeColumn("x", "date", "UTC", (), StandardScaling((), ()), (), True), pa.array(["2024"])),
    ],
)
def test_another_type_is_refused_with_both(column, array) -> None:
    with pytest.raises(SchemaError, match=f"column '{column.name}', which was {column.type} in training: "):
        encode(column, array)
    with pytest.raises(SchemaError, match=f"no column '{column.name}'; the columns are other"):
        TableEncoder((column,)).encode(pa.RecordBatch.from_arrays([array], ["other"]))


ALL = TableEncoder(
    (
        number(name="n", indicator=True),
        number(ROBUST, name="r"),
        number(QUANTILE, name="q"),
        number(None, indicator=True, name="i"),
        category("a", "b", name="c"),
        category("a", "b", flags=True, missing=True, name="f"),
        TimeColumn("t", "timestamp", "UTC", PARTS, StandardScaling((0.5,) * 6, (2.0,) * 6), (0.25,) * 6, True),
        VectorColumn("v", "vector", RobustScaling((0.0, 1.0), (1.0, 2.0))),
        TensorColumn("x", "binary", TensorSpec("float32", (2,))),
    )
)


def test_json_holds_an_encoder() -> None:
    again = TableEncoder.from_dict(json.loads(json.dumps(ALL.to_dict())))
    assert again == ALL
    assert again.to_dict() == ALL.to_dict()


numbers = st.one_of(st.none(), st.floats(), st.integers(-9, 9).map(float))
texts = st.one_of(st.none(), st.sampled_from(["a", "b", "", "new"]))
finite = st.floats(-1e6, 1e6)
times = st.one_of(st.none(), st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)))
table_rows = st.lists(
    st.tuples(numbers, numbers, numbers, numbers, texts, texts, times, st.lists(finite, min_size=1, max_size=2),
              st.one_of(st.none(), st.binary(min_size=8, max_size=8)))
)  # fmt: skip


@settings(deadline=None)
@given(table_rows, st.data())
def test_rows_are_encoded_alike_in_one_batch_or_many(rows, data) -> None:
    kinds = [*[pa.float64()] * 4, *[pa.string()] * 2, pa.timestamp("us", "UTC"), pa.list_(pa.float64()), pa.binary()]
    arrays = [pa.array([row[place] for row in rows], kind, from_pandas=False) for place, kind in enumerate(kinds)]
    batch = pa.RecordBatch.from_arrays(arrays, [column.name for column in ALL.columns])
    whole = ALL.encode(batch)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    starts, stops = [0, *cuts], [*cuts, len(rows)]
    parts = [ALL.encode(batch.slice(start, stop - start)) for start, stop in zip(starts, stops, strict=True)]
    assert np.array_equal(whole.values, np.concatenate([part.values for part in parts]))
    assert np.array_equal(whole.valid, np.concatenate([part.valid for part in parts]))
    moved = {
        row + start: text for start, part in zip(starts, parts, strict=True) for row, text in part.problems.items()
    }
    assert whole.problems == moved
    assert np.isfinite(whole.values).all()
