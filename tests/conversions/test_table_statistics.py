"""Statistics of columns, their merging, and the choices that follow, without Spark."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import skew
from sklearn.preprocessing import QuantileTransformer

from sparkwater.conversions.tables.encoding.scaling import QuantileScaling
from sparkwater.conversions.tables.statistics import levels
from sparkwater.conversions.tables.statistics.choices import (
    NumberStatistics,
    fit_category,
    fit_number,
    fit_time,
    fit_vector,
)
from sparkwater.conversions.tables.statistics.columns import InputColumn
from sparkwater.conversions.tables.statistics.levels import FrequentLevels, LevelCounter
from sparkwater.conversions.tables.statistics.report import ColumnReport, TableReport
from sparkwater.conversions.tables.statistics.settings import TableSettings
from sparkwater.conversions.tables.statistics.sketch import NumberSketch
from sparkwater.conversions.tables.statistics.spread import NumberSpread

SETTINGS = TableSettings(
    scaling="standard",
    imputation="mean",
    indicator=True,
    scale_vectors=True,
    one_hot_levels=3,
    max_levels=4,
    min_level_rows=2,
    zone="UTC",
)


def sketch(numbers, size=4096) -> NumberSketch:
    return NumberSketch.empty(size).plus(np.array(numbers, float))


def statistics(numbers, size=4096) -> NumberStatistics:
    found = sketch(numbers, size)
    return NumberStatistics(found, NumberSpread.around(found).plus(np.array(numbers, float)))


def frequent(counts: dict, most=4, least=2) -> FrequentLevels:
    found = FrequentLevels(most, least)
    found.add(pa.table({"level": pa.array([*counts], pa.string()), "rows": pa.array([*counts.values()], pa.int64())}))
    return found


def column(role="number", form="fraction", **more) -> InputColumn:
    return InputColumn(name="x", type="some", role=role, form=form, **more)


numbers = st.lists(st.one_of(st.integers(-20, 20).map(float), st.floats()), max_size=60)


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=5), st.randoms(), st.integers(1, 30))
def test_sketches_of_parts_in_any_order_are_the_sketch_of_all_rows(parts, random, size) -> None:
    everything = [number for part in parts for number in part]
    whole = sketch(everything, size)
    random.shuffle(parts)
    merged = NumberSketch.empty(size)
    for part in parts:
        merged = merged.merged(NumberSketch.from_bytes(sketch(part, size).to_bytes()))
    assert merged.to_bytes() == whole.to_bytes()
    finite = np.array(everything)
    finite = finite[np.isfinite(finite)]
    assert len(whole.values) == min(size, len(np.unique(finite)))
    assert whole.counts.tolist() == [int((finite == value).sum()) for value in whole.values]
    assert whole.finite + whole.missing + whole.infinite == sum(map(len, parts))


def test_minus_zero_is_zero() -> None:
    found = sketch([0.0, -0.0, -0.0])
    assert (found.values.tolist(), found.counts.tolist()) == ([0.0], [3])


def test_a_sketch_samples_values_without_regard_to_their_size() -> None:
    values = np.arange(100_000.0)
    sample = sketch(values, 1000).values
    assert abs(sample.mean() - values.mean()) < 4 * values.std() / math.sqrt(1000)


@pytest.mark.parametrize("size", [4096, 64])
def test_quantiles_are_numpy_s_where_the_edges_are_all_values_and_close_elsewhere(size: int) -> None:
    random = np.random.default_rng(0)
    values = np.where(random.random(3000) < 0.4, 0.0, random.gamma(2.0, 100.0, 3000)).round(1)
    shares = np.linspace(0, 1, 101)
    found, expected = statistics(values, size).spread.quantiles(shares), np.quantile(values, shares)
    if size == 4096:
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    ranks = np.searchsorted(np.sort(values), found, "right") / len(values)
    assert np.all((ranks > shares - 0.05) & (np.searchsorted(np.sort(values), found) / len(values) < shares + 0.05))


@pytest.mark.parametrize("offset", [0.0, 1e9, -3e12])
def test_moments_keep_their_digits_far_from_zero(offset: float) -> None:
    values = np.random.default_rng(1).gamma(0.5, 2.0, 5000).round(3) + offset
    spread = statistics(values).spread
    exact = values - offset
    assert spread.deviation == pytest.approx(exact.std(), rel=5e-6)
    assert spread.mean - offset == pytest.approx(exact.mean(), abs=1e-5 * exact.std() + 1e-15 * abs(offset))
    assert spread.skew == pytest.approx(skew(exact), abs=2e-3)


def test_huge_numbers_overflow_nothing() -> None:
    spread = statistics([1e300, -1e300, 5e299, 0.0]).spread
    assert spread.deviation == pytest.approx(7.39510e299, rel=1e-5)
    assert math.isfinite(spread.skew)


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50), st.integers(0, 50), st.randoms())
def test_spreads_of_parts_in_any_order_give_the_same_statistics(values, cut, random) -> None:
    whole, shuffled = statistics(values), values[:]
    random.shuffle(shuffled)
    empty = NumberSpread.around(whole.sketch)
    parts = [empty.plus(np.array(part)).to_bytes() for part in (shuffled[:cut], shuffled[cut:])]
    merged = empty.from_bytes(NumberSpread.sum_bytes(*parts))
    assert merged.cells.tolist() == whole.spread.cells.tolist()
    if whole.varies:
        assert merged.deviation == pytest.approx(whole.spread.deviation, rel=1e-5)


def test_levels_are_counted_in_pieces_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "PIECE_ROWS", 100)
    random, counter, counted, pieces = np.random.default_rng(0), LevelCounter(), {}, 0
    values = [str(value) for value in random.integers(0, 5000, 2000)]
    batches = [(0, values[start : start + 50]) for start in range(0, 2000, 50)]
    batches[7:7] = [(1, [None, "a", "a", None, "b"])]
    for number, batch in batches:
        for piece in counter.add(number, pa.array(batch, pa.string())):
            pieces += 1
            assert piece.num_rows <= 200
            for line in piece.to_pylist():
                key = line["column"], line["level"]
                counted[key] = counted.get(key, 0) + line["rows"]
    for piece in counter.rest():
        for line in piece.to_pylist():
            key = line["column"], line["level"]
            counted[key] = counted.get(key, 0) + line["rows"]
    assert pieces > 5
    assert {key: counted.pop(key) for key in [(1, "a"), (1, "b"), (1, None)]} == {
        (1, "a"): 2,
        (1, "b"): 1,
        (1, None): 2,
    }
    assert counted == {(0, value): values.count(value) for value in values}
    assert list(counter.rest()) == []


def test_the_most_frequent_levels_are_kept_and_ties_go_by_text() -> None:
    found = FrequentLevels(3, 2)
    for start in range(0, 100, 10):  # more than can be held at once
        lines = {f"l{number:02}": 2 + (number == 77) for number in range(start, start + 10)}
        found.add(frequent({**lines, f"rare{start}": 1})._kept)
        found.add(pa.table({"level": pa.array([f"rare{start}", None]), "rows": [1, 5]}))
    assert found.top().to_pylist() == [
        {"level": "l77", "rows": 3},
        {"level": "l00", "rows": 2},
        {"level": "l01", "rows": 2},
    ]
    assert (found.present, found.missing, found.different) == (211, 50, 110)


def test_numbers_that_say_nothing_are_left_out_with_the_reason() -> None:
    for values, form, reason in (
        ([math.nan] * 3, "fraction", "all values are null"),
        ([math.nan, math.inf], "fraction", "no value is a finite number"),
        ([5.0] * 3, "fraction", "constant: every value is 5"),
        (range(100), "whole", "identifier: no two rows have the same value"),
    ):
        fitted, report = fit_number(column(form=form), statistics(values), SETTINGS)
        assert fitted is None
        assert (report.reason, report.entries) == (reason, 0)


@pytest.mark.parametrize(
    ("values", "more"),
    [(range(99), {}), ([0, *range(99)], {}), (range(100), {"asked": True}), (range(100), {"form": "fraction"})],
)
def test_whole_numbers_are_no_identifier_where_some_are_equal_few_or_asked_for(values, more) -> None:
    fitted, _ = fit_number(column(**{"form": "whole", **more}), statistics(values), SETTINGS)
    assert fitted is not None


def test_numbers_are_scaled_as_asked() -> None:
    values = [1.0, 2.0, 3.0, 10.0, math.nan]
    for change, scaling, fill in (
        ({}, {"kind": "standard", "center": [4.0], "scale": [3.53553]}, 4.0),
        ({"scaling": "robust", "imputation": "median"}, {"kind": "robust", "center": [2.5], "factor": [1 / 3]}, 2.5),
    ):
        fitted, report = fit_number(column(), statistics(values), TableSettings(**{**vars(SETTINGS), **change}))
        assert fitted.to_dict()["scaling"] == scaling
        assert (fitted.fill, fitted.indicator, report.entries, report.missing) == (fill, True, 2, 1)
    without = TableSettings(**{**vars(SETTINGS), "indicator": False})
    assert fit_number(column(), statistics(values), without)[0].entries == ("x",)
    robust = TableSettings(**{**vars(SETTINGS), "scaling": "robust"})
    fitted, _ = fit_number(column(), statistics([0.0] * 9 + [4.0]), robust)
    assert (fitted.scaling.center, fitted.scaling.factor) == ((0.0,), (0.5,))  # equal quartiles


def test_a_number_that_is_constant_or_missing_becomes_its_indicator() -> None:
    fitted, report = fit_number(column(), statistics([5.0, math.nan, 5.0]), SETTINGS)
    assert fitted.entries == ("x is missing",)
    assert report.entries == 1


@pytest.mark.parametrize("rows", [500, 5000])
def test_quantile_scaling_is_uniform_as_scikit_learn_s(rows: int) -> None:
    values = np.random.default_rng(0).gamma(0.3, 1.0, rows)
    quantile = TableSettings(**{**vars(SETTINGS), "scaling": "quantile"})
    fitted, _ = fit_number(column(), statistics(values, 8192), quantile)
    assert isinstance(fitted.scaling, QuantileScaling)
    assert len(fitted.scaling.knots[0]) == min(rows, 1000)
    scaled = fitted.scaling.apply(values[:, None])
    assert abs(scaled.mean()) < 1e-3
    assert scaled.std() == pytest.approx(1.0, abs=2e-3)
    expected = QuantileTransformer(n_quantiles=min(rows, 1000)).fit_transform(values[:, None])
    np.testing.assert_allclose(scaled / math.sqrt(3), 2 * expected - 1, atol=2.1 / rows)


def test_ties_stand_in_the_middle_of_their_quantiles() -> None:
    quantile = TableSettings(**{**vars(SETTINGS), "scaling": "quantile"})
    many = [0.0] * 5000 + list(np.linspace(1, 2, 5000))
    for values in ([0.0] * 50 + list(np.linspace(1, 2, 50)), many):
        fitted, _ = fit_number(column(), statistics(values, 8192), quantile)
        assert fitted.scaling.levels[0][0] == pytest.approx(0.25, abs=2e-3)


def test_parts_of_dates_that_never_vary_are_left_out() -> None:
    found = [statistics(values) for values in ([1.0, 2.0], [1970.0] * 2, [2.0, 3.0], [2.0, 3.0], [4.0, 5.0], [0.0] * 2)]
    fitted, report = fit_time(column("time", "date"), found, SETTINGS)
    assert fitted.parts == ("time", "day_of_year", "day_of_month", "weekday")
    assert fitted.cycles == ("day_of_year", "weekday")
    assert report.entries == 8
    constant = [statistics([1.0, 1.0])] * 6
    assert fit_time(column("time", "date"), constant, SETTINGS)[1].reason.startswith("constant")
    some = [statistics([1.0, math.nan])] * 6
    assert fit_time(column("time", "date"), some, SETTINGS)[0].entries == ("x is missing",)
    assert fit_time(column("time", "date"), [statistics([math.nan])] * 6, SETTINGS)[1].reason == "all values are null"


def test_entries_of_vectors_are_scaled_each_and_constant_ones_become_0() -> None:
    found = [statistics([0.0, 4.0]), statistics([7.0, 7.0])]
    fitted, report = fit_vector(column("vector", "vector"), found, SETTINGS)
    assert fitted.scaling.apply(np.array([[4.0, 9.0]])).tolist() == [[1.0, 0.0]]
    assert report.entries == 2
    as_they_are = TableSettings(**{**vars(SETTINGS), "scale_vectors": False})
    raw, _ = fit_vector(column("vector", "vector"), found, as_they_are)
    assert raw.scaling.apply(np.array([[4.0, 9.0]])).tolist() == [[4.0, 9.0]]
    assert fit_vector(column("vector", "vector"), found[1:], SETTINGS)[1].reason.startswith("constant")
    assert fit_vector(column("vector", "vector"), [statistics([math.nan])], SETTINGS)[1].reason.startswith("no row")


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ({None: 3}, "all values are null"),
        ({"a": 3}, "constant: every value is the same"),
        ({"a": 1, "b": 1}, "identifier: no two rows have the same value"),
        ({"a": 1, "b": 1, "c": 1, "d": 1, "e": 2}, None),
    ],
)
def test_categories_that_say_nothing_are_left_out_with_the_reason(counts, reason) -> None:
    fitted, report = fit_category(column("category", "string"), frequent(counts), SETTINGS)
    assert report.reason == reason
    assert (fitted is None) == (reason is not None)


def test_categories_become_flags_or_ids_by_their_number() -> None:
    few, report = fit_category(column("category", "string"), frequent({"b": 4, "a": 2, "c": 1, None: 2}), SETTINGS)
    assert few.entries == ("x=a", "x=b", "x is missing", "x is rare")
    assert (report.known, report.levels, report.rare, report.missing) == (2, 3, 1 / 7, 2)
    assert report.remark == "14.3% of rows rare"
    many, _ = fit_category(column("category", "string"), frequent(dict.fromkeys("edcba", 2)), SETTINGS)
    assert (many.levels.to_pylist(), many.ids) == (["a", "b", "c", "d"], 6)
    whole, _ = fit_category(column("category", "whole"), frequent({"10": 2, "9": 2, "-1": 2}), SETTINGS)
    assert whole.levels.to_pylist() == ["-1", "9", "10"]
    strict = TableSettings(**{**vars(SETTINGS), "min_level_rows": 9})
    _, report = fit_category(column("category", "string"), frequent({"a": 2, "b": 3}, least=9), strict)
    assert report.reason == "no level has 9 rows or more"


def test_the_report_is_a_table_of_text() -> None:
    columns = (
        ColumnReport("price", "double", "number", 2, missing=3, infinite=1, skew=-2.5),
        ColumnReport("id", "string", "category", levels=1200, reason="identifier"),
    )
    report = TableReport(1200, columns)
    assert str(report).splitlines() == [
        "column  type    kind      entries  missing  levels  remark",
        "price   double  number    2        3                skewed (-2.5), 1 infinite",
        "id      string  category  0        0        1,200   left out: identifier",
    ]
    assert report.reasons() == "'id': identifier"
    assert TableReport.from_dict(report.to_dict()) == report
