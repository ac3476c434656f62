"""Combiners as Spark ML estimators: ``BestLearner``, ``GreedySelection``, ``Pool`` and ``LogPool``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml import Estimator
from pyspark.sql import functions as F

from sparkwater.conversions.stages.accepts import at_least
from sparkwater.conversions.stages.columns import find_field, is_whole, vector_numbers
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.spark_params import HasLabelCol, HasWeightCol
from sparkwater.errors import ConfigurationError, DataError
from sparkwater.stacking.combiners.blocks import Layout, open_blocks
from sparkwater.stacking.combiners.losses import Combination
from sparkwater.stacking.combiners.model import CombinerModel
from sparkwater.stacking.combiners.params import CombinerParams
from sparkwater.stacking.combiners.solvers import (
    Fit,
    fit_best,
    fit_log_pool,
    fit_pool,
    fit_selection,
    run_together,
)
from sparkwater.stacking.level_one.learners import CLASSIFICATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame

_METRICS = {"classification": ("logLoss", "error"), "regression": ("rmse", "mae")}


class Combiner(Estimator[CombinerModel], CombinerParams, HasLabelCol, HasWeightCol, SavedStage):
    """Base of the combiners: estimators of one weight a learner, on columns of level one."""

    def fit_of(self, layout: Layout, without: Sequence[int]) -> Fit:
        """Return a fit on the rows outside of some folds."""
        raise NotImplementedError

    def model_of(self, combination: Combination) -> CombinerModel:
        """Return the model of a fitted combination."""
        model = CombinerModel(form=combination.form, weights=list(combination.weights), biases=list(combination.biases))
        return self._copyValues(model._resetUid(self.uid))

    def check_settings(self) -> None:
        """Refuse settings that contradict each other, too."""
        super().check_settings()
        metric = self.getOrDefault("metric") if self.hasParam("metric") and self.isDefined("metric") else None
        accepted = _METRICS[self.getTask()]
        if metric is not None and metric not in accepted:
            raise ConfigurationError(f"metric={metric!r} with task={self.getTask()!r}; accepted: {', '.join(accepted)}")
        if self.getTask() != CLASSIFICATION and self.getWidth() != 1:
            raise ConfigurationError(f"width={self.getWidth()} with task='regression'; accepted: 1")

    def _metric(self) -> str:
        given = self.getOrDefault("metric") if self.isDefined("metric") else None
        return str(given or "first")

    def _fit(self, dataset: DataFrame) -> CombinerModel:
        self.check_settings()
        find_field(dataset.schema, self.getFeaturesCol())
        weight = F.col(f"`{self.getWeightCol()}`").cast("double") if self.getWeightCol() else F.lit(1.0)
        rows = dataset.select(
            vector_numbers(F.col(f"`{self.getFeaturesCol()}`")).alias("values"),
            F.col(f"`{self.getLabelCol()}`").cast("double").alias("label"),
            weight.alias("weight"),
            F.lit(0).alias("fold"),
        )
        found = rows.agg(
            F.count(F.lit(1)).alias("rows"),
            F.min(F.size("values")).alias("low"),
            F.max(F.size("values")).alias("high"),
            F.min("label").alias("least"),
            F.max("label").alias("label"),
            F.count_if(~F.coalesce(is_whole(F.col("label")), F.lit(False))).alias("odd"),
        ).first()
        assert found is not None  # an aggregate has a row
        if not found["rows"]:
            raise DataError("the DataFrame has no rows to train on")
        layout = self._layout(found["low"], found["high"])
        if layout.classification and (found["odd"] or not 0 <= found["least"] <= found["label"] < layout.outputs):
            raise DataError(
                f"labelCol={self.getLabelCol()!r} holds {found['least']} to {found['label']}, and {found['odd']} rows "
                f"without a whole number; accepted: 0 to {layout.outputs - 1}, the classes of width={self.getWidth()}"
            )
        with open_blocks(rows, layout, found["rows"]) as blocks:
            return self.model_of(run_together(blocks, {"": self.fit_of(layout, ())})[""])

    def _layout(self, low: int, high: int) -> Layout:
        width = self.getWidth()
        if low != high or not high or high % width:
            raise DataError(
                f"featuresCol={self.getFeaturesCol()!r} has {low} to {high} numbers a row; accepted: a multiple of "
                f"width={width}, in all rows the same"
            )
        return Layout(high // width, width, self.getTask() == CLASSIFICATION)


class BestLearner(Combiner):
    """The learner with the smallest loss, and no other."""

    metric: Setting[str | None] = setting(
        None,
        "the loss: logLoss or error, rmse or mae; without it the first of its kind, in an ensemble of regressions the "
        "deviance of their distribution",
    )

    def fit_of(self, layout: Layout, without: Sequence[int]) -> Fit:
        """Return a fit on the rows outside of some folds."""
        return fit_best(layout, without, self._metric())


class GreedySelection(Combiner):
    """Learners added one at a time, with replacement: each time the one that helps most.

    The weights are shares of ``steps``: a learner that never helps has none. Any number of learners will do. Source:
    Caruana, Niculescu-Mizil, Crew and Ksikes, Ensemble Selection from Libraries of Models, ICML 2004.
    """

    metric: Setting[str | None] = setting(
        None,
        "the loss: logLoss or error, rmse or mae; without it the first of its kind, in an ensemble of regressions the "
        "deviance of their distribution",
    )
    steps: Setting[int] = setting(25, "learners to add; the best of all steps is kept", accepts=at_least(1))

    def fit_of(self, layout: Layout, without: Sequence[int]) -> Fit:
        """Return a fit on the rows outside of some folds."""
        return fit_selection(layout, without, self._metric(), self.getSteps())


class Pool(Combiner):
    """The convex combination of probabilities, or of predictions, with the smallest logarithmic or squared loss.

    Source: Breiman, Stacked Regressions, Machine Learning 24, 1996; Stone, The Opinion Pool, 1961.
    """

    def fit_of(self, layout: Layout, without: Sequence[int]) -> Fit:
        """Return a fit on the rows outside of some folds."""
        return fit_pool(layout, without)


class LogPool(Combiner):
    """Softmax of the weighted sum of the learners' log probabilities, with the smallest logarithmic loss.

    No weight is negative, and their sum is free: above one the result is surer than the learners' mean. Source:
    Genest and Zidek, Combining Probability Distributions, Statistical Science 1, 1986, section 3.
    """

    bias: Setting[bool] = setting(False, "whether each class has a bias, too")

    def check_settings(self) -> None:
        """Refuse settings that contradict each other, too."""
        super().check_settings()
        if self.getTask() != CLASSIFICATION:
            raise ConfigurationError("LogPool pools probabilities; regression has none: take Pool")

    def fit_of(self, layout: Layout, without: Sequence[int]) -> Fit:
        """Return a fit on the rows outside of some folds."""
        return fit_log_pool(layout, without, self.getBias())
