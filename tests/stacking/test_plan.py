from __future__ import annotations

import threading

import pytest
from pyspark.errors import AnalysisException, IllegalArgumentException, ParseException
from pyspark.ml import Pipeline
from pyspark.sql import SparkSession
from tables import MeanRegressor

from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.ml import ImageClassifier
from sparkwater.stacking import StackedEnsemble
from sparkwater.stacking.level_one.fit_plan import plan_fits
from sparkwater.stacking.level_one.fits import retry, run_side_by_side
from sparkwater.stacking.level_one.learners import Learner, set_apart
from sparkwater.stacking.level_one.records import FitRecord
from sparkwater.stacking.refit import with_mean_epochs


def network(name: str, workers: int) -> Learner:
    return Learner(name, ImageClassifier(numWorkers=workers), "classification", "probability")


TABLE = Learner("mean", MeanRegressor(), "regression", "prediction")


@pytest.mark.parametrize(
    ("workers", "folds", "slots", "width", "parallelism"),
    [(2, 5, 2, 1, 2), (2, 5, 8, 2, 4), (4, 5, 16, 4, 4), (4, 5, 4, 1, 4), (1, 2, 8, 1, 4), (2, 1, 2, 2, 1)],
)
def test_narrow_fits_where_they_fill_the_slots(workers, folds, slots, width, parallelism) -> None:
    plan = plan_fits([TABLE, network("net", workers)], folds, slots)
    assert [learner.name for learner in plan.learners] == ["net", "mean"]
    assert plan.learners[0].num_workers == width
    assert plan.parallelism == parallelism
    assert f"{2 * folds} fits (2 learners, {folds} each) on {slots} slots, {parallelism} at a time" in str(plan)
    assert f"net: {width} worker(s) a fit" in str(plan)
    assert plan_fits([network("net", workers)], folds, slots).learners[0].num_workers == width


def test_fits_without_two_folds_are_as_wide_as_those_without_one() -> None:
    """Of 5 folds there are 10 pairs, which would fill 8 slots by one worker each."""
    plan = plan_fits([network("net", 2)], 10, 8, folds=5)
    assert (plan.learners[0].num_workers, plan.parallelism) == (2, 4)
    assert plan_fits([network("net", 2)], 10, 5, folds=5).learners[0].num_workers == 1


def test_parallelism_is_the_users() -> None:
    assert plan_fits([TABLE], 5, 2, 4).parallelism == 4
    with pytest.raises(ConfigurationError, match="parallelism=0; accepted: integers from 1 up"):
        plan_fits([TABLE], 5, 2, 0)


def test_what_would_be_learned_has_the_same_digest_whatever_the_uid() -> None:
    assert network("a", 2).digest == network("b", 2).digest != network("a", 3).digest


def test_networks_that_begin_with_other_weights_have_other_digests() -> None:
    modules = [build_network(find_network("lenet"), (1, 16, 16), 3, seed) for seed in (1, 1, 2)]
    first, same, other = (
        Learner("net", ImageClassifier(network=module), "classification", "probability").digest for module in modules
    )
    assert first == same != other


def test_learners_that_stopped_early_train_on_all_rows_for_the_mean_of_their_epochs() -> None:
    fits = [FitRecord("net", str(fold), 10, 1.0, 1.0, 1, epochs) for fold, epochs in enumerate((4.0, 6.0, 8.0))]
    stops = network("net", 1).with_params(stoppingRounds=2, validationIndicatorCol="held")
    last = with_mean_epochs(stops, fits).stage
    assert (last.getEpochs(), last.getStoppingRounds(), last.isSet("validationIndicatorCol")) == (6, 0, False)
    assert stops.stage.isSet("validationIndicatorCol")
    assert with_mean_epochs(network("net", 1), fits).stage.getEpochs() == 10


def test_mistakes_are_not_retried() -> None:
    tries = []

    def work() -> int:
        tries.append(1)
        raise DataError("a null") if len(tries) == 2 else RuntimeError("lost")

    with pytest.raises(DataError):
        retry(work, "the fit")
    with pytest.raises(RuntimeError):
        retry(work, "the fit")
    assert len(tries) == 4
    assert retry(lambda: 5, "the fit") == (5, 1)


@pytest.mark.parametrize(
    "mistake",
    [ConfigurationError, DataError, SchemaError, AnalysisException, IllegalArgumentException, ParseException,
     TypeError, NotImplementedError],
)  # fmt: skip
def test_a_mistake_at_the_first_attempt_is_the_last(mistake: type[Exception]) -> None:
    tries = []

    def work() -> int:
        tries.append(1)
        raise mistake("a null")

    with pytest.raises(mistake):
        retry(work, "the fit")
    assert len(tries) == 1


def test_nothing_is_started_after_a_failure_and_what_runs_comes_to_its_end(spark: SparkSession) -> None:
    done, first = [], threading.Event()

    def fail() -> None:
        first.wait(10)
        raise ValueError("no")

    def finish() -> None:
        first.set()
        threading.Event().wait(0.3)
        done.append("finished")

    with pytest.raises(ValueError, match="no"):
        run_side_by_side([fail, finish, lambda: done.append("started late")], 2)
    assert done == ["finished"]
    assert run_side_by_side([lambda: 1, lambda: 2, lambda: 3], 2) == [1, 2, 3]


def test_ensembles_in_an_ensemble_have_seeds_of_their_own_at_each_depth() -> None:
    inmost = StackedEnsemble(learners={"mean": MeanRegressor()}, seed=3)
    inner = StackedEnsemble(learners={"inmost": inmost, "mean": MeanRegressor()}, seed=5)
    given = Learner("net", Pipeline(stages=[inner]), "regression", "prediction")
    (apart,) = set_apart(given).stage.getStages()
    deep = apart.getLearners()["inmost"]
    assert (apart.getSeed(), deep.getSeed()) == (5 + 1_000_003, 3 + 1_000_003)
    assert (inner.getSeed(), inmost.getSeed()) == (5, 3)
    assert set_apart(given).digest == set_apart(given).digest != given.digest
    assert set_apart(TABLE) == TABLE
