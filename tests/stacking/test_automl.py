"""AutoML: facts on rows, the order of trials, the budget, and one run on raw columns."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import start_session
from mixed_tables import mixed_frame
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.ml.sklearn.files import dump_estimator, foreign_types
from sparkwater.stacking import AutoML, AutoMLModel
from sparkwater.stacking.automl.choosing import best_of_family, refit_seconds
from sparkwater.stacking.automl.data import Inputs, LabelFacts, as_names, look_at_label, look_at_parts
from sparkwater.stacking.automl.families import FAMILIES, Family, Setup, choose
from sparkwater.stacking.automl.proposals import Proposals, Start
from sparkwater.stacking.automl.sklearn_families import columns_by_role, sklearn_families
from sparkwater.stacking.automl.summary import AutoMLSummary
from sparkwater.stacking.level_one.learners import Learner
from sparkwater.stacking.search.budget import Budget
from sparkwater.stacking.search.records import Trial
from sparkwater.stacking.search.space import Choice


@pytest.fixture(scope="module")
def frame() -> DataFrame:
    """Rows of two kinds, and three of another one, for which there are three folds at most."""
    rows = mixed_frame(start_session("local[2]"), 80).drop("day")
    return rows.withColumn("kind", F.when(F.col("id") < 3, "odd").otherwise(F.col("kind"))).cache()


@pytest.mark.parametrize(
    ("labels", "kind", "task", "renamed"),
    [
        (["a", "b", "b", "a", None], "string", "classification", False),
        ([True, False, True, False], "boolean", "classification", False),
        ([0.0, 1.0, 2.0, 0.0, 1.0, 2.0], "double", "classification", False),
        ([1, 2, 1, 2], "int", "classification", True),
        ([-1.0, 1.0, -1.0, 1.0], "double", "classification", True),
        ([0.5, 1.0, 0.5, 1.0], "double", "regression", False),
        (list(range(21)) * 2, "int", "regression", False),
        (list(range(20)) * 2, "int", "classification", False),
    ],
)
def test_the_label_says_what_is_to_be_learned(labels: list[Any], kind: str, task: str, renamed: bool) -> None:
    spark = start_session("local[2]")
    rows = spark.createDataFrame([(value,) for value in labels], f"label {kind}")
    facts = look_at_label(rows, "label", "auto")
    assert (facts.kind, facts.renamed, facts.rows) == (task, renamed, len(labels) - labels.count(None))
    assert facts.distinct == len({value for value in labels if value is not None})
    if renamed:
        assert {row.label for row in as_names(rows, "label").collect()} == {str(int(value)) for value in labels}


def test_numbers_that_are_no_classes_have_no_name() -> None:
    labels = [2.0, -1.0, 1.5, 1e300, float("nan"), float("inf"), None]
    rows = start_session("local[2]").createDataFrame([(value,) for value in labels], "label double")
    assert [row.label for row in as_names(rows, "label").collect()] == ["2", "-1", "1.5", "1.0E300", None, None, None]


def test_labels_that_can_t_be_learned_are_refused() -> None:
    spark = start_session("local[2]")
    with pytest.raises(DataError, match="a class has one row only"):
        look_at_label(spark.createDataFrame([(1,), (1,), (2,)], "label int"), "label", "auto")
    with pytest.raises(DataError, match="no rows with a label"):
        look_at_label(spark.createDataFrame([], "label int"), "label", "auto")
    with pytest.raises(SchemaError, match="accepted for regression: numbers"):
        look_at_label(spark.createDataFrame([("a",)], "label string"), "label", "regression")
    with pytest.raises(SchemaError, match="accepted: numbers, strings, booleans"):
        look_at_label(spark.createDataFrame([([1],)], "label array<int>"), "label", "auto")


def test_small_tables_and_rare_classes_have_fewer_folds() -> None:
    assert LabelFacts("regression", 1999, 100).num_folds() == 5
    assert LabelFacts("regression", 2000, 100).num_folds() == 8
    assert LabelFacts("classification", 2000, 3, fewest=6).num_folds() == 6
    assert LabelFacts("classification", 100, 3, fewest=2).num_folds() == 2
    assert LabelFacts("regression", 2000, 100).num_folds(4) == 4  # groups
    assert LabelFacts("regression", 2000, 100).num_folds(1) == 2  # which is refused where folds are assigned


def test_facts_on_groups_and_times_are_those_of_the_rows() -> None:
    spark = start_session("local[2]")
    rows = spark.range(10).selectExpr(
        "id", "if(id < 6, 'a', concat('b', id)) as site", "date_add('2026-01-01', int(id)) as day"
    )
    assert look_at_parts(rows, None, None) is None
    groups, times = look_at_parts(rows, "site", None), look_at_parts(rows, None, "day")
    assert (groups.count, times.count) == (5, 10)
    assert groups.said == "folds hold whole groups: 5 in column 'site', the largest has 6 of 10 rows"
    assert "10 different ones in column 'day', from 2026-01-01 to 2026-01-10" in times.said


def proposals(seconds: float, now: list[float], reserve: float) -> Proposals:
    budget = Budget(seconds=seconds, clock=lambda: now[0], started=0.0, reserve=lambda: reserve)
    starts = [
        Start(Family(name, dict, {"x": [1, 2], "y": [3]}), Learner(name, None, "regression", "prediction"))
        for name in ("cheap", "middle", "dear")
    ]
    return Proposals(starts, 7, budget)


def run(seconds: float, values: dict[str, float], wall: dict[str, float], reserve: float = 0.0) -> list[Trial]:
    """Return the trials of proposals whose metrics and seconds are known."""
    now, trials = [0.0], []
    propose = proposals(seconds, now, reserve)
    while found := propose(trials, 1):
        (one,) = found
        now[0] += wall[one.family]
        trials.append(
            Trial(len(trials), one.learner.name, one.params, values[one.family], wallSeconds=wall[one.family],
                  fits=5, family=one.family)
        )  # fmt: skip
    return trials


def test_families_come_from_cheap_to_dear_and_then_draws_around_the_best() -> None:
    values, wall = {"cheap": 3.0, "middle": 1.0, "dear": 2.0}, {"cheap": 1.0, "middle": 2.0, "dear": 3.0}
    trials = run(1e6, values, wall)
    names = [one.learner for one in trials]
    assert names[:6] == ["cheap", "middle", "dear", "middle-2", "dear-2", "cheap-2"]
    assert len(names) == 3 + 3 * 2  # each has two combinations
    for family in values:
        drawn = [json.dumps(one.params) for one in trials if one.family == family]
        assert len(set(drawn)) == len(drawn) == 3
    assert run(1e6, values, wall) == trials


def test_no_trial_begins_that_isn_t_expected_to_end_in_time() -> None:
    values, wall = {"cheap": 1.0, "middle": 2.0, "dear": 3.0}, {"cheap": 10.0, "middle": 20.0, "dear": 30.0}
    # Of 75 s 60 are gone after the three: another of 10 fits, and none of 20.
    assert [one.learner for one in run(75, values, wall)] == [
        "cheap", "middle", "dear", "cheap-2",
    ]  # fmt: skip
    # A family of unknown cost begins if a fit like the last ones would end, before what is reserved.
    names = [one.learner for one in run(31, values, wall)]
    assert names == ["cheap", "middle"]
    names = [one.learner for one in run(31, values, wall, reserve=20.0)]
    assert names == ["cheap"]


def test_time_is_reserved_for_a_fit_of_each_family_s_best() -> None:
    trials = [
        Trial(0, "a", {}, 2.0, seconds=8, fits=5, family="one"),
        Trial(1, "b", {}, 1.0, seconds=16, fits=5, family="one"),
        Trial(2, "c", {}, 3.0, seconds=4, fits=5, family="two"),
        Trial(3, "d", {}, None, seconds=99, fits=1, error="no", family="three"),
    ]
    assert best_of_family(trials) == ["b", "c"]
    assert refit_seconds(trials) == 3 + (1 + 4) + (1 + 1)
    assert refit_seconds([]) == 0


def test_estimators_of_tables_are_saved_without_foreign_classes(frame: DataFrame) -> None:
    pandas = pytest.importorskip("pandas")
    names = ("size", "count", "colour", "flag")
    assert columns_by_role(frame.schema, names) == (["size", "count", "flag"], ["colour"])
    assert columns_by_role(mixed_frame(frame.sparkSession, 2).schema, ("size", "day")) is None
    rows = pandas.DataFrame({"size": [1.0, None, 3.0, 4.0] * 15, "colour": ["red", "green", None, "red"] * 15})
    for kind, label in (("classification", [0, 1] * 30), ("regression", list(range(60)))):
        setup = Setup(LabelFacts(kind, 60, 2, 30), Inputs(names, None, ""), "label", 1, 1)
        for family in sklearn_families(setup, ["size"], ["colour"]):
            for share in (0.0, 0.99):
                values = {name: Choice.of(given).at(share) for name, given in family.space.items()}
                learner = family.make(values)
                fitted = learner.getEstimator().fit(rows, label)
                assert foreign_types(dump_estimator(fitted), "") == []
                assert len(fitted.predict(rows)) == 60


@pytest.fixture(scope="module")
def found(frame: DataFrame) -> AutoMLModel:
    search = AutoML(
        labelCol="kind", idCol="id", ignoredCols=["price"], include=["glm", "forest"], maxModels=3, seed=3,
        calibration="temperature",
    )  # fmt: skip
    return search.fit(frame)


def test_one_call_gives_a_leaderboard_and_a_model_of_raw_columns(frame: DataFrame, found: AutoMLModel) -> None:
    lines = found.leaderboard.collect()
    assert [one.value for one in lines] == sorted(one.value for one in lines)
    assert {one.family for one in lines} == {"glm", "forest", "ensemble"}
    learners = [one for one in lines if one.family != "ensemble"]
    assert len(learners) == 3
    assert all(one.low < one.value < one.high and one.fitSeconds > 0 and one.msPer1000Rows > 0 for one in learners)
    assert sum(one.weight for one in learners) == pytest.approx(1)
    assert found.summary.chosen in {one.model for one in lines}
    chosen = next(one for one in lines if one.model == found.summary.chosen)
    assert chosen.value <= min(one.value for one in learners)
    assert (found.summary.task, found.summary.folds, found.summary.rows) == ("classification", 3, 80)
    assert found.bestModel.fitted.calibration.form == "logPool"
    calibrated = "calibration of its probabilities: temperature"
    for word in ("colour", "category", found.summary.chosen, "maxModels=3 were tried", calibrated):
        assert word in str(found.summary)
    assert "price" not in found.summary.found
    scored = found.transform(frame.drop("kind", "price"))
    right = scored.join(frame.select("id", "kind"), "id").where(F.col("predictedLabel") == F.col("kind"))
    assert right.count() > 65
    measured = found.evaluate(frame)
    assert 1 - measured.score().second == pytest.approx(right.count() / 80)
    classes = F.array(*map(F.lit, found.bestModel.classes))
    place = (F.array_position(classes, F.col("kind")) - 1).cast("int")
    own = F.avg(-F.log(F.get(vector_to_array("probability"), place)))
    assert measured.score().value == pytest.approx(found.transform(frame).agg(own).first()[0])  # calibrated ones
    numbers = found.evaluate(frame.withColumn("kind", F.lit(3)))  # named, as the training's numbers would be
    assert numbers.score().second == 1.0


def test_the_model_is_saved_and_loaded(frame: DataFrame, found: AutoMLModel, tmp_path) -> None:
    found.save(str(tmp_path / "model"))
    loaded = AutoMLModel.load(str(tmp_path / "model"))
    assert loaded.summary == found.summary
    assert AutoMLSummary.from_dict(json.loads(json.dumps(found.summary.to_dict()))) == found.summary
    assert loaded.levelOne is None
    columns = ["id", "predictedLabel", "probability"]
    assert loaded.transform(frame).select(columns).collect() == found.transform(frame).select(columns).collect()


def test_time_for_one_learner_only_gives_that_learner_and_says_so(frame: DataFrame) -> None:
    search = AutoML(
        labelCol="price", ignoredCols=["kind"], idCol="id", include=["glm", "forest"], maxRuntimeSecs=0.001,
        keepLevelOne=False,
    )  # fmt: skip
    model = search.fit(frame)
    assert [one.learner for one in model.summary.trials] == ["glm"]
    assert model.summary.chosen == "glm"
    assert "was enough for one learner only" in str(model.summary)
    assert (model.summary.task, model.summary.folds, model.levelOne) == ("regression", 5, None)
    assert model.transform(frame.drop("price", "kind")).where("prediction is null").count() == 0


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"maxRuntimeSecs": 0.0}, "maxRuntimeSecs=0 and maxModels=0: the search would never end"),
        ({"include": ["trees"]}, r"include=\['trees'\]; accepted: a list of glm, forest"),
        ({"include": ["glm"], "exclude": ["glm"]}, "leave no family; there are glm"),
        ({"groupCol": "id", "timeCol": "size"}, "accepted: one of them"),
        ({"task": "ranking"}, "task='ranking'; accepted: auto, classification, regression"),
        ({"maxModels": -1}, "maxModels=-1"),
    ],
)
def test_refusals_come_before_any_job(frame: DataFrame, params: dict[str, Any], message: str) -> None:
    context = frame.sparkSession.sparkContext
    context.setJobGroup(f"refusal {message}", "")
    try:
        with pytest.raises(ConfigurationError, match=message):
            AutoML(labelCol="kind", **params).fit(frame)
        assert not context.statusTracker().getJobIdsForGroup(f"refusal {message}")
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)


def test_a_calibration_of_numbers_is_refused_before_any_fit(frame: DataFrame) -> None:
    with pytest.raises(ConfigurationError, match="calibration='auto' is for probabilities; regression has none"):
        AutoML(labelCol="price", calibration="auto").fit(frame)


def test_families_are_included_and_excluded() -> None:
    families = [Family(name, dict, {}) for name in FAMILIES]
    assert [one.name for one in choose(families, [], [])] == list(FAMILIES)
    assert [one.name for one in choose(families, ["glm", "tabm"], ["tabm"])] == ["glm"]
