"""Search for the k nearest references of a block of queries, reference block by reference block.

A matrix product in the blocks' own dtype screens all pairs; only pairs that may be among the k
nearest, given the largest error that the product can have, get their exact value. The result is
that of float64 arithmetic on every pair, at the price of a float32 product where values are float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from sparkwater.ml.similarity.measures import MEASURES, Block, Floats, Rows, paired_values

#: Pairs that are screened at a time: what bounds the memory of a matrix of scores.
_SCREENED_PAIRS = 2**21


@dataclass(frozen=True)
class Candidates:
    """The references found so far, at most k a query.

    Attributes
    ----------
    rows : numpy.ndarray of int
        Position of the query in its block, ascending.
    keys : numpy.ndarray of float64
        The value of the measure, negative where larger is nearer: smaller keys are nearer. Ascending in a row.
    ids : pyarrow.Array
        The reference; ascending where keys tie.
    """

    rows: Rows
    keys: Floats
    ids: pa.Array


def no_candidates(id_type: pa.DataType) -> Candidates:
    """Return the candidates before any reference."""
    return Candidates(np.empty(0, np.int64), np.empty(0), pa.array([], id_type))


def add_references(found: Candidates, queries: Block, references: Block, measure: str, k: int) -> Candidates:
    """Return the k nearest among the candidates and a block of references.

    Parameters
    ----------
    found : Candidates
        Candidates of these queries, with the same ``k`` and measure.
    queries, references : Block
        Both sides, with vectors of the same length and dtype. Rows without a vector have no
        neighbours and are nobody's.
    measure : str
        One of `MEASURES`.
    k : int
        Neighbours of each query, from 1 up.
    """
    farthest = _kth_keys(found, len(queries.values), k)
    rows, others = _screen(queries, references, farthest, measure, k)
    values = paired_values(queries, rows, references, others, measure)
    keys = 0.0 - values if MEASURES[measure] else values
    new = Candidates(rows, keys, references.ids.take(pa.array(others)))
    return _keep_nearest(_concatenate(found, new), k)


def _screen(queries: Block, references: Block, farthest: Floats, measure: str, k: int) -> tuple[Rows, Rows]:
    """Return the pairs, ordered by query, that may be among the k nearest."""
    mine, theirs = np.flatnonzero(queries.usable), np.flatnonzero(references.usable)
    if not len(theirs):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    x, y = _Side(queries, mine, measure), _Side(references, theirs, measure)
    bars = _score(farthest[mine], x.sizes, measure)
    margins = _margins(x, y, measure)
    step = max(1, _SCREENED_PAIRS // len(theirs))
    pairs = []
    for start in range(0, len(mine), step):
        tile = slice(start, start + step)
        scores = _scores(x.tensor[tile], y, measure)
        best = torch.topk(scores, min(k, len(theirs)), dim=1, sorted=False).values.min(dim=1).values.double().numpy()
        # k of the scores are at least `best`, so k of the exact ones are at least `best - margin`.
        with np.errstate(invalid="ignore"):  # after an overflow a bar is NaN, and rules out nothing
            bar = np.maximum(best - margins[tile], bars[tile]) if len(theirs) >= k else bars[tile]
            rows, others = _at_least(scores, bar - margins[tile])
        pairs.append((mine[rows + start], theirs[others]))
    return _joined([rows for rows, _ in pairs]), _joined([others for _, others in pairs])


class _Side:
    """A block's vectors as the matrix product takes them, and a size of each that errors are proportional to."""

    def __init__(self, block: Block, rows: Rows, measure: str) -> None:
        values = block.values[rows]
        lengths = np.sqrt(block.squares[rows])
        self.sizes = lengths
        if measure == "l1":
            self.sizes = np.abs(values).sum(axis=1, dtype=np.float64)
        elif measure.startswith("cosine"):
            directions = values / np.where(lengths == 0, 1, lengths)[:, None]
            values = directions.astype(values.dtype)
            self.sizes = np.ones(len(rows))
        self.tensor = torch.from_numpy(values)


def _scores(queries: torch.Tensor, references: _Side, measure: str) -> torch.Tensor:
    """Return a score of each pair, larger when nearer, in the dtype of the tensors."""
    if measure == "l1":
        return -torch.cdist(queries, references.tensor, p=1.0)
    products = queries @ references.tensor.T
    if measure == "cosine_sq":
        return products.square_()
    if measure == "l2":  # -|x - y|^2 but for |x|^2, which doesn't change the order
        return products.mul_(2).sub_(torch.from_numpy(references.sizes**2).to(products.dtype))
    return products


def _score(keys: Floats, sizes: Floats, measure: str) -> Floats:
    """Return the exact score that belongs to a key."""
    return sizes**2 - keys**2 if measure == "l2" else -keys


def _margins(x: _Side, y: _Side, measure: str) -> Floats:
    """Return for each query how far a score can be from the exact one.

    A sum of n products in any order is off by at most about n u |x| |y|, u being half the distance
    of 1 to the next number (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., 3.1);
    the exact values are off by as much in float64.
    """
    terms = x.tensor.shape[1] + 8
    numbers = np.finfo(x.tensor.numpy().dtype)
    unit = terms * (float(numbers.eps) + float(np.finfo(np.float64).eps)) / 2
    largest = y.sizes.max()
    if measure == "l1":
        scale = x.sizes + largest
    elif measure == "l2":
        scale = (x.sizes + largest) ** 2
    else:
        scale = x.sizes * largest * (3 if measure == "cosine_sq" else 1)
    overflows = ~(scale < float(numbers.max) / 4)
    return np.where(overflows, np.inf, unit * scale + terms * float(numbers.tiny))


def _at_least(scores: torch.Tensor, bars: Floats) -> tuple[Rows, Rows]:
    """Return where scores reach their row's bar; what can't be compared, NaN after an overflow, does."""
    rounded = torch.from_numpy(bars).to(scores.dtype)
    below = torch.nextafter(rounded, torch.full_like(rounded, -torch.inf))
    rows, others = (scores < below[:, None]).logical_not_().nonzero(as_tuple=True)
    return rows.numpy(), others.numpy()


def _kth_keys(found: Candidates, queries: int, k: int) -> Floats:
    """Return the largest key of each query that has k candidates already, infinity for others."""
    keys = np.full(queries, np.inf)
    last = _ranks(found.rows) == k - 1
    keys[found.rows[last]] = found.keys[last]
    return keys


def _keep_nearest(candidates: Candidates, k: int) -> Candidates:
    columns = {"row": pa.array(candidates.rows), "key": pa.array(candidates.keys), "id": candidates.ids}
    order = pc.sort_indices(pa.table(columns), sort_keys=[(name, "ascending") for name in columns]).to_numpy()
    kept = order[_ranks(candidates.rows[order]) < k]
    return Candidates(candidates.rows[kept], candidates.keys[kept], candidates.ids.take(pa.array(kept)))


def _ranks(rows: Rows) -> npt.NDArray[np.int64]:
    """Return the position of each entry among those of its row, for ascending rows."""
    return np.arange(len(rows)) - np.searchsorted(rows, rows)


def _concatenate(one: Candidates, other: Candidates) -> Candidates:
    return Candidates(
        np.concatenate([one.rows, other.rows]),
        np.concatenate([one.keys, other.keys]),
        pa.concat_arrays([one.ids, other.ids]),
    )


def _joined(parts: list[Rows]) -> Rows:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
