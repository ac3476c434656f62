"""``CombinerModel``: a fitted combiner, as Spark expressions on the learners' predictions."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.ml import Model
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from sparkwater.conversions.stages.accepts import one_of
from sparkwater.conversions.stages.columns import vector_numbers
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.stacking.combiners.blocks import SMALLEST
from sparkwater.stacking.combiners.losses import Combination
from sparkwater.stacking.combiners.params import CombinerParams
from sparkwater.stacking.level_one.learners import CLASSIFICATION

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

FORMS = ("pool", "logPool")


class CombinerModel(Model, CombinerParams, SavedStage):
    """A fitted combiner: one weight a learner.

    ``transform`` adds ``prediction`` and, for classification, ``probability`` and ``rawPrediction``: the
    probabilities again, or for a logarithmic pool the scores that softmax makes probabilities of. Learners whose
    weight is zero aren't read.
    """

    form: Setting[str] = setting(
        "pool",
        "pool: the weighted sum; logPool: softmax of the weighted sum of logarithms",
        accepts=one_of(*FORMS),
    )
    weights: Setting[list[float]] = setting([], "one a learner, none negative")
    biases: Setting[list[float]] = setting([], "of logPool: one a class, added to the scores; or none")

    @property
    def combination(self) -> Combination:
        """The weights, for blocks of level one."""
        return Combination(self.getForm(), tuple(self.getWeights()), tuple(self.getBiases()))

    @property
    def numClasses(self) -> int:
        """The length of the probability vector."""
        return 2 if self.getWidth() == 1 else int(self.getWidth())

    def _transform(self, dataset: DataFrame) -> DataFrame:
        self.check_settings()
        values = vector_numbers(F.col(f"`{self.getFeaturesCol()}`"))
        width = self.getWidth()
        parts = {
            place: F.slice(values, 1 + place * width, width) for place, weight in enumerate(self.getWeights()) if weight
        }
        if self.getTask() != CLASSIFICATION:
            return dataset.withColumn(self.getPredictionCol(), self._sum(parts)[0])
        if width == 1:
            parts = {place: F.array(1.0 - part[0], part[0]) for place, part in parts.items()}
        raw = probabilities = self._sum(parts) if self.getForm() == "pool" else self._scores(parts)
        if self.getForm() == "logPool":
            probabilities = softmax_column(raw)
        place = F.array_position(probabilities, F.array_max(probabilities)) - 1
        added = {
            self.getRawPredictionCol(): array_to_vector(raw),
            self.getProbabilityCol(): array_to_vector(probabilities),
            self.getPredictionCol(): place.cast("double"),
        }
        return dataset.withColumns({name: column for name, column in added.items() if name})

    def _sum(self, parts: dict[int, Column]) -> Column:
        """Return the weighted sum of arrays."""
        weights = self.getWeights()
        scaled = [F.transform(part, _times(weights[place])) for place, part in parts.items()]
        return reduce(_plus, scaled)

    def _scores(self, parts: dict[int, Column]) -> Column:
        logs = {
            place: F.transform(part, lambda value: F.log(F.greatest(value, F.lit(SMALLEST))))
            for place, part in parts.items()
        }
        none = F.array(*(F.lit(0.0) for _ in range(self.numClasses)))
        scores = self._sum(logs) if logs else none
        biases = self.getBiases()
        return _plus(scores, F.array(*map(F.lit, biases))) if biases else scores


def _times(weight: float):  # type: ignore[no-untyped-def]
    return lambda value: value * F.lit(weight)


def _plus(left: Column, right: Column) -> Column:
    return F.zip_with(left, right, lambda one, other: one + other)


def bound(value: Column, use: Callable[[Column], Column]) -> Column:
    """Return a function of a value that is computed once; Spark would compute it again for each time it is named."""
    return F.transform(F.array(value), use)[0]


def softmax_column(scores: Column) -> Column:
    """Return the probabilities of arrays of scores."""
    topped = bound(scores, lambda row: F.struct(row.alias("values"), F.array_max(row).alias("top")))
    powers = bound(topped, lambda row: F.transform(row["values"], lambda score: F.exp(score - row["top"])))
    summed = bound(powers, lambda row: F.struct(row.alias("values"), total(row).alias("total")))
    return bound(summed, lambda row: F.transform(row["values"], lambda power: power / row["total"]))


def total(row: Column) -> Column:
    """Return the sum of an array."""
    return F.aggregate(row, F.lit(0.0), lambda sum_, value: sum_ + value)
