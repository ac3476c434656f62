"""Recipes of learners of tables, as values: no Spark session."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
import torch
from conftest import ROOT

from sparkwater.conversions import TableToTensor
from sparkwater.conversions.tables.encoding.encoder import TableLayout
from sparkwater.conversions.tables.params import EncodingParams
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.sources import asked_arguments
from sparkwater.gpu.tasks import ClassificationTask, RegressionTask
from sparkwater.ml import AutoEncoder, DeepLearningClassifier, DeepLearningRegressor, ImageClassifier
from sparkwater.ml.tables.choice import table_network
from sparkwater.ml.tables.recipes import RECIPES


@pytest.mark.parametrize("kind", [DeepLearningClassifier, DeepLearningRegressor])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_of_params_and_arguments_that_there_are(kind: type[Any], name: str) -> None:
    recipe = RECIPES[name].of(kind.kind)
    learner = kind(recipe=name)
    learner.check_training_params()
    assert {param: learner.getOrDefault(param) for param in recipe.params} == recipe.params
    assert learner.getNetwork() == recipe.network
    assert not learner.isSet("network")
    assert {*recipe.arguments, *recipe.names.values()} <= asked_arguments(find_network(recipe.network))
    TableToTensor(**recipe.encoding).check_settings()
    json.dumps(dict(recipe.arguments))


@pytest.mark.parametrize("kind", [DeepLearningClassifier, DeepLearningRegressor])
def test_members_are_averaged_on_the_scale_of_the_link(kind: type[Any]) -> None:
    """One output, as of two classes in an order, has no distribution over it."""
    entry = table_network(kind(recipe="tabm", hidden=[8]), TableLayout(numbers=3, categories=()))
    network = build_network(entry, (3,), 1, seed=1).eval()
    with torch.no_grad():
        outputs = network(torch.randn(20, 3, generator=torch.Generator().manual_seed(1)))
    assert outputs.std() > 1e-3


def test_a_recipe_gives_way_to_what_is_set_and_to_another_recipe() -> None:
    learner = DeepLearningRegressor(learningRate=0.01, recipe="h2o")
    assert (learner.getLearningRate(), learner.getRho(), learner.getOptimizer()) == (0.01, 0.9227, "adadelta")
    other = learner.copy({learner.recipe: "realmlp"})
    assert (other.getLearningRate(), other.getRho(), other.getOptimizer()) == (0.01, 0.9, "adamw")
    assert (learner.getOptimizer(), learner.getRecipe()) == ("adadelta", "h2o")
    assert other.clear(other.learningRate) is None
    assert other.getLearningRate() == 0.2
    assert DeepLearningClassifier().getLearningRate() == 0.04
    assert "recipe" in inspect.signature(DeepLearningClassifier).parameters
    assert "(default: realmlp, current: h2o)" in learner.explainParam("recipe")


def test_smoothing_is_of_classes_without_an_order_and_of_one_recipe() -> None:
    learner = DeepLearningClassifier()
    assert learner.getLabelSmoothing() == 0.005
    assert learner.copy({learner.recipe: "mlp"}).getLabelSmoothing() == 0.0
    assert learner._choices()["labelSmoothing"] == 0.005
    assert "labelSmoothing" not in learner.setOrdinal(True)._choices()
    assert "labelSmoothing" not in DeepLearningRegressor()._choices()


def test_a_recipe_s_treatment_of_columns_gives_way_to_what_is_set() -> None:
    learner = DeepLearningRegressor(recipe="h2o", imputation="median")
    own = {"scaling": "standard", "imputation": "median", "missingIndicator": False, "oneHotLevels": 0}
    assert {name: learner.encoding()[name] for name in own} == own
    other = learner.copy({learner.recipe: "realmlp"}).setTimeZone("Europe/Berlin")
    assert {name: other.encoding()[name] for name in own} == {
        "scaling": "robust", "imputation": "median", "missingIndicator": True, "oneHotLevels": 0,
    }  # fmt: skip
    assert other.set_encoding() == {"imputation": "median", "timeZone": "Europe/Berlin"}
    assert learner.encoding().keys() == {*EncodingParams._settings} <= {*TableToTensor._settings}
    assert AutoEncoder().encoding()["oneHotLevels"] == 0


def test_h2o_s_settings_become_arguments_of_its_network() -> None:
    learner = DeepLearningRegressor(recipe="h2o", activation="maxout_with_dropout", inputDropoutRatio=0.1)
    assert table_network(learner, None).arguments == {
        "hidden": [200, 200],
        "activation": "maxout",
        "hidden_dropouts": [0.5, 0.5],
        "input_dropout": 0.1,
    }
    assert table_network(learner.setHidden([5]), None).arguments["hidden_dropouts"] == [0.5]
    ratios = learner.setHiddenDropoutRatios([0.2]).setNetworkArguments({"initial_weights": "normal"})
    assert table_network(ratios, None).arguments["hidden_dropouts"] == [0.2]
    assert table_network(ratios, None).arguments["initial_weights"] == "normal"


def test_a_table_has_no_params_of_pictures() -> None:
    pictures, tables = ({param.name for param in kind().params} for kind in (ImageClassifier, DeepLearningClassifier))
    assert pictures - tables == {"augmentation", "featuresCols", "imageShape", "inputMean", "inputStd"}
    assert tables - pictures == {
        "recipe", "inputCols", "ignoredCols", "hidden", "activation", "inputDropoutRatio", "hiddenDropoutRatios",
        *EncodingParams.encoding_names(),
    }  # fmt: skip


def test_the_documentation_has_the_values_of_each_recipe() -> None:
    text = (ROOT / "docs" / "deep_learning.md").read_text()
    rows = {name: cells.split(" | ") for name, cells in re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE)}
    both = [[recipe.of(kind) for kind in ("classification", "regression")] for recipe in RECIPES.values()]
    of_kind = [[{**one.params, **one.encoding} for one in kinds] for kinds in both]
    for name in {name for kinds in of_kind for params in kinds for name in params}:
        shown = [[_shown(params[name]) for params in kinds if name in params] for kinds in of_kind]
        cells = ["; numbers: ".join(dict.fromkeys(values)) for values in shown]
        assert rows[name] == cells, f"docs/deep_learning.md: | `{name}` | {' | '.join(cells)} |"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


#: Arguments of H2ODeepLearningEstimator, of H2O 3.46.
H2O_ARGUMENTS = """
activation adaptive_rate auc_type autoencoder average_activation balance_classes categorical_encoding checkpoint
class_sampling_factors classification_stop col_major custom_metric_func diagnostics distribution
elastic_averaging elastic_averaging_moving_rate elastic_averaging_regularization epochs epsilon
export_checkpoints_dir export_weights_and_biases fast_mode fold_assignment fold_column force_load_balance
gainslift_bins hidden hidden_dropout_ratios huber_alpha ignore_const_cols ignored_columns initial_biases
initial_weight_distribution initial_weight_scale initial_weights input_dropout_ratio
keep_cross_validation_fold_assignment keep_cross_validation_models keep_cross_validation_predictions l1 l2 loss
max_after_balance_size max_categorical_features max_confusion_matrix_size max_runtime_secs max_w2
mini_batch_size missing_values_handling momentum_ramp momentum_stable momentum_start
nesterov_accelerated_gradient nfolds offset_column overwrite_with_best_model pretrained_autoencoder
quantile_alpha quiet_mode rate rate_annealing rate_decay regression_stop replicate_training_data reproducible
response_column rho score_duty_cycle score_each_iteration score_interval score_training_samples
score_validation_samples score_validation_sampling seed shuffle_training_data single_node_mode sparse
sparsity_beta standardize stopping_metric stopping_rounds stopping_tolerance target_ratio_comm_to_comp
train_samples_per_iteration training_frame tweedie_power use_all_factor_levels validation_frame
variable_importances weights_column
"""


def test_the_documentation_has_a_counterpart_of_each_of_h2o_s_arguments_or_the_reason_why_there_is_none() -> None:
    text = (ROOT / "docs" / "deep_learning.md").read_text().split("## From H2O's Deep Learning")[1]
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", text, re.MULTILINE)
    named = [name for cells, _ in rows for name in re.findall(r"`(\w+)(?:=.*?)?`", cells)]
    assert sorted({*H2O_ARGUMENTS.split()} - {*named}) == []
    assert [cells for cells, here in rows if here.startswith("none") and not here.startswith("none: ")] == []
    kinds = (DeepLearningClassifier, DeepLearningRegressor, AutoEncoder)
    known = {param.name for kind in kinds for param in kind().params}
    known |= {*ClassificationTask.METRICS, *RegressionTask.METRICS}
    said = {name for _, here in rows for name in re.findall(r"`([a-z]+[A-Z]\w+)[=`]", here)}
    assert sorted(said - known) == []
    assert len(said) > 30
