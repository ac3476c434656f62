"""Mistakes of a user: each line with an error's code in a comment fails in mypy, and no other."""

from __future__ import annotations

from sparkwater.conversions import ImageToTensor
from sparkwater.ml import ImageClasifier  # noqa: F401  # error: attr-defined
from sparkwater.ml import DeepLearningClassifier, ImageClassifier, ImageClassifierModel, TrainingSummary
from sparkwater.stacking import StackedEnsemble

ImageClassifier(nonsense=3)  # error: call-arg
ImageClassifier(lerningRate=0.1)  # error: call-arg
ImageClassifier(learningRate="0.1")  # error: arg-type
ImageClassifier(learningRate=None)  # error: arg-type
ImageClassifier(callbacks=[3])  # error: list-item
DeepLearningClassifier(hidden="200")  # error: arg-type
DeepLearningClassifier(imageShape=[28, 28, 1])  # error: call-arg
ImageToTensor(imageShape="28")  # error: arg-type
StackedEnsemble(numFolds="5")  # error: arg-type


def loss(summary: TrainingSummary) -> float:
    return summary.records[-1].los  # error: attr-defined


def rows(model: ImageClassifierModel) -> int:
    return model.summary.numRow  # error: attr-defined
