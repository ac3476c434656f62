"""Params of early stopping, time limits and the choice of the best epoch."""

from __future__ import annotations

from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.tasks.class_metrics import METRICS, unfit_metric
from sparkwater.ml.params.declaring import at_least, declare, in_range, refuse_unless


class StoppingParams(Params):
    """Params of stopping, with H2O's names and meanings."""

    stoppingMetric: Param[str] = declare(
        "stoppingMetric",
        f"one of {', '.join(METRICS)}; of the validation rows where there are any, else of the training rows",
        TypeConverters.toString,
    )
    stoppingRounds: Param[int] = declare(
        "stoppingRounds",
        "stop when the moving average of the metric over so many epochs hasn't improved for as many (>= 0; 0: never)",
        TypeConverters.toInt,
    )
    stoppingTolerance: Param[float] = declare(
        "stoppingTolerance", "relative improvement that isn't enough (in [0, 1))", TypeConverters.toFloat
    )
    overwriteWithBestModel: Param[bool] = declare(
        "overwriteWithBestModel",
        "give the network as it was after its best epoch by stoppingMetric; without a value where there are validation "
        "rows or stoppingRounds",
        TypeConverters.toBoolean,
    )
    maxRuntimeSecs: Param[float] = declare(
        "maxRuntimeSecs", "seconds of training after which it stops (>= 0); 0 for no limit", TypeConverters.toFloat
    )
    topK: Param[int] = declare(
        "topK",
        "a row's label counts as found among so many most probable classes, for topKError (>= 1)",
        TypeConverters.toInt,
    )

    def getStoppingMetric(self) -> str:
        """Return the value of ``stoppingMetric``."""
        return self.getOrDefault(self.stoppingMetric)

    def getStoppingRounds(self) -> int:
        """Return the value of ``stoppingRounds``."""
        return self.getOrDefault(self.stoppingRounds)

    def getStoppingTolerance(self) -> float:
        """Return the value of ``stoppingTolerance``."""
        return self.getOrDefault(self.stoppingTolerance)

    def getOverwriteWithBestModel(self) -> bool | None:
        """Return the value of ``overwriteWithBestModel``, or None where it isn't set."""
        return self.getOrDefault(self.overwriteWithBestModel) if self.isDefined(self.overwriteWithBestModel) else None

    def getMaxRuntimeSecs(self) -> float:
        """Return the value of ``maxRuntimeSecs``."""
        return self.getOrDefault(self.maxRuntimeSecs)

    def getTopK(self) -> int:
        """Return the value of ``topK``."""
        return self.getOrDefault(self.topK)

    def stopping(self, validation: bool) -> dict[str, Any]:
        """Return the rules as the fields of `sparkwater.gpu.config.TrainConfig`."""
        chosen = self.getOverwriteWithBestModel()
        return {
            "stopping_metric": self.getStoppingMetric(),
            "stopping_rounds": self.getStoppingRounds(),
            "stopping_tolerance": self.getStoppingTolerance(),
            "keep_best": (validation or self.getStoppingRounds() > 0) if chosen is None else chosen,
            "max_runtime_secs": self.getMaxRuntimeSecs(),
            "top_k": self.getTopK(),
        }

    def check_stopping_params(self) -> None:
        """Refuse values out of range.

        Raises
        ------
        ConfigurationError
            With the Param, its value and what is accepted.
        """
        refuse_unless(self, "stoppingMetric", METRICS.__contains__, ", ".join(METRICS))
        refuse_unless(self, "stoppingRounds", at_least(0), "integers from 0 up")
        refuse_unless(self, "stoppingTolerance", in_range(0, 1), "numbers from 0 up to, not including, 1")
        refuse_unless(self, "maxRuntimeSecs", at_least(0), "numbers from 0 up")
        refuse_unless(self, "topK", at_least(1), "integers from 1 up")

    def check_stopping_metric(self, classes: int) -> None:
        """Refuse a metric that is undefined for so many classes.

        Raises
        ------
        ConfigurationError
            With the reason.
        """
        reason = unfit_metric(self.getStoppingMetric(), classes, self.getTopK())
        if reason:
            raise ConfigurationError(f"stoppingMetric={self.getStoppingMetric()!r}: {reason}")
