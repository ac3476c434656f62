"""A program of a user: it passes ``mypy --strict``."""

from __future__ import annotations

from pyspark.ml.param import Param
from pyspark.sql import DataFrame

from sparkwater.conversions import ImageToTensor, TensorSpec, read_image_folder, tensor_spec
from sparkwater.conversions.stages.accepts import above
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.ml import (
    DeepFeatures,
    DeepLearningRegressor,
    DeepLearningRegressorModel,
    ImageClassifier,
    ImageClassifierModel,
    TrainingSummary,
    k_nearest,
)
from sparkwater.stacking import StackedEnsemble, StackedEnsembleModel


class ColdClassifier(ImageClassifier):
    """A classifier with a Param more."""

    temperature: Setting[float] = setting(1.0, "divides raw outputs", accepts=above(0))


def train(rows: DataFrame) -> tuple[ImageClassifierModel, float]:
    estimator = ImageClassifier(
        featuresCol="pictures", network="lenet", imageShape=[28, 28, 1], epochs=2, learningRate=0.1, weightCol=None
    )
    rate: Param[float] = estimator.learningRate
    model = estimator.setBatchSize(64).copy({rate: 0.2}).fit(rows)
    fitted: ImageClassifierModel = ColdClassifier(temperature=0.5, classWeight={"cat": 2.0}).fit(rows)
    summary: TrainingSummary = fitted.summary
    assert isinstance(model, ImageClassifierModel)
    return model, summary.records[-1].loss


def convert(rows: DataFrame) -> TensorSpec | None:
    stage = ImageToTensor(inputCol="uri", outputCol="pictures", imageShape=[28, 28, 1], resize="fit")
    return tensor_spec(stage.transform(rows).schema["pictures"])


def stack(rows: DataFrame) -> StackedEnsembleModel:
    return StackedEnsemble(learners={"net": ImageClassifier(epochs=1)}, numFolds=3, parallelism=2).fit(rows)


def search(model: ImageClassifierModel, rows: DataFrame) -> DataFrame:
    vectors = DeepFeatures(model=model, layer=["fc1"], outputCols=["vector"]).transform(rows)
    return k_nearest(vectors, vectors, 3, "cosine", featuresCol="vector")


def regress(rows: DataFrame) -> DeepLearningRegressorModel:
    learner = DeepLearningRegressor(inputCols=["size", "colour"], recipe="h2o", hidden=[8], activation="tanh", rho=0.9)
    names: list[str] = learner.setIgnoredCols(["id"]).getFeaturesCols()
    return learner.setInputCols(names).fit(rows)


__all__ = ["convert", "read_image_folder", "regress", "search", "stack", "train"]
