"""Params of searches."""

from __future__ import annotations

from typing import Any

from pyspark.ml import Estimator

from sparkwater.conversions.stages.accepts import at_least, between, location
from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.stacking.fold_params import FoldParams
from sparkwater.stacking.search.budget import Budget


class BudgetParams(Settings):
    """Params of the limits of a search, with H2O's names and meanings."""

    maxModels: Setting[int] = setting(0, "the most models to try; 0 for no limit", accepts=at_least(0))
    maxRuntimeSecs: Setting[float] = setting(
        0.0,
        "seconds for all fits on folds; none begins that isn't expected to end in time, by those before it, but the "
        "first model is always finished. 0 for no limit",
        accepts=at_least(0),
    )
    stoppingRounds: Setting[int] = setting(
        0,
        "stop when the moving average of the best metric, over so many models, hasn't improved for as many, as H2O; "
        "0: never",
        accepts=at_least(0),
    )
    stoppingTolerance: Setting[float] = setting(0.001, "relative improvement that isn't enough", accepts=between(0, 1))

    def budget(self) -> Budget:
        """Return the limits, whose time begins now."""
        return Budget(
            models=self.getMaxModels(),
            seconds=self.getMaxRuntimeSecs(),
            rounds=self.getStoppingRounds(),
            tolerance=self.getStoppingTolerance(),
        )


def _unchanged(value: Any) -> Any:
    return value


class SearchParams(FoldParams, BudgetParams):
    """Params of searches."""

    estimator: Setting[Estimator[Any] | None] = setting(
        None, "the estimator, or a pipeline, to try with other Params", convert=_unchanged
    )
    space: Setting[Any] = setting(
        None,
        "the Params to try. A mapping of Params, or of their names, to lists of values or, where the search takes "
        "them, frozen distributions of scipy.stats; or a list of ParamMaps as ParamGridBuilder builds it. A name is "
        "that of a Param of the last stage, or of the only stage that has it",
        convert=_unchanged,
    )
    parallelism: Setting[int | None] = setting(
        None, "fits at a time; without it as many as the slots allow", accepts=at_least(1)
    )
    checkpointDir: Setting[str | None] = setting(
        None,
        "folder where rows and finished fits are kept; a new fit goes on from there",
        convert=location("checkpointDir"),
    )
    keepLevelOne: Setting[bool] = setting(
        True, "whether model.levelOne keeps the out-of-fold predictions, in Spark's cache"
    )
