"""Bins of histograms: between the lowest and the highest number, on whole numbers, on the calendar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sparkwater.conversions.tables.statistics.spread import NumberSpread

Floats = npt.NDArray[np.float64]

#: Bins of numbers.
BINS = 20

#: Bins of dates and times, at most: the finest unit of the calendar that needs no more.
MOST_DATES = 40

#: Units of the calendar as NumPy names them, the finest first.
_UNITS = ("1s", "1m", "1h", "1D", "1M", "1Y", "10Y", "100Y", "1000Y")


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram.

    Attributes
    ----------
    label : str
        The bin's bounds, its value, or its date.
    rows : int
        Rows in it.
    """

    label: str
    rows: int


@dataclass(frozen=True)
class Bins:
    """Bins of numbers.

    Attributes
    ----------
    starts : tuple of float
        The lower bound of each bin, increasing. A number belongs to the last bin that starts at or below it.
    labels : tuple of str
        Name of each bin.
    """

    starts: tuple[float, ...]
    labels: tuple[str, ...]

    def spread(self, low: float, high: float) -> NumberSpread:
        """Return the spread of no rows that counts between the bins' bounds, and zeros."""
        edges = np.unique(np.array([*self.starts, low, high, *([0.0] if low <= 0 <= high else [])]))
        origin = float(edges[len(edges) // 2])
        unit = max(high - origin, origin - low)
        return NumberSpread(edges, origin, unit or 1.0, np.zeros(2 * len(edges) + 1, np.int64), np.zeros(3))

    def bars(self, spread: NumberSpread) -> tuple[Bar, ...]:
        """Return the rows of each bin, of a spread that `spread` began."""
        below = np.cumsum(spread.cells)[0::2][np.searchsorted(spread.edges, np.array(self.starts))]
        rows = np.diff(np.append(below, spread.rows))
        return tuple(Bar(label, int(count)) for label, count in zip(self.labels, rows, strict=True))


def zeros_of(spread: NumberSpread) -> int:
    """Return the rows that are zero, of a spread that `Bins.spread` began."""
    places = np.flatnonzero(spread.edges == 0.0)
    return int(spread.cells[2 * places[0] + 1]) if len(places) else 0


def number_bins(low: float, high: float, *, whole: bool = False, most: int = BINS) -> Bins:
    """Return bins of one width between two different numbers.

    Parameters
    ----------
    low, high : float
        The lowest and the highest number.
    whole : bool
        Whether all numbers are whole: bins are then as many whole numbers wide.
    most : int
        Bins at most.
    """
    if whole and high < low + 2.0**53:  # their difference may be beyond the largest number
        width = max(1.0, np.ceil((high - low + 1) / most))
        starts = np.unique(np.arange(low, high + 1, width))
        ends = np.minimum(starts + width - 1, high)
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        return _bins(starts, [f"{a:.0f}" if a == b else f"{a:.0f} to {b:.0f}" for a, b in pairs])
    shares = np.linspace(0.0, 1.0, most + 1)
    # high - low may be beyond the largest number.
    bounds = np.unique(low * (1.0 - shares) + high * shares)
    starts = bounds[:-1]
    return _bins(starts, [f"{a:.4g} to {b:.4g}" for a, b in zip(starts, bounds[1:], strict=True)])


def calendar_bins(low: float, high: float, most: int = MOST_DATES) -> Bins:
    """Return bins by the calendar: seconds, minutes, hours, days, months, years, or more years.

    Parameters
    ----------
    low, high : float
        Seconds since the beginning of 1970, by the clock on the wall.
    most : int
        Bins at most, unless they were over 1,000 years long.
    """
    ends = np.array([np.floor(low), np.floor(high)]).astype("datetime64[s]")
    for unit in _UNITS:
        starts = _calendar(ends, unit, most if unit != _UNITS[-1] else 10_000)
        if starts is not None:
            break
    assert starts is not None  # years of Spark's timestamps have at most six digits
    seconds = starts.astype("datetime64[s]").astype(np.int64).astype(np.float64)
    return _bins(seconds, [_date_label(start, unit) for start in starts])


def time_text(seconds: float, *, clock: bool) -> str:
    """Return seconds since 1970 as a date, with the time of the day where there is a clock."""
    moment = np.datetime64(int(np.floor(seconds)), "s")
    return str(moment).replace("T", " ") if clock else str(moment.astype("datetime64[D]"))


def _calendar(ends: npt.NDArray[np.datetime64], unit: str, most: int) -> npt.NDArray[np.datetime64] | None:
    steps = int(unit.rstrip("smhDMY"))
    letter = unit[-1]
    first, last = ends.astype(f"datetime64[{letter}]").astype(np.int64)
    if letter == "Y":
        # Years are counted from 1970; decades and centuries begin at round ones.
        first, last = first + 1970, last + 1970
    begin = int(first) // steps * steps
    if (int(last) - begin) // steps >= most:
        return None
    found = np.arange(begin, int(last) + 1, steps)
    return (found - 1970 if letter == "Y" else found).astype(f"datetime64[{letter}]")


def _date_label(start: np.datetime64, unit: str) -> str:
    text = str(start).replace("T", " ")
    if unit[-1] == "Y" and unit != "1Y":
        return f"{text} to {int(text) + int(unit[:-1]) - 1}"
    return f"{text}:00" if unit[-1] == "h" else text


def _bins(starts: Floats, labels: Sequence[str]) -> Bins:
    return Bins(tuple(starts.tolist()), tuple(labels))
