"""Dates and times in a graph: parts of the calendar from microseconds, and their cycles."""

from __future__ import annotations

import math

import numpy as np

from sparkwater.bundle.export.networks.feature_inputs import cast
from sparkwater.bundle.export.networks.scalings import scaled
from sparkwater.bundle.format import MISSING_TIME
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import Column
from sparkwater.conversions.tables.encoding.time_column import TimeColumn
from sparkwater.conversions.tables.encoding.times import CYCLES, DAY

#: Days of 400 years of the Gregorian calendar, and how many of these lie before the day 0 of the sums here, so that
#: no number in them is negative.
_ERA_DAYS, _ERAS = 146_097, 20


def emit_time(graph: Graph, column: TimeColumn) -> str:
    """Return the entries of a column of times, float32 ``(rows, width)``; the column becomes an input.

    The input holds microseconds since 1970 began by the clock of the column's zone, `MISSING_TIME` for missing ones.
    """
    given = Column(column.name, "number", "int64")
    graph.declare(column.name, given, kind="time", zone=column.zone, missing=MISSING_TIME)
    micros = graph.node("Reshape", given.tensor, graph.constant(np.array([-1, 1])))
    missing = graph.node("Equal", micros, graph.constant(np.int64(MISSING_TIME)))
    known = graph.node("Where", missing, graph.constant(np.int64(0)), micros)
    seconds = graph.node("Div", cast(graph, known, "float64"), graph.constant(np.float64(1e6)))
    found = _parts(graph, seconds)
    entries = []
    if column.parts:
        parts = graph.node("Concat", *(found[part] for part in column.parts), axis=1)
        filled = graph.node("Where", missing, graph.constant(np.array([column.fill])), parts)
        entries.append(cast(graph, scaled(graph, column.scaling, filled), "float32"))
    for part in column.cycles:
        entries += _waves(graph, part, found[part], missing)
    if column.indicator:
        entries.append(cast(graph, missing, "float32"))
    return graph.node("Concat", *entries, axis=1)


def _parts(graph: Graph, seconds: str) -> dict[str, str]:
    """Return the parts of times, float64 ``(rows, 1)``, as `sparkwater.conversions.tables.encoding.times` does."""
    days = graph.node("Floor", graph.node("Div", seconds, _number(graph, DAY)))
    rest = graph.node("Sub", seconds, graph.node("Mul", days, _number(graph, DAY)))
    whole = cast(graph, days, "int64")
    weekday = graph.node("Mod", graph.node("Add", whole, _int(graph, 3)), _int(graph, 7))  # 1970 began on a Thursday
    parts = {"weekday": weekday, **_calendar(graph, whole)}
    return {
        "time": graph.node("Div", seconds, _number(graph, DAY)),
        "hour": graph.node("Div", rest, _number(graph, 3600.0)),
        **{name: cast(graph, part, "float64") for name, part in parts.items()},
    }


def _calendar(graph: Graph, days: str) -> dict[str, str]:
    """Return year, day of the year and day of the month of days since 1970 began, int64.

    Years are taken from March on, so that a leap day ends one (Hinnant 2013, "chrono-compatible low-level date
    algorithms", civil_from_days).
    """

    def i(value: int) -> str:
        return _int(graph, value)

    def add(one: str, other: str) -> str:
        return graph.node("Add", one, other)

    def sub(one: str, other: str) -> str:
        return graph.node("Sub", one, other)

    def mul(one: str, other: str) -> str:
        return graph.node("Mul", one, other)

    def div(one: str, other: str) -> str:
        return graph.node("Div", one, other)

    shifted = add(days, i(719_468 + _ERAS * _ERA_DAYS))
    era = div(shifted, i(_ERA_DAYS))
    day = sub(shifted, mul(era, i(_ERA_DAYS)))
    leaps = sub(add(sub(day, div(day, i(1460))), div(day, i(36_524))), div(day, i(146_096)))
    year_of_era = div(leaps, i(365))
    since_march = sub(day, sub(add(mul(year_of_era, i(365)), div(year_of_era, i(4))), div(year_of_era, i(100))))
    month = div(add(mul(since_march, i(5)), i(2)), i(153))  # 0 is March
    of_month = add(sub(since_march, div(add(mul(month, i(153)), i(2)), i(5))), i(1))
    year = sub(add(year_of_era, mul(era, i(400))), i(400 * _ERAS))
    is_next = graph.node("GreaterOrEqual", month, i(10))
    leap = cast(graph, _is_leap(graph, year_of_era), "int64")
    of_year = graph.node("Where", is_next, sub(since_march, i(305)), add(add(since_march, i(60)), leap))
    return {
        "year": add(year, cast(graph, is_next, "int64")),
        "day_of_year": of_year,
        "day_of_month": of_month,
    }


def _is_leap(graph: Graph, year_of_era: str) -> str:
    """Return whether years of an era of 400 are leap years."""
    by = {
        size: graph.node("Equal", graph.node("Mod", year_of_era, _int(graph, size)), _int(graph, 0))
        for size in (4, 100)
    }
    first = graph.node("Equal", year_of_era, _int(graph, 0))
    return graph.node("Or", first, graph.node("And", by[4], graph.node("Not", by[100])))


def _waves(graph: Graph, part: str, values: str, missing: str) -> list[str]:
    period, first = CYCLES[part]
    since = graph.node("Sub", values, graph.constant(np.float64(first)))
    turned = graph.node("Mul", graph.constant(np.float64(2.0 * math.pi)), since)
    angle = graph.node("Div", turned, graph.constant(np.float64(period)))
    waves = (graph.node(op, angle) for op in ("Sin", "Cos"))
    zero = graph.constant(np.float64(0))
    return [cast(graph, graph.node("Where", missing, zero, wave), "float32") for wave in waves]


def _number(graph: Graph, value: float) -> str:
    return graph.constant(np.float64(value))


def _int(graph: Graph, value: int) -> str:
    return graph.constant(np.int64(value))
