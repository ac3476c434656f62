"""Facts on the columns of DataFrames, measured where they are asked for first, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sparkwater.flow.views.data.columns import ColumnView, FrameView, describe_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class KnownFacts:
    """Facts that were measured of DataFrames in use; any thread may ask.

    Few columns of a wide DataFrame are shown at a time, and only these are measured.
    """

    def __init__(self) -> None:
        self._found: WeakKeyDictionary[DataFrame, tuple[int, dict[int, ColumnView]]] = WeakKeyDictionary()

    def __contains__(self, frame: DataFrame) -> bool:
        return frame in self._found

    def known(self, frame: DataFrame, places: Sequence[int]) -> FrameView | None:
        """Return facts on the columns at some positions; None where one isn't measured yet."""
        rows, columns = self._found.get(frame, (0, {}))
        if frame not in self or any(place not in columns for place in places):
            return None
        return FrameView(rows, tuple(columns[place] for place in places))

    def measured(self, frame: DataFrame, places: Sequence[int]) -> FrameView:
        """Return facts on the columns at some positions; two Spark jobs for those that aren't measured yet."""
        rows, columns = self._found.get(frame, (0, {}))
        missing = [place for place in places if place not in columns]
        if missing or frame not in self:
            view = describe_columns(frame, missing)
            rows, columns = view.rows, {**columns, **dict(zip(missing, view.columns, strict=True))}
            self._found[frame] = rows, columns
        return FrameView(rows, tuple(columns[place] for place in places))
