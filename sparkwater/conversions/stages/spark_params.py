"""Spark ML's own shared Params, declared as settings."""

from __future__ import annotations

from pyspark.ml.param import shared

from sparkwater.conversions.stages.settings import Setting, Settings, setting


class HasInputCol(Settings, shared.HasInputCol):
    """Mixin for ``inputCol``."""

    inputCol: Setting[str | None] = setting(None, "the column to read")  # type: ignore[assignment]


class HasInputCols(Settings, shared.HasInputCols):
    """Mixin for ``inputCols``."""

    inputCols: Setting[list[str] | None] = setting(None, "the columns to read")  # type: ignore[assignment]


class HasOutputCol(Settings, shared.HasOutputCol):
    """Mixin for ``outputCol``."""

    outputCol: Setting[str | None] = setting(  # type: ignore[assignment]
        None, "the column to add; by default the stage's uid with '__output'"
    )


class HasOutputCols(Settings, shared.HasOutputCols):
    """Mixin for ``outputCols``."""

    outputCols: Setting[list[str] | None] = setting(None, "the columns to add")  # type: ignore[assignment]


class HasFeaturesCol(Settings, shared.HasFeaturesCol):
    """Mixin for ``featuresCol``."""

    featuresCol: Setting[str] = setting("features", "features column")


class HasLabelCol(Settings, shared.HasLabelCol):
    """Mixin for ``labelCol``."""

    labelCol: Setting[str] = setting("label", "label column")


class HasPredictionCol(Settings, shared.HasPredictionCol):
    """Mixin for ``predictionCol``."""

    predictionCol: Setting[str] = setting("prediction", "prediction column to add")


class HasProbabilityCol(Settings, shared.HasProbabilityCol):
    """Mixin for ``probabilityCol``."""

    probabilityCol: Setting[str] = setting("probability", "column of each class's probability, a vector to add")


class HasRawPredictionCol(Settings, shared.HasRawPredictionCol):
    """Mixin for ``rawPredictionCol``."""

    rawPredictionCol: Setting[str] = setting("rawPrediction", "column of raw predictions, a vector to add")


class HasWeightCol(Settings, shared.HasWeightCol):
    """Mixin for ``weightCol``."""

    weightCol: Setting[str | None] = setting(  # type: ignore[assignment]
        None, "weights of the rows; without it all count alike"
    )


class HasValidationIndicatorCol(Settings, shared.HasValidationIndicatorCol):
    """Mixin for ``validationIndicatorCol``."""

    validationIndicatorCol: Setting[str | None] = setting(  # type: ignore[assignment]
        None, "column of booleans: true for rows to validate on"
    )


class HasSeed(Settings, shared.HasSeed):
    """Mixin for ``seed``."""

    seed: Setting[int] = setting(42, "seed of everything random")
