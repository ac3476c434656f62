"""Spark ML stages: learners of pictures and tables, deep features, similarity. Never imports horovod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater._lazy import lazy_exports

if TYPE_CHECKING:
    from sparkwater.ml.attributions import Attributions as Attributions
    from sparkwater.ml.autoencoder import AutoEncoder as AutoEncoder
    from sparkwater.ml.autoencoder_model import AutoEncoderModel as AutoEncoderModel
    from sparkwater.ml.deep_features import DeepFeatures as DeepFeatures
    from sparkwater.ml.deep_learning_classifier import DeepLearningClassifier as DeepLearningClassifier
    from sparkwater.ml.deep_learning_classifier_model import (
        DeepLearningClassifierModel as DeepLearningClassifierModel,
    )
    from sparkwater.ml.deep_learning_regressor import DeepLearningRegressor as DeepLearningRegressor
    from sparkwater.ml.deep_learning_regressor_model import DeepLearningRegressorModel as DeepLearningRegressorModel
    from sparkwater.ml.explanations.dependence import (
        individual_curves as individual_curves,
        partial_dependence as partial_dependence,
    )
    from sparkwater.ml.explanations.exact import exact_shapley_values as exact_shapley_values
    from sparkwater.ml.explanations.importance import permutation_importance as permutation_importance
    from sparkwater.ml.explanations.shapley import shapley_values as shapley_values
    from sparkwater.ml.image_classifier import ImageClassifier as ImageClassifier
    from sparkwater.ml.image_classifier_model import ImageClassifierModel as ImageClassifierModel
    from sparkwater.ml.image_regressor import ImageRegressor as ImageRegressor
    from sparkwater.ml.image_regressor_model import ImageRegressorModel as ImageRegressorModel
    from sparkwater.ml.launch.following import follow_fits as follow_fits
    from sparkwater.ml.reports.confusion import ConfusionMatrix as ConfusionMatrix, confusion_matrix as confusion_matrix
    from sparkwater.ml.reports.summary import TrainingSummary as TrainingSummary
    from sparkwater.ml.similarity.search import distance_matrix as distance_matrix, k_nearest as k_nearest
    from sparkwater.ml.similarity_stage import Similarity as Similarity
    from sparkwater.ml.sklearn.classifier import (
        SklearnClassifier as SklearnClassifier,
        SklearnClassifierModel as SklearnClassifierModel,
    )
    from sparkwater.ml.sklearn.regressor import (
        SklearnRegressor as SklearnRegressor,
        SklearnRegressorModel as SklearnRegressorModel,
    )
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "attributions": ("Attributions",),
            "autoencoder": ("AutoEncoder",),
            "autoencoder_model": ("AutoEncoderModel",),
            "deep_learning_classifier": ("DeepLearningClassifier",),
            "deep_learning_classifier_model": ("DeepLearningClassifierModel",),
            "deep_learning_regressor": ("DeepLearningRegressor",),
            "deep_learning_regressor_model": ("DeepLearningRegressorModel",),
            "explanations.dependence": ("individual_curves", "partial_dependence"),
            "explanations.exact": ("exact_shapley_values",),
            "explanations.importance": ("permutation_importance",),
            "explanations.shapley": ("shapley_values",),
            "image_classifier": ("ImageClassifier",),
            "image_classifier_model": ("ImageClassifierModel",),
            "image_regressor": ("ImageRegressor",),
            "image_regressor_model": ("ImageRegressorModel",),
            "deep_features": ("DeepFeatures",),
            "launch.following": ("follow_fits",),
            "reports.confusion": ("ConfusionMatrix", "confusion_matrix"),
            "reports.summary": ("TrainingSummary",),
            "similarity.search": ("distance_matrix", "k_nearest"),
            "similarity_stage": ("Similarity",),
            "sklearn.classifier": ("SklearnClassifier", "SklearnClassifierModel"),
            "sklearn.regressor": ("SklearnRegressor", "SklearnRegressorModel"),
        },
    )
