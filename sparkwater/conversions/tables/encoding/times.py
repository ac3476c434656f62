"""Dates and times as numbers: parts of the calendar, and cycles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkwater.errors import SchemaError

DAY = 86_400.0

#: Parts of a time: days since 1970 began, and numbers of the calendar. Monday is weekday 0; hours have fractions.
PARTS = ("time", "year", "day_of_year", "day_of_month", "weekday", "hour")

#: Parts that come round again, with their periods, and the part's first value.
CYCLES = {"day_of_year": (365.25, 1.0), "weekday": (7.0, 0.0), "hour": (24.0, 0.0)}

Floats = npt.NDArray[np.float64]


def wall_seconds(array: pa.Array, zone: str) -> Floats:
    """Return dates and times as seconds since 1970 began, by the clock on the wall; NaN for nulls.

    Parameters
    ----------
    array : pyarrow.Array
        Dates, timestamps, or such seconds themselves.
    zone : str
        The time zone of the clock, for timestamps that are instants. Those without a zone are its readings already.

    Raises
    ------
    SchemaError
        If the array holds something else.
    """
    kind = array.type
    if pa.types.is_null(kind) or pa.types.is_floating(kind):
        return _numpy(array.cast(pa.float64()))
    if pa.types.is_date(kind):
        return _numpy(array.cast(pa.date32()).cast(pa.int32())) * DAY
    if pa.types.is_timestamp(kind):
        local = array.cast(pa.timestamp("us", kind.tz))
        if kind.tz is not None:
            local = pc.local_timestamp(local.cast(pa.timestamp("us", zone)))
        return _numpy(local.cast(pa.int64())) / 1e6
    raise SchemaError(f"{kind} in Arrow is no date and no time")


def time_parts(seconds: Floats) -> dict[str, Floats]:
    """Return the `PARTS` of times; NaN for NaN.

    Parameters
    ----------
    seconds : numpy.ndarray of float64
        Shape ``(rows,)``: as `wall_seconds` gives them.
    """
    missing = np.isnan(seconds)
    days = np.floor(np.where(missing, 0.0, seconds) / DAY)
    date = days.astype(np.int64).astype("datetime64[D]")
    year, month = date.astype("datetime64[Y]"), date.astype("datetime64[M]")
    parts = {
        "time": np.where(missing, 0.0, seconds) / DAY,
        "year": year.astype(np.int64) + 1970.0,
        "day_of_year": (date - year.astype("datetime64[D]")).astype(np.int64) + 1.0,
        "day_of_month": (date - month.astype("datetime64[D]")).astype(np.int64) + 1.0,
        "weekday": np.mod(days + 3.0, 7.0),  # 1970 began on a Thursday
        "hour": (np.where(missing, 0.0, seconds) - days * DAY) / 3600.0,
    }
    return {name: np.where(missing, np.nan, values) for name, values in parts.items()}


def cycle(name: str, part: Floats) -> Floats:
    """Return sine and cosine of a part within its period, shape ``(rows, 2)``; 0 for NaN."""
    period, first = CYCLES[name]
    angle = 2.0 * np.pi * (part - first) / period
    return np.nan_to_num(np.stack([np.sin(angle), np.cos(angle)], axis=1))


def _numpy(array: pa.Array) -> Floats:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)
