"""``GridSearch`` and ``RandomSearch``: searches over Params as Spark ML estimators."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml import Estimator

from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.errors import ConfigurationError
from sparkwater.stacking.folds import role_columns
from sparkwater.stacking.level_one.deviance import deviance_of
from sparkwater.stacking.level_one.learners import (
    Learner,
    describe,
    find_learners,
    hide_columns,
    kind_of,
    last_stage,
    set_apart,
    weighted,
)
from sparkwater.stacking.level_one.one_job import check_plan
from sparkwater.stacking.refit import refit
from sparkwater.stacking.search.exploring import (
    Candidate,
    Explored,
    Propose,
    Rows,
    explore,
    open_rows,
    plain,
)
from sparkwater.stacking.search.finishing import finish
from sparkwater.stacking.search.model import SearchModel
from sparkwater.stacking.search.params import SearchParams
from sparkwater.stacking.search.pruning import Pruner
from sparkwater.stacking.search.records import SearchSummary, Trial
from sparkwater.stacking.search.space import ParamMap, Space, read_space, restore_space, write_space

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder

logger = logging.getLogger(__name__)

#: Spaces of lists up to this size are shuffled as a whole.
_SHUFFLED = 100_000

#: Draws in vain, of combinations that were drawn before, after which a space counts as used up.
_IN_VAIN = 100


class Search(Estimator[SearchModel], SearchParams, SavedStage):
    """Base of the searches: candidates are tried on the same folds, and the best is fitted on all rows."""

    _unsaved_params = ("estimator", "space")
    #: Whether candidates follow from the trials before.
    _adaptive = False

    @property
    def kind(self) -> str | None:
        """The kind of the estimator: classification or regression."""
        return kind_of(self._given())

    def copy(self, extra: dict | None = None) -> Search:  # type: ignore[type-arg]
        """Return a copy with other Params, those of the estimator included."""
        copied: Search = super().copy(extra)
        if copied.getEstimator() is not None:
            copied._set(estimator=copied.getEstimator().copy(extra))
        return copied

    def _propose(self, space: Space, candidate: Callable[[ParamMap], Candidate]) -> Propose:
        """Return the source of candidates."""
        raise NotImplementedError

    def _fit(self, dataset: DataFrame) -> SearchModel:
        started = time.monotonic()
        learner, space = self.check_fit(dataset)
        label = str(last_stage(learner.stage).getOrDefault("labelCol"))
        folds, explored = self.folds(dataset.schema, label), Explored()
        propose = self._propose(space, self._maker(learner, space))
        opened = open_rows(
            dataset, folds, learner.kind, label, self.getWeightCol(), self.getIdCol(), self.getCheckpointDir(),
            self._pruner(), deviance_of([learner]),
        )  # fmt: skip
        with opened as rows:
            try:
                explore(rows, propose, self.budget(), self.getParallelism(), explored, self._adaptive)
                return self._finish(rows, explored, started)
            except BaseException:
                explored.unpersist()
                raise

    def _finish(self, rows: Rows, explored: Explored, started: float) -> SearchModel:
        level_one = finish(rows, explored)
        best = explored.best()
        assert best is not None  # there are predictions
        (base,) = refit(level_one.select([best.learner]), "refit", self.getParallelism())
        model = SearchModel()
        model.bestModel, model.levelOne = base.models[0], level_one if self.getKeepLevelOne() else None
        model.summary = SearchSummary(
            strategy=type(self).__name__,
            kind=level_one.task.kind,
            metrics=level_one.metrics.names,
            classes=level_one.task.classes,
            trials=tuple(explored.trials),
            best=best.learner,
            rows=rows.prepared.rows.rows,
            folds=len(rows.prepared.folds),
            fingerprint=level_one.fingerprint,
            ended=explored.ended,
            totalSeconds=time.monotonic() - started,
        )
        logger.info("%s", model.summary)
        if not self.getKeepLevelOne():
            level_one.unpersist()
        return self._copyValues(model._resetUid(self.uid))

    def _given(self) -> Any:
        estimator = self.getEstimator()
        if not isinstance(estimator, Estimator):
            raise ConfigurationError(
                f"estimator is {type(estimator).__name__}; accepted: a Spark ML Estimator or Pipeline, not fitted yet"
            )
        return estimator

    def check_fit(self, dataset: DataFrame) -> tuple[Learner, Space]:
        """Refuse everything that can be known to be wrong before a Spark job runs."""
        self.check_settings()
        estimator = self._given()
        space = read_space(estimator, self.getSpace())
        self._check_space(space)
        last = last_stage(estimator)
        label = last.getOrDefault("labelCol") if last.hasParam("labelCol") else "label"
        find_field(dataset.schema, label)
        (learner,) = find_learners({type(last).__name__: estimator}, dataset.schema, label)
        roles = role_columns(self.folds(dataset.schema, label), dataset.columns, self.getIdCol(), self.getWeightCol())
        learner = weighted(hide_columns(learner, roles), self.getWeightCol())
        check_plan(learner, dataset)
        return learner, space

    def _check_space(self, space: Space) -> None:
        """Refuse spaces that this search can't go through."""

    def _pruner(self) -> Pruner | None:
        """Return the rule that ends trainings early, where there is one."""
        return None

    def _maker(self, learner: Learner, space: Space) -> Callable[[ParamMap], Candidate]:
        """Return a function that makes candidates, named for their values: the same in each call."""

        def make(values: ParamMap) -> Candidate:
            params = {name: plain(value) for name, value in space.named(values).items()}
            # By content: text leaves out the weights of networks, and the middle of long pipelines.
            content = {name: describe(value) for name, value in space.named(values).items()}
            said = json.dumps([learner.digest, content], sort_keys=True)
            name = f"{learner.name}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"
            try:
                stage = learner.stage.copy(values)
            except Exception as error:  # Spark's own stages refuse some values when they are set
                return Candidate(replace(learner, name=name), params, error=error)
            return Candidate(set_apart(replace(learner, name=name, stage=stage)), params)

        return make

    def _save_more(self, folder: NewFolder) -> None:
        if self.getEstimator() is not None:
            folder.write_stage("estimator", self._given())
        folder.write_json("space.json", {"estimator": self.getEstimator() is not None, **write_space(self.getSpace())})

    def _load_more(self, folder: SavedFolder) -> None:
        fields = folder.read_json("space.json")
        if fields.get("estimator"):
            self._set(estimator=folder.read_stage("estimator"))
        found = restore_space(self.getEstimator(), fields)
        if found:
            self._set(space=found)


class GridSearch(Search):
    """Try all combinations of lists of values, in their order: the last Param's values change first.

    All trials have the same rows in the same folds. The model holds the best one, fitted on all rows, the records of
    all trials, and their out-of-fold predictions. A trial that fails is recorded with its error.
    """

    def _check_space(self, space: Space) -> None:
        if math.isinf(space.size):
            named = next(one.name for one in space.dimensions if one.choice.distribution is not None)
            raise ConfigurationError(f"space gives {named} a distribution; a grid takes lists, RandomSearch both")

    def _propose(self, space: Space, candidate: Callable[[ParamMap], Candidate]) -> Propose:
        numbers = iter(range(int(space.size)))
        return take_new(lambda: (space.combination(number) for number in numbers), candidate)


class RandomSearch(Search):
    """Try combinations that are drawn at random from lists and distributions, each at most once.

    The same seed draws the same combinations, on any cluster. See `GridSearch` for the model. Source: Bergstra and
    Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
    """

    _class_defaults = {"maxModels": 20}

    def _check_space(self, space: Space) -> None:
        if math.isinf(space.size) and not (self.getMaxModels() or self.getMaxRuntimeSecs() or self.getStoppingRounds()):
            raise ConfigurationError(
                "maxModels=0 and the space has distributions: the search would never end; set maxModels, "
                "maxRuntimeSecs or stoppingRounds"
            )

    def _propose(self, space: Space, candidate: Callable[[ParamMap], Candidate]) -> Propose:
        generator = np.random.default_rng(self.getSeed())
        if space.size <= _SHUFFLED:
            order = iter(generator.permutation(int(space.size)).tolist())
            return take_new(lambda: (space.combination(number) for number in order), candidate)

        def draws() -> Any:
            while True:
                yield space.draw(generator.random(len(space.dimensions)).tolist())

        return take_new(draws, candidate)


def take_new(source: Callable[[], Any], candidate: Callable[[ParamMap], Candidate]) -> Propose:
    """Return a source of candidates that leaves out those that would learn the same as an earlier one."""
    values, seen = iter(source()), set()

    def propose(_trials: Sequence[Trial], number: int) -> list[Candidate]:
        found: list[Candidate] = []
        in_vain = 0
        while len(found) < number and in_vain < _IN_VAIN:
            drawn = next(values, None)
            if drawn is None:
                break
            made = candidate(drawn)
            in_vain += 1
            if made.learner.name not in seen:
                seen.add(made.learner.name)
                found.append(made)
                in_vain = 0
        return found

    return propose
