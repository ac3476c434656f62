"""Losses of regressions by their distribution: those of scikit-learn and torch, chosen by the learners."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import start_session
from pyspark.ml.functions import array_to_vector
from pyspark.ml.regression import GeneralizedLinearRegression, LinearRegression
from pyspark.sql import functions as F
from sklearn.metrics import mean_gamma_deviance, mean_pinball_loss, mean_poisson_deviance, mean_tweedie_deviance

from sparkwater.gpu.tasks.losses import half_tweedie_deviance
from sparkwater.ml import DeepLearningRegressor
from sparkwater.stacking import StackedEnsemble
from sparkwater.stacking.combined import combiners_of
from sparkwater.stacking.combiners.blocks import Block, Layout, LocalBlocks
from sparkwater.stacking.combiners.choice import choose
from sparkwater.stacking.level_one.deviance import SQUARED, Deviance, deviance_of
from sparkwater.stacking.level_one.learners import Learner

RNG = np.random.default_rng(0)
MEAN = RNG.uniform(0.2, 6, 400)
COUNT = RNG.poisson(MEAN).astype(float)
SIZE = RNG.gamma(2.0, MEAN / 2)

CASES = [
    (Deviance("poissonDeviance"), COUNT, mean_poisson_deviance(COUNT, MEAN) / 2),
    (Deviance("gammaDeviance"), SIZE, mean_gamma_deviance(SIZE, MEAN) / 2),
    (Deviance("tweedieDeviance", 1.5), COUNT, mean_tweedie_deviance(COUNT, MEAN, power=1.5) / 2),
    (Deviance("pinball", 0.9), SIZE, mean_pinball_loss(SIZE, MEAN, alpha=0.9)),
    (SQUARED, COUNT, ((COUNT - MEAN) ** 2).mean()),
]  # fmt: skip


@pytest.mark.parametrize(("deviance", "label", "expected"), CASES)
def test_losses_are_those_of_scikit_learn(deviance: Deviance, label: np.ndarray, expected: float) -> None:
    assert deviance.rows(MEAN, label).mean() == pytest.approx(expected)


def test_losses_are_those_that_networks_train_by() -> None:
    given = [torch.tensor(MEAN).log(), torch.tensor(COUNT)]
    # Tweedie's has no constant in either.
    np.testing.assert_allclose(Deviance("tweedieDeviance", 1.5).rows(MEAN, COUNT), half_tweedie_deviance(*given, 1.5))


def test_columns_are_the_losses_of_numpy_also_for_predictions_that_are_no_means() -> None:
    given = np.concatenate([MEAN[:20], [0.0, -3.0]])
    labels = [np.append(label[:20], [1.0, 2.0]) for _, label, _ in CASES]
    lines = [tuple(map(float, row)) for row in np.column_stack([given, *labels])]
    frame = start_session("local[2]").createDataFrame(lines, ["given", *(f"label{i}" for i in range(len(CASES)))])
    columns = [case[0].column(F.col("given"), F.col(f"label{i}")).alias(f"loss{i}") for i, case in enumerate(CASES)]
    found = np.array(frame.select(*columns).collect())
    assert np.isfinite(found).all()
    for place, (deviance, _, _) in enumerate(CASES):
        np.testing.assert_allclose(found[:, place], deviance.rows(given, labels[place]), rtol=1e-9, atol=1e-12)


def learner(stage) -> Learner:
    return Learner("one", stage, "regression", "prediction")


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (lambda: [DeepLearningRegressor(distribution="poisson"), LinearRegression()], Deviance("poissonDeviance")),
        (lambda: [DeepLearningRegressor(distribution="quantile", quantileAlpha=0.9)], Deviance("pinball", 0.9)),
        (lambda: [DeepLearningRegressor(distribution="quantile", quantiles=[0.1, 0.4, 0.9])], Deviance("pinball", 0.4)),
        (lambda: [DeepLearningRegressor(distribution="tweedie", tweediePower=1.2)], Deviance("tweedieDeviance", 1.2)),
        (lambda: [DeepLearningRegressor(distribution="laplace")], Deviance("pinball", 0.5)),
        (lambda: [GeneralizedLinearRegression(family="gamma"), DeepLearningRegressor()], Deviance("gammaDeviance")),
        (lambda: [GeneralizedLinearRegression(family="poisson"), DeepLearningRegressor(distribution="poisson")],
         Deviance("poissonDeviance")),
        (lambda: [GeneralizedLinearRegression(family="poisson"), DeepLearningRegressor(distribution="gamma")], SQUARED),
        (lambda: [LinearRegression(), DeepLearningRegressor(), GeneralizedLinearRegression()], SQUARED),
        (lambda: [DeepLearningRegressor(distribution="huber")], SQUARED),
    ],
)  # fmt: skip
def test_the_loss_follows_from_the_distribution_that_learners_are_set_to(stages, expected: Deviance) -> None:
    start_session("local[2]")
    assert deviance_of([learner(stage) for stage in stages()]) == expected


def test_quantiles_are_combined_by_their_own_loss() -> None:
    """Learners of the mean win by squared errors, those of the quantile by its loss."""
    label = RNG.exponential(1.0, 500)
    outputs = np.stack([np.full(500, label.mean()), np.full(500, 2.0), np.full(500, 3.0)], axis=1)[:, :, None]
    blocks = {
        deviance: Block(outputs, label, np.ones(500), np.arange(500) % 5, False, deviance)
        for deviance in (SQUARED, Deviance("pinball", 0.9))
    }
    chosen = {}
    for deviance, block in blocks.items():
        layout = Layout(3, 1, False, deviance)
        methods = {name: one.fit_of for name, one in combiners_of("selection", "regression", 1).items()}
        chosen[deviance] = choose(LocalBlocks([block]), layout, methods, 5)
    assert chosen[SQUARED].combination.weights[0] > 0.9
    value = outputs[0, :, 0] @ chosen[Deviance("pinball", 0.9)].combination.weights
    assert value == pytest.approx(np.quantile(label, 0.9), abs=0.1)


def test_an_ensemble_of_count_regressions_is_measured_by_their_deviance(tmp_path) -> None:
    frame = start_session("local[2]").range(90).selectExpr(
        "id", "array(id % 5 * 1.0D) as numbers", "cast(floor(exp(id % 5 / 3) + id % 3) as double) as label"
    )  # fmt: skip
    frame = frame.withColumn("features", array_to_vector("numbers")).drop("numbers")
    learners = {
        "glm": GeneralizedLinearRegression(family="poisson", maxIter=5),
        "line": LinearRegression(),
    }
    model = StackedEnsemble(learners=learners, numFolds=2, idCol="id", finalModels="average", keepLevelOne=True).fit(
        frame
    )
    assert model.summary.metrics == ("poissonDeviance", "mae")
    scores = {one.learner: one.value for one in model.summary.scores}
    rows = model.levelOne.frame.collect()
    expected = Deviance("poissonDeviance").rows(
        np.array([row.glm for row in rows]), np.array([row.label for row in rows])
    )
    assert scores["glm"] == pytest.approx(expected.mean())
    model.save(str(tmp_path / "model"))
    loaded = type(model).load(str(tmp_path / "model"))
    assert loaded.fitted.reads.task == model.fitted.reads.task
    assert "poissonDeviance" in str(loaded.summary)
