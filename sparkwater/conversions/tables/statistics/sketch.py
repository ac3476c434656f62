"""`NumberSketch`: counts and bounds of numbers, and a sample of their different values."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_HEADER = struct.Struct("<4q2d")


@dataclass(frozen=True)
class NumberSketch:
    """Exact counts and bounds, and the values of the smallest hashes, each with its exact count.

    Which values are in the sample follows from the values alone: sketches of parts, merged in any order, are the
    sketch of the whole. Where there are no more different values than its size, it holds all of them.
    Source: Bar-Yossef et al. 2002, "Counting Distinct Elements in a Data Stream" (the k smallest hashes).

    Attributes
    ----------
    size : int
        The most values in the sample.
    finite, missing, infinite : int
        Rows with a number, with none (null or NaN), and with an infinity.
    low, high : float
        Bounds of the finite numbers; infinity and its negative where there are none.
    values : numpy.ndarray of float64
        The sample of the finite numbers, by hash.
    counts : numpy.ndarray of int64
        Rows of each value.
    """

    size: int
    finite: int
    missing: int
    infinite: int
    low: float
    high: float
    values: Floats
    counts: Counts

    @classmethod
    def empty(cls, size: int) -> NumberSketch:
        """Return the sketch of no rows."""
        nothing = np.empty(0), np.empty(0, np.int64)
        return cls(size, 0, 0, 0, np.inf, -np.inf, *nothing)

    @property
    def is_whole(self) -> bool:
        """True where the sample lacks no value."""
        return len(self.values) < self.size

    @property
    def all_differ(self) -> bool:
        """True where no value of the sample is that of two rows."""
        return bool((self.counts == 1).all())

    def plus(self, numbers: Floats) -> NumberSketch:
        """Return the sketch with more rows; NaN is a missing number."""
        values, counts = different(numbers)
        missing = int(np.isnan(numbers).sum())
        found = NumberSketch(
            size=self.size,
            finite=int(counts.sum()),
            missing=missing,
            infinite=len(numbers) - missing - int(counts.sum()),
            low=float(values.min(initial=np.inf)),
            high=float(values.max(initial=-np.inf)),
            values=values,
            counts=counts,
        )
        return self.merged(found)

    def merged(self, other: NumberSketch) -> NumberSketch:
        """Return the sketch of both parts' rows."""
        values, counts = _smallest(self, other)
        return NumberSketch(
            size=self.size,
            finite=self.finite + other.finite,
            missing=self.missing + other.missing,
            infinite=self.infinite + other.infinite,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            values=values,
            counts=counts,
        )

    def to_bytes(self) -> bytes:
        """Return the sketch as bytes, for `from_bytes`."""
        header = _HEADER.pack(self.size, self.finite, self.missing, self.infinite, self.low, self.high)
        return header + self.values.tobytes() + self.counts.tobytes()

    @classmethod
    def from_bytes(cls, content: bytes) -> NumberSketch:
        """Return the sketch that `to_bytes` wrote."""
        rest = content[_HEADER.size :]
        half = len(rest) // 2
        size, finite, missing, infinite, low, high = _HEADER.unpack(content[: _HEADER.size])
        return cls(
            size=size,
            finite=finite,
            missing=missing,
            infinite=infinite,
            low=low,
            high=high,
            values=np.frombuffer(rest[:half], np.float64),
            counts=np.frombuffer(rest[half:], np.int64),
        )


def different(numbers: Floats) -> tuple[Floats, Counts]:
    """Return the different finite numbers, in no order, and how often each occurs; minus zero is zero."""
    finite = numbers[np.isfinite(numbers)] + 0.0
    found = pc.value_counts(pa.array(finite))
    return found.field(0).to_numpy(), found.field(1).to_numpy().astype(np.int64)


def hashes(values: Floats) -> npt.NDArray[np.uint64]:
    """Return a hash of each value: another one for another value (SplitMix64, Steele et al. 2014)."""
    mixed = np.ascontiguousarray(values).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _smallest(one: NumberSketch, other: NumberSketch) -> tuple[Floats, Counts]:
    """Return the values of the smallest hashes of both, with their counts."""
    own, new = hashes(one.values), hashes(other.values)
    values, counts = other.values, other.counts
    if not one.is_whole:  # what is above all that is kept has no place any more
        kept = new <= own[-1]
        values, counts, new = values[kept], counts[kept], new[kept]
    both = np.concatenate([own, new])
    found, first, group = np.unique(both, return_index=True, return_inverse=True)
    totals = np.zeros(len(found), np.int64)
    np.add.at(totals, group.reshape(-1), np.concatenate([one.counts, counts]))
    return np.concatenate([one.values, values])[first[: one.size]], totals[: one.size]
