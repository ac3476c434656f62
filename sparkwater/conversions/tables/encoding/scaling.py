"""Scalings of numbers: affine, robust with smooth clipping, and by quantiles."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Uniform numbers in [-UNIFORM, UNIFORM] have mean 0 and deviation 1.
UNIFORM = math.sqrt(3.0)

#: Largest size of a robustly scaled number (RealMLP-TD).
CLIP = 3.0


@dataclass(frozen=True)
class Scaling(ABC):
    """A scaling of ``m`` numbers a row, each in its own way."""

    kind: ClassVar[str]

    @property
    @abstractmethod
    def size(self) -> int:
        """The count of numbers, ``m``."""

    @abstractmethod
    def apply(self, values: Floats) -> Floats:
        """Return scaled numbers.

        Parameters
        ----------
        values : numpy.ndarray of float64
            Shape ``(rows, m)``, without NaN; infinities are allowed.

        Returns
        -------
        numpy.ndarray of float64
            The same shape; an infinity stays one unless the scaling clips.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return the scaling as JSON's types, for `scaling_of`."""


@dataclass(frozen=True)
class StandardScaling(Scaling):
    """``(x - center) / scale``; for ``scale`` 0, which stands for a number that never varied, 0.

    Attributes
    ----------
    center, scale : tuple of float
        Mean and deviation of each number; 0 and 1 leave it as it is.
    """

    kind: ClassVar[str] = "standard"
    center: tuple[float, ...]
    scale: tuple[float, ...]

    @property
    def size(self) -> int:
        """The count of numbers."""
        return len(self.center)

    @cached_property
    def _affine(self) -> tuple[Floats, Floats]:
        scale = np.array(self.scale)
        return np.array(self.center), np.divide(1.0, scale, out=np.zeros_like(scale), where=scale != 0)

    def apply(self, values: Floats) -> Floats:
        """Return scaled numbers; infinities stay."""
        center, factor = self._affine
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray((values - center) * factor)

    def to_dict(self) -> dict[str, Any]:
        """Return the scaling as JSON's types."""
        return {"kind": self.kind, "center": list(self.center), "scale": list(self.scale)}


@dataclass(frozen=True)
class RobustScaling(Scaling):
    """``s / sqrt(1 + (s / 3)^2)`` of ``s = (x - center) * factor``: between -3 and 3, infinities too.

    Source: RealMLP-TD, Holzmüller et al. 2024, "Better by Default", section 3 (robust scaling and smooth clipping).

    Attributes
    ----------
    center : tuple of float
        Median of each number.
    factor : tuple of float
        ``1 / (q75 - q25)``; ``2 / (max - min)`` where the quartiles are equal; 0 for a constant.
    """

    kind: ClassVar[str] = "robust"
    center: tuple[float, ...]
    factor: tuple[float, ...]

    @property
    def size(self) -> int:
        """The count of numbers."""
        return len(self.center)

    @cached_property
    def _affine(self) -> tuple[Floats, Floats]:
        return np.array(self.center), np.array(self.factor)

    def apply(self, values: Floats) -> Floats:
        """Return scaled and clipped numbers."""
        center, factor = self._affine
        # Beyond these bounds the result is 3 to the last bit, and squares would overflow.
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.nan_to_num((values - center) * factor, nan=0.0, posinf=1e100, neginf=-1e100)
        scaled = np.clip(scaled, -1e100, 1e100)
        return np.asarray(scaled / np.sqrt(1.0 + np.square(scaled / CLIP)))

    def to_dict(self) -> dict[str, Any]:
        """Return the scaling as JSON's types."""
        return {"kind": self.kind, "center": list(self.center), "factor": list(self.factor)}


@dataclass(frozen=True)
class QuantileScaling(Scaling):
    """The share ``u`` of training rows below a number, as ``sqrt(3) * (2 u - 1)``: mean 0 and deviation 1.

    ``u`` is piecewise linear between knots, 0 below the first and 1 above the last one, infinities too.
    ``u = (y / sqrt(3) + 1) / 2`` takes it back to uniform numbers in [0, 1].

    Attributes
    ----------
    knots : tuple of tuple of float
        Increasing values of each number.
    levels : tuple of tuple of float
        The share at each knot, in the middle of its ties.
    """

    kind: ClassVar[str] = "quantile"
    knots: tuple[tuple[float, ...], ...]
    levels: tuple[tuple[float, ...], ...]

    @property
    def size(self) -> int:
        """The count of numbers."""
        return len(self.knots)

    @cached_property
    def _tables(self) -> list[tuple[Floats, Floats]]:
        return [(np.array(knots), np.array(levels)) for knots, levels in zip(self.knots, self.levels, strict=True)]

    def apply(self, values: Floats) -> Floats:
        """Return numbers in [-sqrt(3), sqrt(3)]."""
        scaled = np.empty_like(values)
        for place, (knots, levels) in enumerate(self._tables):
            shares = np.interp(values[:, place], knots, levels) if len(knots) > 1 else np.full(len(values), 0.5)
            scaled[:, place] = UNIFORM * (2.0 * shares - 1.0)
        return scaled

    def to_dict(self) -> dict[str, Any]:
        """Return the scaling as JSON's types."""
        return {"kind": self.kind, "knots": [*map(list, self.knots)], "levels": [*map(list, self.levels)]}


def scaling_of(fields: Mapping[str, Any]) -> Scaling:
    """Return the scaling that `Scaling.to_dict` wrote.

    Raises
    ------
    KeyError, TypeError, ValueError
        If it isn't one.
    """
    kind = fields["kind"]
    if kind == StandardScaling.kind:
        return StandardScaling(_floats(fields["center"]), _floats(fields["scale"]))
    if kind == RobustScaling.kind:
        return RobustScaling(_floats(fields["center"]), _floats(fields["factor"]))
    if kind == QuantileScaling.kind:
        return QuantileScaling(tuple(map(_floats, fields["knots"])), tuple(map(_floats, fields["levels"])))
    raise ValueError(f"{kind!r} is no scaling")


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
