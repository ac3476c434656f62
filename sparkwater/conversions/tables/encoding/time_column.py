"""Columns of dates and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa

from sparkwater.conversions.tables.encoding.column import (
    TOO_FAR,
    Entries,
    FittedColumn,
    Problems,
    float32,
    problems_of,
)
from sparkwater.conversions.tables.encoding.scaling import Scaling, scaling_of
from sparkwater.conversions.tables.encoding.times import CYCLES, PARTS, cycle, time_parts, wall_seconds

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class TimeColumn(FittedColumn):
    """A date or a time a row: scaled parts, sine and cosine of cycles, and an indicator as a number's.

    Attributes
    ----------
    zone : str
        Time zone of the clock that instants are read by.
    parts : tuple of str
        Those of `PARTS` that varied in the training rows.
    scaling : Scaling
        Of the parts.
    fill : tuple of float
        The parts in place of missing ones. The cycles of a missing time are 0.
    indicator : bool
        Whether an entry is 1 for missing times, and 0 for the others.
    """

    kind: ClassVar[str] = "time"
    zone: str
    parts: tuple[str, ...]
    scaling: Scaling
    fill: tuple[float, ...]
    indicator: bool

    @property
    def cycles(self) -> tuple[str, ...]:
        """Parts with a period."""
        return tuple(part for part in self.parts if part in CYCLES)

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries."""
        waves = (f"{wave} of {self.name}.{part}" for part in self.cycles for wave in ("sine", "cosine"))
        parts = (f"{self.name}.{part}" for part in self.parts)
        return (*parts, *waves, *((f"{self.name} is missing",) * self.indicator))

    def encode(self, array: pa.Array, out: Entries) -> Problems:
        """Write the parts, the cycles, and the indicator."""
        found = time_parts(wall_seconds(array, self.zone))
        parts = np.stack([found[part] for part in self.parts], axis=1) if self.parts else np.empty((len(array), 0))
        missing = np.isnan(found["time"])
        if self.indicator:
            out[:, -1] = missing
        for place, part in enumerate(self.cycles):
            start = len(self.parts) + 2 * place
            out[:, start : start + 2] = cycle(part, found[part])
        filled = np.where(missing[:, None], np.array(self.fill), parts)
        out[:, : len(self.parts)] = float32(self.scaling.apply(filled))
        return problems_of(~np.isfinite(out).all(axis=1), TOO_FAR)

    def more(self) -> dict[str, Any]:
        """Return the other fields."""
        return {
            "zone": self.zone,
            "parts": list(self.parts),
            "scaling": self.scaling.to_dict(),
            "fill": list(self.fill),
            "indicator": self.indicator,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the column that `to_dict` wrote."""
        return cls(
            name=str(fields["name"]),
            type=str(fields["type"]),
            zone=str(fields["zone"]),
            parts=tuple(part for part in PARTS if part in fields["parts"]),
            scaling=scaling_of(fields["scaling"]),
            fill=tuple(float(value) for value in fields["fill"]),
            indicator=bool(fields["indicator"]),
        )
