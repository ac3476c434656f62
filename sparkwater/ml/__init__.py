"""Spark ML stages: image classifier, deep features, similarity. Never imports horovod."""

from __future__ import annotations

from sparkwater._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "image_classifier": ("ImageClassifier",),
        "image_classifier_model": ("ImageClassifierModel",),
        "image_regressor": ("ImageRegressor",),
        "image_regressor_model": ("ImageRegressorModel",),
        "deep_features": ("DeepFeatures",),
        "reports.confusion": ("ConfusionMatrix", "confusion_matrix"),
        "reports.summary": ("TrainingSummary",),
        "similarity.search": ("distance_matrix", "k_nearest"),
        "similarity_stage": ("Similarity",),
    },
)
