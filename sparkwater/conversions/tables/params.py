"""Params of the encoding of a table's columns, which `TableToTensor` and the learners of tables share."""

from __future__ import annotations

import zoneinfo
from typing import Any

from sparkwater.conversions.stages.accepts import Accepts, one_of
from sparkwater.conversions.stages.settings import Setting, Settings, setting

#: Whole numbers up to this one are exact in float32: ids are below it.
_MOST_LEVELS = 2**24 - 2


def _is_zone(name: str) -> bool:
    return name == "UTC" or name in zoneinfo.available_timezones()


class EncodingParams(Settings):
    """Mixin for the treatment of raw columns."""

    numericCols: Setting[list[str]] = setting(
        [], "booleans to be taken as 0 and 1, and whole numbers that are no identifier even where all differ"
    )
    categoricalCols: Setting[list[str]] = setting([], "whole numbers to be taken as categories")
    scaling: Setting[str] = setting(
        "standard",
        "scaling of numbers: 'standard' by mean and deviation; 'robust' by median and quartiles, with smooth clipping "
        "to [-3, 3]; 'quantile' by the share of training rows below, to [-1.73, 1.73]",
        accepts=one_of("standard", "robust", "quantile"),
        field="scaling",
    )
    imputation: Setting[str] = setting(
        "mean", "the number in place of a missing one", accepts=one_of("mean", "median"), field="imputation"
    )
    missingIndicator: Setting[bool] = setting(
        True, "an entry of 0 or 1 for each number that is missing in some training row", field="indicator"
    )
    scaleVectors: Setting[bool] = setting(
        True, "scaling of vectors' entries as of numbers; False takes them as they are", field="scale_vectors"
    )
    oneHotLevels: Setting[int] = setting(
        9,
        "the most levels that a column of categories may have to become flags; 0 makes ids of all such columns",
        accepts=Accepts(lambda value: 0 <= value <= 1000, "numbers from 0 to 1000"),
        field="one_hot_levels",
    )
    maxLevels: Setting[int] = setting(
        10_000,
        "the most levels of a column, of which the most frequent ones are taken; others are rare",
        accepts=Accepts(lambda value: 1 <= value <= _MOST_LEVELS, f"numbers from 1 to {_MOST_LEVELS}"),
        field="max_levels",
    )
    minLevelRows: Setting[int] = setting(
        2,
        "training rows that a level needs; with fewer it is rare",
        accepts=Accepts(lambda value: value >= 1, "numbers from 1 up"),
        field="min_level_rows",
    )
    timeZone: Setting[str] = setting(
        "UTC",
        "time zone of the clock by which timestamps are read, whatever the session's; none for timestamp_ntz",
        accepts=Accepts(_is_zone, "names of time zones such as 'UTC' and 'Europe/Berlin'"),
        field="zone",
    )

    @classmethod
    def encoding_names(cls) -> tuple[str, ...]:
        """Return the names of these Params."""
        return tuple(EncodingParams.declarations())

    def encoding(self) -> dict[str, Any]:
        """Return the values of these Params by their names."""
        return {name: self.getOrDefault(name) for name in self.encoding_names()}

    def set_encoding(self) -> dict[str, Any]:
        """Return those of them that were set."""
        return {name: value for name, value in self.encoding().items() if self.isSet(name)}
