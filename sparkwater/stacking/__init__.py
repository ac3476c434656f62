"""Stacking: folds, out-of-fold predictions, stacked ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater._lazy import lazy_exports

if TYPE_CHECKING:
    from sparkwater.stacking.automl.model import AutoMLModel as AutoMLModel
    from sparkwater.stacking.automl.stage import AutoML as AutoML
    from sparkwater.stacking.combiners.model import CombinerModel as CombinerModel
    from sparkwater.stacking.combiners.stages import (
        BestLearner as BestLearner,
        GreedySelection as GreedySelection,
        LogPool as LogPool,
        Pool as Pool,
    )
    from sparkwater.stacking.cross_fitting import LevelOneFrame as LevelOneFrame, cross_fit as cross_fit
    from sparkwater.stacking.ensemble import StackedEnsemble as StackedEnsemble
    from sparkwater.stacking.ensemble_model import StackedEnsembleModel as StackedEnsembleModel
    from sparkwater.stacking.folds import Folds as Folds, assign_folds as assign_folds
    from sparkwater.stacking.meta_learner import NonNegativeRegression as NonNegativeRegression
    from sparkwater.stacking.search.model import SearchModel as SearchModel
    from sparkwater.stacking.search.optuna_stage import OptunaSearch as OptunaSearch
    from sparkwater.stacking.search.stages import GridSearch as GridSearch, RandomSearch as RandomSearch
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "folds": ("Folds", "assign_folds"),
            "cross_fitting": ("LevelOneFrame", "cross_fit"),
            "combiners.model": ("CombinerModel",),
            "combiners.stages": ("BestLearner", "GreedySelection", "LogPool", "Pool"),
            "meta_learner": ("NonNegativeRegression",),
            "ensemble": ("StackedEnsemble",),
            "ensemble_model": ("StackedEnsembleModel",),
            "automl.model": ("AutoMLModel",),
            "automl.stage": ("AutoML",),
            "search.model": ("SearchModel",),
            "search.optuna_stage": ("OptunaSearch",),
            "search.stages": ("GridSearch", "RandomSearch"),
        },
    )
