"""Optuna's proposals, and the early end of networks that are behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from conftest import start_session
from mixed_tables import INPUTS, mixed_frame
from scipy import stats
from tables import MeanRegressor

from sparkwater.errors import ConfigurationError
from sparkwater.ml import DeepLearningRegressor
from sparkwater.stacking import GridSearch, OptunaSearch
from sparkwater.stacking.level_one.learners import Learner
from sparkwater.stacking.search.pruning import Pruner, ends_behind, pruned_at
from sparkwater.stacking.search.records import Trial
from sparkwater.stacking.search.space import read_space

pytest.importorskip("optuna")

SPACE = {"learningRate": stats.loguniform(1e-5, 1.0), "batchSize": [8, 16, 32]}


def network(**params: Any) -> DeepLearningRegressor:
    return DeepLearningRegressor(recipe="mlp", **params)


def tried(seed: int, count: int, at_a_time: int = 1) -> list[Trial]:
    """Return the trials of a search whose loss is least at a learning rate of 0.01 and batches of 16."""
    import math

    search = OptunaSearch(estimator=network(), space=SPACE, seed=seed)
    space = read_space(network(), SPACE)
    make = search._maker(Learner("network", network(), "regression", "prediction"), space)
    propose, trials = search._propose(space, make), []
    while len(trials) < count:
        for one in propose(trials, at_a_time):
            loss = abs(math.log10(one.params["learningRate"]) + 2) + (one.params["batchSize"] != 16)
            failed = "no luck" if len(trials) == 3 else None
            value = None if failed else loss
            trials.append(Trial(len(trials), one.learner.name, one.params, value, error=failed))
    return trials


def test_proposals_follow_from_the_seed_and_go_where_the_loss_is_low() -> None:
    first = tried(1, 40)
    assert first == tried(1, 40)
    assert first != tried(2, 40)
    values = [one.value for one in first if one.value is not None]
    assert sum(values[-20:]) / 20 < 0.6 * 1.97  # the mean of draws at random
    assert len({one.learner for one in first}) == 40


def test_several_proposals_at_a_time_differ() -> None:
    assert len({one.learner for one in tried(1, 12, at_a_time=4)}) == 12


@dataclass
class Record:
    epoch: int
    loss: float
    judged: dict[str, float | None] = field(default_factory=dict)


def test_a_training_above_the_median_of_those_before_ends() -> None:
    pruner = Pruner(2)
    assert pruner.limits() == ()
    pruner.curves.append((5.0, 3.0, 4.0))
    assert pruner.limits() == ()  # too few to tell
    pruner.curves.append((7.0, 5.0))
    assert pruner.limits() == (6.0, 4.0, 3.0)  # of the lowest so far
    callback = ends_behind(pruner.limits())
    assert [callback(Record(epoch, loss)) for epoch, loss in enumerate((9.0, 4.0, 3.5))] == [False, False, True]
    callback = ends_behind(pruner.limits())
    lost = [callback(Record(0, 9.0, {"rmse": None})), callback(Record(1, 9.0, {"rmse": 3.9}))]
    assert lost == [False, False]  # the first metric counts where it is defined
    assert pruned_at((9.0, 4.0, 3.5), pruner.limits()) == 2
    assert pruned_at((9.0, 4.5), pruner.limits()) == 1
    assert pruned_at((9.0,), pruner.limits()) is None  # the first epoch never counts
    assert pruned_at((9.0, 2.0, 3.5), pruner.limits()) is None
    assert pruned_at((9.0, 9.0), ()) is None


class Pruned(GridSearch):
    """A grid whose networks are ended early after the first one."""

    _adaptive = True

    def _pruner(self) -> Pruner:
        return Pruner(1)


def test_a_network_that_is_behind_ends_early_and_its_other_folds_aren_t_fitted() -> None:
    frame = mixed_frame(start_session("local[2]"), 60).drop("kind")
    learner = network(labelCol="price", inputCols=INPUTS, epochs=3, hidden=[8], numWorkers=1)
    search = Pruned(estimator=learner, space={"learningRate": [0.03, 1e-7]}, numFolds=2, idCol="id", parallelism=1)
    model = search.fit(frame)
    first, behind = model.summary.trials
    assert (first.error, first.fits) == (None, 2)
    assert "ended after epoch 2: its loss was above the median" in behind.error
    assert (len(behind.curve), behind.fits, behind.value) == (2, 0, None)
    assert behind.learner not in model.levelOne.names
    assert model.bestModel.summary.records[-1].epoch == 2
    assert not model.levelOne.models


def test_an_optuna_search_on_real_rows_has_as_many_trials_as_asked_for() -> None:
    frame = start_session("local[2]").createDataFrame([(float(n), n % 2) for n in range(20)], "label double, fold int")

    class Twice(MeanRegressor):
        pass

    search = OptunaSearch(estimator=Twice(), space={"predictionCol": ["a", "b", "c"]}, foldCol="fold", maxModels=2)
    assert search._pruner() is None
    model = search.fit(frame)
    assert len(model.summary.trials) == 2
    assert model.summary.strategy == "OptunaSearch"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"space": [{"batchSize": 8}]}, "takes a mapping of Params"),
        ({"space": SPACE, "maxModels": 0}, "the search would never end"),
    ],
)
def test_spaces_without_an_end_are_refused(params: dict[str, Any], message: str) -> None:
    frame = mixed_frame(start_session("local[2]"), 2)
    with pytest.raises(ConfigurationError, match=message):
        OptunaSearch(estimator=network(labelCol="price"), **params).fit(frame)
