"""The tables of those who come from elsewhere have every parameter that there is there.

`tests/test_site.py` looks at the other side of these tables, which is this package's.
"""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import pytest
from conftest import ROOT
from pyspark.ml.functions import predict_batch_udf
from pyspark.ml.torch.distributor import TorchDistributor

#: Parameters of `H2ODeepWaterEstimator`, as its source lists them.
DEEP_WATER = """
    activation autoencoder backend balance_classes cache_data categorical_encoding channels checkpoint
    class_sampling_factors classification_stop clip_gradient device_id distribution epochs export_checkpoints_dir
    export_native_parameters_prefix fold_assignment fold_column gpu hidden hidden_dropout_ratios ignore_const_cols
    ignored_columns image_shape input_dropout_ratio keep_cross_validation_fold_assignment keep_cross_validation_models
    keep_cross_validation_predictions learning_rate learning_rate_annealing max_after_balance_size max_runtime_secs
    mean_image_file mini_batch_size model_id momentum_ramp momentum_stable momentum_start network
    network_definition_file network_parameters_file nfolds offset_column overwrite_with_best_model problem_type
    regression_stop response_column score_duty_cycle score_each_iteration score_interval score_training_samples
    score_validation_samples seed shuffle_training_data sparse standardize stopping_metric stopping_rounds
    stopping_tolerance target_ratio_comm_to_comp train_samples_per_iteration training_frame validation_frame
    weights_column
"""


def there(page: str) -> set[str]:
    """Return the names in the left columns of a page's tables."""
    text = (ROOT / "docs" / "coming_from" / f"{page}.md").read_text()
    rows = re.findall(r"^\| (.+?) \| ", text, re.MULTILINE)
    return {name.strip("*()") for row in rows for name in re.findall(r"`([^`]+)`", row)}


def of_horovod(module: str, function: str = "__init__") -> set[str]:
    """Return the arguments of a function of Horovod's Spark package, from its source: Keras needs TensorFlow."""
    found = find_spec("horovod")
    assert found is not None
    assert found.origin is not None
    tree = ast.parse((Path(found.origin).parent / "spark" / f"{module}.py").read_text())
    first = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function)
    return {argument.arg for argument in first.args.args} - {"self"}


def left_out(page: str, names: set[str]) -> set[str]:
    return names - there(page)


def test_deep_water() -> None:
    assert not left_out("deep_water", set(DEEP_WATER.split()))
    assert left_out("deep_water", {"learning_rat"}) == {"learning_rat"}


def test_torch_distributor() -> None:
    names = {*signature(TorchDistributor).parameters, *signature(TorchDistributor.run).parameters} - {"self"}
    assert not left_out("torch_distributor", {name for name in names if not name.startswith("_")})
    assert not left_out("torch_distributor", set(signature(predict_batch_udf).parameters))


@pytest.mark.parametrize("module", ["torch/estimator", "keras/estimator"])
def test_estimators_of_horovod(module: str) -> None:
    names = of_horovod(module)
    assert len(names) > 35
    assert not left_out("horovod_spark", names)


@pytest.mark.parametrize("function", ["run", "run_elastic"])
def test_functions_of_horovod(function: str) -> None:
    # Old names for the same.
    assert not left_out("horovod_spark", of_horovod("runner", function) - {"min_np", "max_np"})
