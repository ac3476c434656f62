"""Similarity and distance measures of vectors: five of them, in float64, for pairs and for whole blocks.

Four of them are those of H2O's ``h2o.distance``: ``l1``, ``l2``, ``cosine``, ``cosine_sq``. H2O's
``l2`` adds up ``sqrt((x - y)**2)`` and so gives what ``l1`` gives; here it is the Euclidean distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkwater.errors import ConfigurationError

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.floating[Any]]

#: For each measure whether a larger value means that two vectors are nearer.
MEASURES = {"l1": False, "l2": False, "cosine": True, "cosine_sq": True, "inner": True}

#: Values gathered at a time for pairs of rows, each side: what bounds the memory of `paired_values`.
_GATHERED_VALUES = 2**20

#: Below this share of |x|^2 + |y|^2 the product formula of the squared distance loses more than three digits.
_CANCELLING = 1e-3


@dataclass(frozen=True)
class Block:
    """A block of rows of one side.

    Attributes
    ----------
    ids : pyarrow.Array
        One a row.
    values : numpy.ndarray
        Shape ``(rows, length)``, float32 or float64; a row of NaN has an id and no vector.
    """

    ids: pa.Array
    values: Matrix

    @cached_property
    def squares(self) -> Floats:
        """The squared Euclidean length of each row, in float64; NaN for a row without a vector."""
        rows = np.arange(len(self.values))
        return _in_chunks(rows, rows, self.values.shape[1], lambda one, _: _dot(*_gather(self, one, self, one)))

    @cached_property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Mask of the rows that have a vector."""
        return np.asarray(~np.isnan(self.values).any(axis=1))


def check_measure(measure: str) -> None:
    """Refuse an unknown measure.

    Raises
    ------
    ConfigurationError
        The message lists the measures.
    """
    if measure not in MEASURES:
        raise ConfigurationError(f"measure={measure!r}; accepted: {', '.join(MEASURES)}")


def paired_values(queries: Block, rows: Rows, references: Block, others: Rows, measure: str) -> Floats:
    """Return the measure of pairs of rows, in float64.

    A pair's value depends on its two vectors only, to the last bit: not on the block they came in
    nor on the other pairs. So equal vectors tie, and any partitioning gives the same values.

    Parameters
    ----------
    queries, references : Block
        The two sides.
    rows, others : numpy.ndarray of int
        The pairs, as positions on each side.
    measure : str
        One of `MEASURES`.

    Returns
    -------
    numpy.ndarray
        float64, one value a pair. A cosine with a zero vector is 0, as in scikit-learn (in H2O it
        is NaN).
    """

    def values(some: Rows, their: Rows) -> Floats:
        x, y = _gather(queries, some, references, their)
        if measure == "l1":
            return np.asarray(np.abs(x - y).sum(axis=1))
        if measure == "l2":
            difference = x - y
            return np.sqrt(_dot(difference, difference))
        return _from_products(_dot(x, y), queries.squares[some], references.squares[their], measure)

    return _in_chunks(rows, others, queries.values.shape[1], values)


def value_matrix(queries: Block, references: Block, measure: str) -> Floats:
    """Return the measure of every query and every reference, in float64.

    Equal to `paired_values` but for rounding: a matrix product's order of summation depends on the
    blocks. Distances that would cancel in the product formula are computed pair by pair.

    Returns
    -------
    numpy.ndarray
        Shape ``(queries, references)``; NaN in the row or column of what has no vector.
    """
    import torch  # not by the tasks that only pack blocks

    x, y = (torch.from_numpy(block.values.astype(np.float64)) for block in (queries, references))
    if measure == "l1":
        return np.asarray(torch.cdist(x, y, p=1.0))
    products = np.asarray(x @ y.T)
    mine, theirs = queries.squares[:, None], references.squares[None, :]
    if measure != "l2":
        return _from_products(products, mine, theirs, measure)
    both = mine + theirs
    squared = both - 2 * products
    rows, others = np.nonzero(squared <= _CANCELLING * both)
    squared[rows, others] = 0
    distances = np.sqrt(squared)
    distances[rows, others] = paired_values(queries, rows, references, others, measure)
    return np.asarray(distances)


def _from_products(products: Floats, mine: Floats, theirs: Floats, measure: str) -> Floats:
    if measure == "inner":
        return products + 0.0  # no negative zero
    lengths = np.sqrt(mine) * np.sqrt(theirs)
    cosine = np.clip(np.divide(products, lengths, out=np.zeros_like(products), where=lengths != 0), -1, 1) + 0.0
    return np.asarray(cosine if measure == "cosine" else cosine * cosine)


def _gather(queries: Block, rows: Rows, references: Block, others: Rows) -> tuple[Floats, Floats]:
    return queries.values[rows].astype(np.float64), references.values[others].astype(np.float64)


def _dot(x: Floats, y: Floats) -> Floats:
    # einsum adds up a row in an order of its own, whatever the other rows are; a matrix product doesn't.
    return np.asarray(np.einsum("ij,ij->i", x, y))


def _in_chunks(rows: Rows, others: Rows, length: int, values: Callable[[Rows, Rows], Floats]) -> Floats:
    step = max(1, _GATHERED_VALUES // max(1, length))
    parts = [values(rows[start : start + step], others[start : start + step]) for start in range(0, len(rows), step)]
    return np.concatenate(parts) if parts else np.empty(0)
