"""`NumberSpread`: ranks between chosen values, and moments: what quantiles, mean, deviation and skew are read from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sparkwater.conversions.tables.statistics.sketch import Counts, Floats, NumberSketch, different
from sparkwater.conversions.tensors.digits import rounded, rounded_in


@dataclass(frozen=True)
class NumberSpread:
    """Finite numbers counted between edges, and sums of their first three powers.

    Attributes
    ----------
    edges : numpy.ndarray of float64
        Increasing values, the lowest and highest number among them.
    origin, unit : float
        Sums are of ``(x - origin) / unit``, of which none is beyond 1: no square overflows, no digits are lost.
    cells : numpy.ndarray of int64
        Rows below the first edge, at it, between it and the second one, and so on: ``2 * len(edges) + 1`` counts.
    powers : numpy.ndarray of float64
        Sums of first, second and third powers.
    """

    edges: Floats
    origin: float
    unit: float
    cells: Counts
    powers: Floats

    @classmethod
    def around(cls, sketch: NumberSketch) -> NumberSpread:
        """Return the spread of no rows, with the edges and the origin that a sketch of all rows gives."""
        edges = np.unique(np.concatenate([sketch.values, [sketch.low, sketch.high]])) if sketch.finite else np.empty(0)
        origin = float(edges[len(edges) // 2]) if len(edges) else 0.0
        unit = max(sketch.high - origin, origin - sketch.low) if sketch.finite else 0.0
        return cls(edges, origin, unit or 1.0, np.zeros(2 * len(edges) + 1, np.int64), np.zeros(3))

    def plus(self, numbers: Floats) -> NumberSpread:
        """Return the spread with more rows; missing and infinite numbers are left out."""
        values, counts = different(numbers)
        place = np.searchsorted(self.edges, values)
        at = np.append(self.edges, np.nan)[place] == values
        cells = self.cells.copy()
        np.add.at(cells, 2 * place + at, counts)
        apart = (values - self.origin) / self.unit
        powers = [float(np.dot(counts, apart**power)) for power in (1, 2, 3)]
        return replace(self, cells=cells, powers=self.powers + powers)

    def to_bytes(self) -> bytes:
        """Return counts and sums as bytes, without the edges."""
        return self.cells.tobytes() + self.powers.tobytes()

    def from_bytes(self, content: bytes) -> NumberSpread:
        """Return the spread with these edges, and the counts and sums that `to_bytes` wrote."""
        cells, powers = _cells_and_powers(content)
        return replace(self, cells=cells, powers=powers)

    @staticmethod
    def sum_bytes(one: bytes, other: bytes) -> bytes:
        """Return the bytes of two parts' rows together, which have the same edges."""
        (cells, powers), (more_cells, more_powers) = _cells_and_powers(one), _cells_and_powers(other)
        return (cells + more_cells).tobytes() + (powers + more_powers).tobytes()

    @property
    def rows(self) -> int:
        """All finite numbers."""
        return int(self.cells.sum())

    @property
    def deviation(self) -> float:
        """Standard deviation of the numbers (population), to 6 digits."""
        first, second, _ = self.powers / self.rows
        return rounded(self.unit * math.sqrt(max(second - first * first, 0.0)))

    @property
    def mean(self) -> float:
        """Mean, to 6 digits of the deviation."""
        value, deviation = self.origin + self.unit * float(self.powers[0]) / self.rows, self.deviation
        return rounded_in(value, deviation) if deviation else self.origin

    @property
    def skew(self) -> float:
        """Third standardised moment, to 3 decimals; 0 for a constant."""
        first, second, third = self.powers / self.rows
        variance = second - first * first
        if variance <= 0 or not self.deviation:
            return 0.0
        return round(float((third - 3 * first * second + 2 * first**3) / variance**1.5), 3)

    def quantiles(self, shares: Floats) -> Floats:
        """Return quantiles, linear between ranks as ``numpy.quantile``.

        They are exact at the edges, and everywhere where the edges are all the values; between edges
        numbers count as evenly spread.
        """
        at = self.cells[1::2]
        below = np.cumsum(self.cells)[0::2][:-1]
        # An edge takes the ranks of its ties; the numbers up to the next edge take those between.
        ranks = np.stack([below, below + at - 1], axis=1).reshape(-1)
        values = np.repeat(self.edges, 2)
        return np.asarray(np.interp(shares * (self.rows - 1), ranks, values))

    def shares(self, values: Floats) -> Floats:
        """Return the share of numbers below each of some edges, half of its ties with them."""
        place = np.searchsorted(self.edges, values)
        below = np.cumsum(self.cells)[2 * place]
        return np.asarray((below + self.cells[2 * place + 1] / 2) / self.rows)


def _cells_and_powers(content: bytes) -> tuple[Counts, Floats]:
    split = len(content) - 3 * 8
    return np.frombuffer(content[:split], np.int64), np.frombuffer(content[split:], np.float64)
