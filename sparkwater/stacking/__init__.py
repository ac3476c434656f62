"""Stacking: folds, out-of-fold predictions, stacked ensembles."""

from __future__ import annotations

from sparkwater._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "folds": ("Folds", "assign_folds"),
        "cross_fitting": ("LevelOneFrame", "cross_fit"),
        "meta_learner": ("NonNegativeRegression",),
        "ensemble": ("StackedEnsemble",),
        "ensemble_model": ("StackedEnsembleModel",),
    },
)
