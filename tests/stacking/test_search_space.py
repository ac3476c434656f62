from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.ml import Pipeline
from scipy import stats
from tables import MeanRegressor
from torch import nn

from sparkwater.conversions import TableToTensor
from sparkwater.errors import CheckpointError, ConfigurationError
from sparkwater.ml import DeepLearningRegressor
from sparkwater.stacking import GridSearch, RandomSearch
from sparkwater.stacking.level_one.learners import Learner
from sparkwater.stacking.search.budget import Budget, converged_after
from sparkwater.stacking.search.exploring import Explored, expected_seconds
from sparkwater.stacking.search.records import SearchSummary, Trial, ranked
from sparkwater.stacking.search.space import read_space, restore_space, write_space


def network(**params: Any) -> DeepLearningRegressor:
    return DeepLearningRegressor(recipe="mlp", **params)


def trials(*values: float | None) -> list[Trial]:
    return [Trial(place, f"trial{place}", {}, value) for place, value in enumerate(values)]


def test_a_grid_is_in_the_order_of_its_lists_and_a_name_is_a_param() -> None:
    learner = network()
    space = read_space(learner, {"epochs": [1, 2.5], learner.batchSize: (8, 16.0)})
    assert space.size == 4
    assert [list(space.named(space.combination(number)).items()) for number in range(4)] == [
        [("epochs", 1.0), ("batchSize", 8)],
        [("epochs", 1.0), ("batchSize", 16)],
        [("epochs", 2.5), ("batchSize", 8)],
        [("epochs", 2.5), ("batchSize", 16)],
    ]
    assert type(space.combination(1)[learner.batchSize]) is int
    copied = learner.copy(space.combination(2))
    assert (copied.getEpochs(), copied.getBatchSize()) == (2.5, 8)


def test_a_pipeline_s_stages_are_found_by_name_and_the_last_one_first() -> None:
    encoder, learner = TableToTensor(), network(seed=3)
    pipeline = Pipeline(stages=[encoder, learner])
    space = read_space(pipeline, [{"excludedCols": ["a"]}, {"seed": 4, encoder.getParam("outputCol"): "x"}])
    assert space.size == 2
    assert space.combination(0) == {encoder.excludedCols: ["a"]}
    assert space.named(space.combination(1)) == {"seed": 4, "outputCol": "x"}
    both = read_space(pipeline, {"handleInvalid": ["skip"]})  # both have it
    assert both.combination(0) == {learner.handleInvalid: "skip"}
    stages = pipeline.copy(space.combination(1)).getStages()
    assert (stages[1].getSeed(), stages[0].getOutputCol()) == (4, "x")


def test_two_params_of_one_name_are_told_apart_in_reports() -> None:
    encoder, learner = TableToTensor(), network()
    space = read_space(
        Pipeline(stages=[encoder, learner]), {encoder.handleInvalid: ["skip"], learner.handleInvalid: ["keep"]}
    )
    assert space.named(space.combination(0)) == {
        "TableToTensor.handleInvalid": "skip",
        "DeepLearningRegressor.handleInvalid": "keep",
    }


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, "the space is empty"),
        ([], "the space is empty"),
        (None, "the space is empty"),
        ({"maxDepth": [3]}, "the Param 'maxDepth', which is not there; there are DeepLearningRegressor: .*epochs"),
        ({TableToTensor().scaling: ["robust"]}, "a Param of another estimator"),
        ({3: [1]}, "space names 3; accepted: Params, or their names"),
        ({"epochs": []}, "gives epochs no values"),
        ({"epochs": 3}, "gives epochs 3; accepted: a list of values, or a frozen distribution"),
        ({"recipe": "mlp"}, "gives recipe 'mlp'; accepted: a list"),
        ({"epochs": ["many"]}, "gives epochs 'many'"),
        ([{"epochs": 1}, 3], "accepted: a mapping of Params to values, or a list of ParamMaps"),
    ],
)
def test_spaces_that_can_t_be_searched_are_refused(space: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_space(network(), space)


def test_a_name_that_several_stages_have_is_refused() -> None:
    pipeline = Pipeline(stages=[TableToTensor(outputCol="a"), TableToTensor(outputCol="b"), MeanRegressor()])
    with pytest.raises(ConfigurationError, match="'scaling', which several stages have: TableToTensor, TableToTensor"):
        read_space(pipeline, {"scaling": ["robust"]})


def test_distributions_are_drawn_by_their_quantiles_and_whole_numbers_stay_whole() -> None:
    space = read_space(
        network(),
        {"learningRate": stats.loguniform(1e-4, 1e-2), "batchSize": stats.randint(8, 16), "epochs": [1, 2, 3]},
    )
    assert space.size == float("inf")
    rate, size, epochs = space.draw([0.5, 0.01, 0.99]).values()
    assert (rate, size, epochs) == (pytest.approx(1e-3), 8, 3.0)
    assert isinstance(size, int)
    assert [space.draw([0, share, 0])[space.dimensions[1].param] for share in (0.0, 1.0)] == [8, 15]
    assert [space.draw([0, 1, share])[space.dimensions[2].param] for share in (0, 0.34, 1.0)] == [1, 2, 3]


def test_a_space_comes_back_from_json() -> None:
    learner = network()
    for given in (
        {"epochs": [1, 2], learner.learningRate: stats.loguniform(1e-4, 1e-2)},
        [{learner.epochs: 1, "batchSize": 4}, {"batchSize": 8}],
    ):
        plain = json.loads(json.dumps(write_space(given)))
        first, second = read_space(learner, given), read_space(learner, restore_space(learner, plain))
        assert first.names == second.names
        if first.maps:
            assert first.maps == second.maps
        else:
            assert first.draw([0.3, 0.7]) == second.draw([0.3, 0.7])
    with pytest.raises(ConfigurationError, match="can't be saved"):
        write_space({"epochs": [object()]})
    for damaged in ({}, {"lists": [[["x", "y"], {"values": [1]}]]}, {"lists": [[["epochs"], {"distribution": "os"}]]}):
        with pytest.raises(CheckpointError, match="the saved space is damaged"):
            restore_space(learner, damaged)


def proposed(search: Any, count: int, batch: int = 3) -> list[dict[str, Any]]:
    """Return the Params of the first candidates of a search, asked for in batches."""
    estimator = search.getEstimator()
    space = read_space(estimator, search.getSpace())
    make = search._maker(Learner("network", estimator, "regression", "prediction"), space)
    propose, found = search._propose(space, make), []
    while len(found) < count:
        more = propose([], batch)
        if not more:
            break
        found += more
    assert len({one.learner.name for one in found}) == len(found)
    for one in found:
        for name, value in one.params.items():
            assert one.learner.stage.getOrDefault(name) == value
    return [one.params for one in found]


def test_random_draws_follow_from_the_seed_alone() -> None:
    space = {"learningRate": stats.loguniform(1e-4, 1e-2), "batchSize": [8, 16]}
    first = proposed(RandomSearch(estimator=network(), space=space, seed=1), 6)
    assert first == proposed(RandomSearch(estimator=network(), space=space, seed=1), 6, batch=1)
    assert first != proposed(RandomSearch(estimator=network(), space=space, seed=2), 6)
    assert {one["batchSize"] for one in first} == {8, 16}


def test_lists_are_drawn_without_repetition_until_all_were() -> None:
    space = {"epochs": [1, 2, 3], "batchSize": [8, 16, 8]}  # one is given twice
    found = proposed(RandomSearch(estimator=network(), space=space, seed=5), 100)
    grid = proposed(GridSearch(estimator=network(), space=space), 100)
    assert len(found) == len(grid) == 6
    assert found != grid
    assert sorted(map(str, found)) == sorted(map(str, grid))


def test_candidates_are_told_apart_by_content_where_text_is_the_same() -> None:
    layers = [nn.Linear(4, 1), nn.Linear(4, 1)]
    assert str(layers[0]) == str(layers[1])
    search = GridSearch(estimator=network(), space={"network": layers})
    space = read_space(network(), search.getSpace())
    make = search._maker(Learner("network", network(), "regression", "prediction"), space)
    assert make(space.combination(0)).learner.name != make(space.combination(1)).learner.name
    assert make(space.combination(0)).learner.name == make(space.combination(0)).learner.name


def test_candidates_that_a_stage_refuses_are_kept_with_the_reason() -> None:
    search = GridSearch(estimator=network(), space={"seed": [1]})
    space = read_space(network(), search.getSpace())

    class Refusing(MeanRegressor):
        def copy(self, extra: Any = None) -> MeanRegressor:
            raise ValueError("not this one")

    made = search._maker(Learner("network", Refusing(), "regression", "prediction"), space)(space.combination(0))
    assert str(made.error) == "not this one"
    assert made.params == {"seed": 1}


def test_the_search_ends_after_the_trial_that_brought_too_little() -> None:
    assert converged_after(trials(5, 4, 3, 2), 1, 0.001) is None
    assert converged_after(trials(5, 4, 4, 3, 1), 1, 0.001) == 3
    assert converged_after(trials(5, None, 4, None, 6, 3), 1, 0.001) == 5  # failed ones don't count, order does
    assert converged_after(trials(5, 4, 4, 3, 3, 3), 2, 0.001) is None
    assert converged_after(trials(5, 4, 4, 4, 4, 3), 2, 0.001) == 5
    assert converged_after(trials(5, 4.999), 1, 0.001) == 2
    assert converged_after(trials(5, 5, 5), 0, 0.001) is None


def test_a_budget_counts_models_and_time_with_what_is_reserved() -> None:
    now = [10.0]
    budget = Budget(models=3, seconds=60, clock=lambda: now[0], started=10.0, reserve=lambda: 20.0)
    assert [budget.more(done, 8) for done in (0, 2, 3, 4)] == [3, 1, 0, 0]
    assert budget.allows(40)
    assert not budget.allows(41)
    now[0] = 50.5
    assert (budget.remaining(), budget.allows(0)) == (19.5, False)
    assert Budget(clock=lambda: 1e9, started=0.0).allows(1e6)
    assert Budget().more(1000, 8) == 8


def test_trials_are_expected_to_take_as_long_as_those_of_their_family() -> None:
    done = [
        Trial(0, "a", {}, 1.0, wallSeconds=90, fits=3, family="slow"),
        Trial(1, "b", {}, 1.0, wallSeconds=6, fits=3, family="quick"),
        Trial(2, "c", {}, None, wallSeconds=50, fits=1, error="failed", family="quick"),
        Trial(3, "d", {}, 1.0, wallSeconds=3, fits=3, family="quick"),
    ]
    assert expected_seconds(done, "quick") == 6
    assert expected_seconds(done, "slow") == 90
    assert expected_seconds(done, "new") == 1  # a fit of the last one
    assert expected_seconds([], "new") == 0


def test_a_trial_that_failed_says_nothing_of_the_seconds_of_others() -> None:
    slow = Trial(0, "a", {}, 1.0, wallSeconds=90, fits=3, family="slow")
    failed = Trial(1, "b", {}, None, wallSeconds=0.5, fits=0, error="failed at once", family="broken")
    for family in ("new", "broken"):
        assert expected_seconds([slow, failed], family) == 30  # a fit of the last one that succeeded
    assert expected_seconds([failed], "new") == expected_seconds([failed], "broken") == 0


def test_the_best_trial_is_the_first_of_the_lowest_and_failed_ones_come_last() -> None:
    explored = Explored(trials(None, 2.0, 1.0, 1.0))
    best = explored.best()
    assert best is not None
    assert best.number == 2
    assert [one.number for one in ranked(explored.trials)] == [2, 3, 1, 0]
    assert Explored(trials(None)).best() is None


def test_a_summary_comes_back_from_json() -> None:
    summary = SearchSummary(
        "GridSearch", "classification", ("logLoss", "error"), ("no", "yes"),
        (Trial(0, "a", {"x": [1]}, 0.5, 0.1, 0.4, 0.6, 0.2, 3.0, 1.0, 2), Trial(1, "b", {"x": [2]}, error="no luck")),
        "a", 10, 2, "print", "no candidates are left", 1.5,
    )  # fmt: skip
    assert SearchSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary
    assert summary.bestTrial.number == 0
    assert "trial 1 failed: no luck" in str(summary)
