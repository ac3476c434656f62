"""One way to save, load and consent for all stages: formats, files of earlier code, and what is inside of others."""

from __future__ import annotations

import importlib
import json
import pkgutil
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.regression import LinearRegression
from pyspark.ml.util import MLReader, MLWritable, MLWriter
from tables import MeanRegressor

import sparkwater
from sparkwater.conversions import TensorToVector
from sparkwater.conversions.stages.saving import FORMAT, SavedStage, StageReader, StageWriter
from sparkwater.errors import CheckpointError, ConfigurationError, UnsafeLoadError
from sparkwater.ml import ImageClassifier, ImageClassifierModel
from sparkwater.stacking import StackedEnsemble, StackedEnsembleModel
from sparkwater.stacking.level_one.learners import Learner

#: Saved on 25 November 2026 by the code before there were format numbers; a network of two hidden units.
OLD = ROOT / "tests" / "data" / "saved_2026_11_25"
PATH = "user_networks:small"


def change_metadata(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = next((folder / "metadata").glob("part-*"))
    fields = json.loads(file.read_text())
    change(fields)
    file.write_text(json.dumps(fields))
    for checksum in file.parent.glob(".*.crc"):
        checksum.unlink()


@pytest.mark.parametrize(
    ("name", "stage"),
    [("image_classifier_model", ImageClassifierModel), ("stacked_ensemble_model", StackedEnsembleModel)],
)
def test_models_of_before_the_format_number_are_refused_at_once(spark, tmp_path, name, stage) -> None:
    shutil.copytree(OLD / name / "metadata", tmp_path / name / "metadata")
    for folder in (OLD / name, tmp_path / name):  # nothing but the metadata is looked at
        with pytest.raises(
            CheckpointError, match=r"no format number: it was saved by an early sparkwater 0\.1\.0"
        ) as no:
            stage.load(str(folder))
        assert f"reads format {FORMAT}. Train or save it again" in str(no.value)
    with pytest.raises(UnsafeLoadError, match="was saved as"):
        TensorToVector.load(str(OLD / name))


def test_stages_of_params_only_load_from_before_the_format_number(spark) -> None:
    loaded = ImageClassifier.load(str(OLD / "image_classifier"))
    assert (loaded.getNetwork(), loaded.getNetworkArguments(), loaded.getBatchSize()) == ("mlp", {"hidden": [2]}, 8)
    stage = TensorToVector.load(str(OLD / "tensor_to_vector"))
    assert (stage.getInputCol(), stage.getOutputCol()) == ("a", "b")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"format": FORMAT + 1, "version": "9.8"},
            rf"format {FORMAT + 1}: .* sparkwater 9\.8; .* reads format {FORMAT}. U",
        ),
        ({"format": "1"}, "is damaged"),
        ({"format": True}, "is damaged"),
        ({"format": 0}, "is damaged"),
        ([FORMAT], "is damaged"),
    ],
)
def test_other_formats_are_refused(spark, tmp_path, own, message) -> None:
    TensorToVector(inputCol="a", outputCol="b").save(str(tmp_path / "stage"))

    def change(fields: dict[str, Any]) -> None:
        assert fields["sparkwater"] == {"format": 1, "version": sparkwater.__version__}
        fields["sparkwater"] = own
        fields["paramMap"] = {"unknown": 1}  # a newer one may have that: the format is what is said

    change_metadata(tmp_path / "stage", change)
    with pytest.raises(CheckpointError, match=message):
        TensorToVector.load(str(tmp_path / "stage"))


@pytest.mark.parametrize("change", [{"paramMap": {"gone": 1}}, {"defaultParamMap": None}, {"sparkVersion": "?"}])
def test_params_that_are_none_here_are_a_checkpoint_error(spark, tmp_path, change) -> None:
    TensorToVector(inputCol="a", outputCol="b").save(str(tmp_path / "stage"))
    change_metadata(tmp_path / "stage", lambda fields: fields.update(change))
    with pytest.raises(CheckpointError, match="its Params aren't those of this sparkwater's TensorToVector"):
        TensorToVector.load(str(tmp_path / "stage"))


def test_all_stages_are_saved_and_loaded_by_the_same_code() -> None:
    found = {
        value
        for module in pkgutil.walk_packages(sparkwater.__path__, "sparkwater.")
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, type) and value.__module__.startswith("sparkwater.")
    }
    stages = {value for value in found if issubclass(value, MLWritable)}
    assert {ImageClassifier, ImageClassifierModel, StackedEnsemble, StackedEnsembleModel, TensorToVector} <= stages
    assert all(issubclass(stage, SavedStage) for stage in stages)
    assert {stage for stage in stages if "read" in vars(stage) or "load" in vars(stage)} == {SavedStage}
    assert {value for value in found if issubclass(value, (MLReader, MLWriter))} == {StageReader, StageWriter}


@pytest.fixture
def nested(spark, tmp_path) -> Path:
    """An ensemble, of a pipeline, of a network of the user's own."""
    network = ImageClassifier(network=PATH)
    learners = {"linear": LinearRegression(), "network": Pipeline(stages=[network])}
    StackedEnsemble(learners=learners).save(str(tmp_path / "ensemble"))
    return tmp_path / "ensemble"


def test_consent_reaches_the_stages_inside(spark, nested: Path) -> None:
    path = str(nested)
    for reader in (StackedEnsemble.read(), StackedEnsemble.read().allowing("user_networks:fixed", "user")):
        with pytest.raises(UnsafeLoadError, match=r"read\(\).allowing\('user_networks:small'\)"):
            reader.load(path)
    for allowed in (PATH, "user_networks"):
        loaded = StackedEnsemble.read().allowing(allowed).load(path)
        assert loaded.getLearners()["network"].getStages()[0].getNetwork() == PATH
    with pytest.raises(UnsafeLoadError):  # and ends with that reader
        StackedEnsemble.load(path)
    spark.conf.set("spark.sparkwater.allowedNetworks", PATH)
    try:
        assert list(StackedEnsemble.load(path).getLearners()) == ["linear", "network"]
    finally:
        spark.conf.unset("spark.sparkwater.allowedNetworks")


def test_a_class_in_another_file_of_the_metadata_is_seen(spark, nested: Path) -> None:
    inner = nested / "learners" / "0" / "metadata"
    content = next(inner.glob("part-*")).read_text()
    (inner / "a-larger-file").write_text(json.dumps({**json.loads(content), "class": "tables.MeanModel"}) + " " * 999)
    with pytest.raises(UnsafeLoadError, match=r"a-larger-file' asks to load 'tables.MeanModel'"):
        StackedEnsemble.read().allowing(PATH).load(str(nested))


def test_a_save_that_fails_leaves_the_old_stage(spark, tmp_path) -> None:
    path = str(tmp_path / "stage")
    with pytest.raises(ConfigurationError, match="MeanRegressor can't be saved"):
        StackedEnsemble(learners={"mean": MeanRegressor()}).save(path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CheckpointError, match=r"^'/proc/nowhere/stage' can't be written: .*/proc/nowhere"):
        TensorToVector(inputCol="a", outputCol="b").save("/proc/nowhere/stage")
    StackedEnsemble(learners={"linear": LinearRegression()}, numFolds=3).save(path)
    with pytest.raises(ConfigurationError, match="exists already"):
        StackedEnsemble(learners={"linear": LinearRegression()}).save(path)
    with pytest.raises(ConfigurationError, match="MeanRegressor can't be saved"):
        StackedEnsemble(learners={"mean": MeanRegressor()}).write().overwrite().save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["stage"]
    assert StackedEnsemble.load(path).getNumFolds() == 3


def test_spark_loads_the_stages_in_its_pipelines(spark, tmp_path) -> None:
    PipelineModel([TensorToVector(inputCol="a", outputCol="b")]).save(str(tmp_path / "pipeline"))
    assert PipelineModel.load(str(tmp_path / "pipeline")).stages[0].getOutputCol() == "b"
    Pipeline(stages=[ImageClassifier(network=PATH)]).save(str(tmp_path / "own"))
    with pytest.raises(UnsafeLoadError, match="which pipelines need"):
        Pipeline.load(str(tmp_path / "own"))


def test_who_gives_a_learner_consents_to_load_its_models(spark) -> None:
    own = Learner("own", ImageClassifier(network=PATH), "classification", "probability").consent
    own.check_network(spark, PATH, "folder")
    own.check_class("sparkwater.ml.image_classifier_model.ImageClassifierModel", "folder")
    with pytest.raises(UnsafeLoadError):
        own.check_network(spark, "user_networks:fixed", "folder")
    with pytest.raises(UnsafeLoadError):
        own.check_class("tables.MeanModel", "folder")
    Learner("mean", MeanRegressor(), "regression", "prediction").consent.check_class("tables.MeanModel", "folder")
