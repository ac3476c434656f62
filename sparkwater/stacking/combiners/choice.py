"""Cross-validation of combiners on level one, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from sparkwater.stacking.combiners.blocks import Blocks, Layout, Measure, Numbers
from sparkwater.stacking.combiners.losses import Combination, compared_losses
from sparkwater.stacking.combiners.solvers import Fit, run_together
from sparkwater.stacking.level_one.metrics import Losses

#: More folds than this are put together for the combiners, which cost a fit for each pair of them.
MOST_GROUPS = 10

#: The combiner that takes one learner.
BEST = "best"

#: A combiner's fit on the rows outside of some folds.
Method = Callable[[Layout, Sequence[int]], Fit]


@dataclass(frozen=True)
class Compared:
    """Losses of several columns of predictions.

    Attributes
    ----------
    byFold : tuple of tuple of Losses
        For each column its losses by fold.
    apart : mapping of (int, int) to Losses
        For pairs of columns the first one's first loss less the second's.
    """

    byFold: tuple[tuple[Losses, ...], ...]
    apart: Mapping[tuple[int, int], Losses]

    def mean(self, column: int) -> float:
        """Return the mean of a column's first loss over all rows."""
        return sum(one.first for one in self.byFold[column]) / sum(one.weight for one in self.byFold[column])


@dataclass(frozen=True)
class Choice:
    """Outcome of a cross-validation of combiners.

    Attributes
    ----------
    name : str
        The chosen one.
    combination : Combination
        Its fit on all rows.
    whole : tuple of Losses
        Its losses by fold. Where there was a choice, a fold's are those of the combiner that the other folds choose.
    learners : tuple of tuple of Losses
        Losses of each learner by fold.
    difference : tuple of Losses
        The first loss of the whole less that of each learner.
    tried : mapping of str to tuple of Losses
        Losses of each combiner by itself, by fold.
    nested : tuple of Losses
        Losses with a choice for each fold, also where they led to the best learner alone.
    estimate : tuple of Losses
        The whole's losses where the choice counts as a part of the fit: those of the best learner alone are of the
        learner that the other folds find best, not of the one that all of them do.
    column : mapping of int to Combination
        What scores each fold in the whole.
    honest : mapping of int to Combination
        What scores each fold in the estimate.
    """

    name: str
    combination: Combination
    whole: tuple[Losses, ...]
    learners: tuple[tuple[Losses, ...], ...]
    difference: tuple[Losses, ...]
    tried: Mapping[str, tuple[Losses, ...]]
    nested: tuple[Losses, ...]
    estimate: tuple[Losses, ...]
    column: Mapping[int, Combination]
    honest: Mapping[int, Combination]


@dataclass(frozen=True)
class _Fits:
    """All fits: by combiner, and by the groups of folds that were left out."""

    found: Mapping[tuple[str, tuple[int, ...]], Combination]
    folds: int

    @property
    def groups(self) -> range:
        return range(min(self.folds, MOST_GROUPS))

    def group(self, fold: int) -> int:
        return fold % len(self.groups)

    def inside(self, *groups: int) -> list[int]:
        """Return the folds of some groups."""
        return [fold for fold in range(self.folds) if self.group(fold) in groups]

    def column(self, name: str, *left_out: int) -> dict[int, Combination]:
        """Return the combination that scores each fold: one that saw neither it nor a group that is left out."""
        return {
            fold: self.found[name, tuple(sorted({self.group(fold), *left_out}))]
            for fold in range(self.folds)
            if self.group(fold) not in left_out
        }


def choose(blocks: Blocks, layout: Layout, methods: Mapping[str, Method], folds: int) -> Choice:
    """Cross-validate combiners, and choose one.

    A combiner's estimate is that of fits without the folds that they score. Of several, the simplest is chosen whose
    difference to the best estimate is within one standard error (Breiman, Friedman, Olshen and Stone, Classification
    and Regression Trees, 1984, section 3.4.3). The estimate of the whole is nested: for each fold the others choose.
    Where it isn't below that of the best learner alone, this learner is chosen, and the estimate is that of the
    learner which the other folds find best.

    Parameters
    ----------
    blocks : Blocks
        Level one.
    layout : Layout
        Its layout.
    methods : mapping of str to Method
        Combiners by name, the simplest first; ``best`` among them where there are several.
    folds : int
        Number of folds, at least 2.
    """
    fits = _fit_all(blocks, layout, methods, folds)
    names = list(methods)
    plain, *inner = _compare_methods(blocks, fits, names)
    name, picks = _simplest(names, plain), [_simplest(names, one) for one in inner]
    nested = fits.column(name)
    if picks:
        nested = {fold: fits.column(picks[fits.group(fold)])[fold] for fold in range(folds)}
    single = int(np.argmax(fits.found[BEST, ()].weights)) if BEST in names else 0
    singles = [_always(row, folds) for row in np.eye(layout.learners)]
    pairs = [(column, 1 + learner) for column in (0, 1 + single) for learner in range(layout.learners)]
    (sums,) = blocks.add_up([_compare([nested, *singles], pairs, folds)])
    found = _read(sums, 1 + layout.learners, pairs, folds)
    if picks and found.mean(0) >= found.mean(1 + single):
        name = BEST
    alone = bool(picks) and name == BEST
    column = 1 + single if alone else 0
    tried = dict(zip(names, plain.byFold, strict=True))
    return Choice(
        name,
        fits.found[name, ()],
        found.byFold[column],
        found.byFold[1:],
        tuple(found.apart[column, 1 + learner] for learner in range(layout.learners)),
        tried,
        found.byFold[0],
        tried[BEST] if alone else found.byFold[0],
        singles[single] if alone else nested,
        fits.column(BEST) if alone else nested,
    )


def compare_columns(
    blocks: Blocks, one: Mapping[int, Combination], other: Mapping[int, Combination], folds: int
) -> Losses:
    """Return the first loss of what scores each fold less that of another one; the second loss is left out.

    Parameters
    ----------
    blocks : Blocks
        Level one.
    one, other : mapping of int to Combination
        What scores each fold.
    folds : int
        Number of folds.
    """
    (sums,) = blocks.add_up([_compare([one, other], [(0, 1)], folds)])
    return _read(sums, 2, [(0, 1)], folds).apart[0, 1]


def _fit_all(blocks: Blocks, layout: Layout, methods: Mapping[str, Method], folds: int) -> _Fits:
    """Fit each combiner on all rows, without each group of folds, and, for the choice, without each two."""
    empty = _Fits({}, folds)
    subsets: list[tuple[int, ...]] = [(), *((group,) for group in empty.groups)]
    if len(methods) > 1:
        subsets += combinations(empty.groups, 2)
    fits = {
        (name, subset): method(layout, empty.inside(*subset)) for name, method in methods.items() for subset in subsets
    }
    return _Fits(run_together(blocks, fits), folds)


def _compare_methods(blocks: Blocks, fits: _Fits, names: Sequence[str]) -> Iterator[Compared]:
    """Compare the combiners on all rows, and, for the choice, on those outside of each group of folds."""
    outside = [(), *((group,) for group in fits.groups)] if len(names) > 1 else [()]
    pairs = list(combinations(range(len(names)), 2))
    asked = [
        _compare([fits.column(name, *left_out) for name in names], pairs, fits.folds, fits.inside(*left_out))
        for left_out in outside
    ]
    for sums in blocks.add_up(asked):
        yield _read(sums, len(names), pairs, fits.folds)


def _compare(
    columns: Sequence[Mapping[int, Combination]],
    pairs: Sequence[tuple[int, int]],
    folds: int,
    without: Sequence[int] = (),
) -> Measure:
    return partial(compared_losses, without=without, columns=columns, pairs=pairs, folds=folds)


def _read(sums: Numbers, columns: int, pairs: Sequence[tuple[int, int]], folds: int) -> Compared:
    by_fold = sums[: (1 + 3 * columns) * folds].reshape(-1, folds)
    weights, total = by_fold[0], float(by_fold[0].sum())
    losses = [
        tuple(Losses(float(weights[fold]), *map(float, by_fold[start : start + 3, fold])) for fold in range(folds))
        for start in range(1, 1 + 3 * columns, 3)
    ]
    rest = sums[(1 + 3 * columns) * folds :].reshape(-1, 2)
    apart = {
        pair: Losses(total, float(first), float(squares), 0.0)
        for pair, (first, squares) in zip(pairs, rest, strict=True)
    }
    return Compared(tuple(losses), apart)


def _simplest(names: Sequence[str], compared: Compared) -> str:
    """Return the first combiner that can't be told from the best one."""
    best = min(range(len(names)), key=compared.mean)
    for place in range(best):
        difference = compared.apart[place, best]
        if difference.mean <= difference.standard_error:
            return names[place]
    return names[best]


def _always(weights: Numbers, folds: int) -> dict[int, Combination]:
    combination = Combination("pool", tuple(weights.tolist()))
    return dict.fromkeys(range(folds), combination)
