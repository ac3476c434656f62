"""The order of AutoML's trials: the first learner of each family, then draws around the best families."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pyspark.ml import Pipeline

from sparkwater.stacking.automl.families import Family
from sparkwater.stacking.level_one.learners import Learner, set_apart, weighted
from sparkwater.stacking.search.budget import Budget
from sparkwater.stacking.search.exploring import Candidate, expected_seconds, plain
from sparkwater.stacking.search.records import Trial, ranked
from sparkwater.stacking.search.space import Choice

#: Families that the search goes on with: the best ones.
_BEST = 3

#: Draws that aren't new, after which a family counts as used up.
_IN_VAIN = 20


@dataclass(frozen=True)
class Start:
    """A family with its first learner, which was checked.

    Attributes
    ----------
    family : Family
        The family.
    learner : Learner
        Its first learner.
    weightCol : str or None
        Weights of the rows.
    error : Exception or None
        The reason why the family has no learner.
    """

    family: Family
    learner: Learner
    weightCol: str | None = None
    error: Exception | None = None

    @classmethod
    def failed(cls, family: Family, error: Exception) -> Start:
        """Return the start of a family that can make no learner: its first trial fails with the reason."""
        nothing = Learner(family.name, Pipeline(stages=[]), "", "")
        return cls(family, nothing, error=error)

    def draw(self, shares: Sequence[float]) -> dict[str, Any]:
        """Return the values at some shares of the family's space."""
        pairs = zip(self.family.space.items(), shares, strict=True)
        return {name: Choice.of(given).at(share) for (name, given), share in pairs}

    def variant(self, name: str, values: Mapping[str, Any]) -> Learner:
        """Return the learner with other values, and another name."""
        return weighted(replace(self.learner, name=name, stage=self.family.make(values)), self.weightCol)


class Proposals:
    """Source of candidates: a pure function of the trials so far and the seed, but for what was proposed already.

    Parameters
    ----------
    starts : sequence of Start
        The families, from cheap to dear.
    seed : int
        Seed of the draws.
    budget : Budget
        The time; families that don't fit into it are left out.
    """

    def __init__(self, starts: Sequence[Start], seed: int, budget: Budget) -> None:
        self._starts = list(starts)
        self._begun: dict[str, int] = {}
        self._seen: set[str] = set()
        self._seed = seed
        self._budget = budget

    def __call__(self, trials: Sequence[Trial], _number: int) -> list[Candidate]:
        """Return one candidate, or none at the end."""
        for start in self._starts:
            name = start.family.name
            if name not in self._begun and (not trials or self._fits(trials, name)):
                self._begun[name] = 1
                return [Candidate(set_apart(start.learner), {}, name, start.error)]
        for start in self._in_turn(trials):
            candidate = self._draw(start)
            if candidate is not None:
                return [candidate]
        return []

    def _fits(self, trials: Sequence[Trial], name: str) -> bool:
        return self._budget.allows(expected_seconds(trials, name))

    def _in_turn(self, trials: Sequence[Trial]) -> list[Start]:
        """Return the best families whose next trial fits the time: the one with the fewest draws first."""
        order = [one.family for one in ranked(trials) if one.value is not None]
        order = list(dict.fromkeys(order))[:_BEST]
        found = [start for start in self._starts if start.family.name in order]
        found = [start for start in found if self._fits(trials, start.family.name)]
        return sorted(found, key=lambda one: (self._begun[one.family.name], order.index(one.family.name)))

    def _draw(self, start: Start) -> Candidate | None:
        """Return a new combination of a family, or None where there is none."""
        name = start.family.name
        for attempt in range(_IN_VAIN):
            place = self._begun[name]
            generator = np.random.default_rng([self._seed, place, attempt, *name.encode()])
            values = start.draw(generator.random(len(start.family.space)).tolist())
            params = {key: plain(value) for key, value in values.items()}
            said = f"{name} {sorted(params.items())}"
            if said not in self._seen:
                self._seen.add(said)
                self._begun[name] = place + 1
                return Candidate(set_apart(start.variant(f"{name}-{place + 1}", values)), params, name)
        self._begun[name] += 1
        return None
