"""The learners' Params as they are declared: each is whole, and one more line gives one more."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, fields
from typing import Any

import pytest
from conftest import start_session

from sparkwater.conversions import (
    ArrayToTensor,
    CategoryToTensor,
    ImageToTensor,
    TensorAssembler,
    TensorToArray,
    TensorToImage,
    TensorToVector,
    VectorToTensor,
)
from sparkwater.conversions.stages.accepts import above
from sparkwater.conversions.stages.settings import Setting, Settings, fields_of, setting
from sparkwater.conversions.tables.params import EncodingParams
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.tasks import (
    ClassificationTask,
    MultiLabelTask,
    OrdinalTask,
    QuantilesTask,
    ReconstructionTask,
    RegressionTask,
)
from sparkwater.ml import (
    AutoEncoder,
    DeepFeatures,
    DeepLearningClassifier,
    DeepLearningRegressor,
    ImageClassifier,
    ImageRegressor,
    Similarity,
)
from sparkwater.stacking import NonNegativeRegression, StackedEnsemble

STAGES: list[type[Any]] = [
    ArrayToTensor, AutoEncoder, CategoryToTensor, DeepFeatures, DeepLearningClassifier, DeepLearningRegressor,
    ImageClassifier, ImageRegressor, ImageToTensor,
    NonNegativeRegression, Similarity, StackedEnsemble, TensorAssembler, TensorToArray,
    TensorToImage, TensorToVector, VectorToTensor,
]  # fmt: skip
LIMITED = [(stage, name) for stage in STAGES for name, one in stage._settings.items() if one.accepts]

#: Whatever a setting accepts, it refuses one of these.
STRANGE = ("nonsense", [], [float("nan")], -1, 0, 1, 2, 2**63, float("nan"))


class ColdClassifier(ImageClassifier):
    """A classifier whose outputs are divided."""

    temperature: Setting[float] = setting(1.0, "what raw outputs are divided by", accepts=above(0), field="temperature")


@dataclass(frozen=True)
class ColdConfig(TrainConfig):
    temperature: float = 1.0


def test_one_line_gives_the_classifier_a_param(tmp_path) -> None:
    start_session("local[2]")
    stage = ColdClassifier(temperature=0.5, epochs=2)
    assert inspect.signature(ColdClassifier).parameters["temperature"].default == 1.0
    assert "temperature : float\n    What raw outputs are divided by. Accepted: numbers above 0. Default 1.0." in (
        inspect.getdoc(ColdClassifier) or ""
    )
    assert fields_of(stage, ColdConfig) == {**fields_of(stage, TrainConfig), "temperature": 0.5}
    with pytest.raises(ConfigurationError, match=r"temperature=-1\.0; accepted: numbers above 0"):
        ColdClassifier(temperature=-1).check_training_params()
    stage.save(str(tmp_path / "stage"))
    loaded = ColdClassifier.load(str(tmp_path / "stage"))
    assert (loaded.getTemperature(), loaded.getEpochs(), loaded.uid) == (0.5, 2.0, stage.uid)
    assert not loaded.isSet("batchSize")
    saved = json.loads(next((tmp_path / "stage" / "metadata").glob("part-*")).read_text().splitlines()[0])
    assert saved["paramMap"] == {"temperature": 0.5, "epochs": 2.0}


@pytest.mark.parametrize("stage", STAGES)
def test_constructor_and_docstring_have_each_param(stage: type[Settings]) -> None:
    names = {param.name for param in stage().params}
    parameters = inspect.signature(stage).parameters
    arguments = {name for name, one in stage._settings.items() if not one.is_param}
    assert set(parameters) == names | arguments
    text = inspect.getdoc(stage) or ""
    assert [line.split(" : ")[0] for line in text.splitlines() if " : " in line] == list(parameters)
    for name in names:
        default = parameters[name].default
        title = f"{name[0].upper()}{name[1:]}"
        assert callable(getattr(stage, f"set{title}"))
        assert default is None or stage().getOrDefault(name) == default
        assert inspect.getdoc(getattr(stage, f"get{title}"))


@pytest.mark.parametrize(("stage", "name"), LIMITED)
def test_each_limit_refuses_something_and_accepts_the_default(stage: type[Settings], name: str) -> None:
    one = stage.declared(name)
    assert one.accepts is not None
    stage().accepted_value(name)
    bad = next(value for value in STRANGE if _refused(one.accepts.test, value))
    made = stage()
    made._paramMap[made.getParam(name)] = bad
    with pytest.raises(ConfigurationError) as caught:
        made.check_settings()
    assert str(caught.value) == f"{name}={bad!r}; accepted: {one.accepted}"


def _refused(test: Any, value: Any) -> bool:
    try:
        return not test(value)
    except TypeError:  # of another type than the setting's
        return False


@pytest.mark.parametrize(
    ("stage", "tasks"),
    [
        (AutoEncoder, [ReconstructionTask]),
        (ImageClassifier, [ClassificationTask, MultiLabelTask, OrdinalTask]),
        (ImageRegressor, [RegressionTask, QuantilesTask]),
    ],
)
def test_the_fields_that_settings_name_are_there(stage: type[Any], tasks: list[type[Any]]) -> None:
    encoding = EncodingParams._settings  # fields of an encoder's plan
    named = [one.field for name, one in stage._settings.items() if one.field and name not in encoding]
    assert len(named) == len(set(named))
    of_tasks = {field.name for task in tasks for field in fields(task)}
    assert set(named) <= {field.name for field in fields(TrainConfig)} | of_tasks
    assert set(fields_of(stage(), TrainConfig)) == set(named) - of_tasks
    assert {name for task in tasks for name in fields_of(stage(), task)} == set(named) & of_tasks
