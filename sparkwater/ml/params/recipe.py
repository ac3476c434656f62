"""Params of the training recipe: optimizer, schedules, penalties and limits."""

from __future__ import annotations

import json
from typing import Any

from pyspark.ml.param import Param, Params, TypeConverters

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.rows.augmentation import parse_augmentation
from sparkwater.gpu.training.optimizers import OPTIMIZERS
from sparkwater.gpu.training.schedules import SCHEDULES
from sparkwater.ml.params.declaring import at_least, declare, in_range, refuse_unless


def _to_steps(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return list(value)
    if not isinstance(value, str):
        raise TypeError(f"augmentation={value!r}; accepted: a list of steps, or its JSON")
    try:
        return json.loads(value)
    except ValueError as error:
        raise ConfigurationError(f"augmentation={value!r} is no JSON: {error}") from error


class RecipeParams(Params):
    """Params of the training recipe."""

    optimizer: Param[str] = declare("optimizer", f"one of {', '.join(OPTIMIZERS)}", TypeConverters.toString)
    learningRate: Param[float] = declare(
        "learningRate", "step size (> 0); never scaled by the number of workers", TypeConverters.toFloat
    )
    learningRateSchedule: Param[str] = declare(
        "learningRateSchedule",
        f"one of {', '.join(SCHEDULES)}; cosine falls to 0 over the training",
        TypeConverters.toString,
    )
    warmupEpochs: Param[float] = declare(
        "warmupEpochs",
        "epochs in which the learning rate rises linearly, before the schedule begins (>= 0)",
        TypeConverters.toFloat,
    )
    learningRateAnnealing: Param[float] = declare(
        "learningRateAnnealing",
        "of the schedule annealing, as in H2O: rate / (1 + learningRateAnnealing * rows visited) (>= 0)",
        TypeConverters.toFloat,
    )
    decayEpochs: Param[float] = declare(
        "decayEpochs", "of the schedule step: epochs between two falls of the rate (> 0)", TypeConverters.toFloat
    )
    decayFactor: Param[float] = declare(
        "decayFactor", "of the schedule step: what each fall multiplies the rate by (in (0, 1])", TypeConverters.toFloat
    )
    momentum: Param[float] = declare(
        "momentum",
        "momentum of sgd (in [0, 1)); where there is a ramp, the one at its end: H2O's momentum_stable",
        TypeConverters.toFloat,
    )
    momentumStart: Param[float] = declare(
        "momentumStart", "momentum of sgd where its ramp begins (in [0, 1))", TypeConverters.toFloat
    )
    momentumRamp: Param[float] = declare(
        "momentumRamp",
        "rows over which momentum goes from momentumStart to momentum (>= 0); 0 for no ramp",
        TypeConverters.toFloat,
    )
    nesterov: Param[bool] = declare("nesterov", "Nesterov's momentum, for sgd", TypeConverters.toBoolean)
    weightDecay: Param[float] = declare(
        "weightDecay", "weight decay of all parameters, as torch's optimizers (>= 0)", TypeConverters.toFloat
    )
    l1: Param[float] = declare(
        "l1",
        "L1 penalty: times the sum of the weights' absolute values, biases excepted (>= 0)",
        TypeConverters.toFloat,
    )
    maxNorm: Param[float] = declare(
        "maxNorm",
        "largest Euclidean norm of a unit's incoming weights (>= 0); 0 for no limit; the root of H2O's max_w2",
        TypeConverters.toFloat,
    )
    clipNorm: Param[float] = declare(
        "clipNorm", "largest Euclidean norm of all gradients together (>= 0); 0 for no limit", TypeConverters.toFloat
    )
    clipValue: Param[float] = declare(
        "clipValue", "largest absolute value of a gradient (>= 0); 0 for no limit", TypeConverters.toFloat
    )
    labelSmoothing: Param[float] = declare(
        "labelSmoothing", "share of each target that is spread over all classes (in [0, 1))", TypeConverters.toFloat
    )

    augmentation: Param[list[dict[str, Any]]] = declare(
        "augmentation",
        "random changes of the training pictures: a list of steps, or its JSON, such as "
        '[{"name": "shift", "pixels": 2}, {"name": "rotation", "degrees": 10}]',
        _to_steps,
    )

    def getOptimizer(self) -> str:
        """Return the value of ``optimizer``."""
        return self.getOrDefault(self.optimizer)

    def getLearningRate(self) -> float:
        """Return the value of ``learningRate``."""
        return self.getOrDefault(self.learningRate)

    def getLearningRateSchedule(self) -> str:
        """Return the value of ``learningRateSchedule``."""
        return self.getOrDefault(self.learningRateSchedule)

    def getWarmupEpochs(self) -> float:
        """Return the value of ``warmupEpochs``."""
        return self.getOrDefault(self.warmupEpochs)

    def getLearningRateAnnealing(self) -> float:
        """Return the value of ``learningRateAnnealing``."""
        return self.getOrDefault(self.learningRateAnnealing)

    def getDecayEpochs(self) -> float:
        """Return the value of ``decayEpochs``."""
        return self.getOrDefault(self.decayEpochs)

    def getDecayFactor(self) -> float:
        """Return the value of ``decayFactor``."""
        return self.getOrDefault(self.decayFactor)

    def getMomentum(self) -> float:
        """Return the value of ``momentum``."""
        return self.getOrDefault(self.momentum)

    def getMomentumStart(self) -> float:
        """Return the value of ``momentumStart``."""
        return self.getOrDefault(self.momentumStart)

    def getMomentumRamp(self) -> float:
        """Return the value of ``momentumRamp``."""
        return self.getOrDefault(self.momentumRamp)

    def getNesterov(self) -> bool:
        """Return the value of ``nesterov``."""
        return self.getOrDefault(self.nesterov)

    def getWeightDecay(self) -> float:
        """Return the value of ``weightDecay``."""
        return self.getOrDefault(self.weightDecay)

    def getL1(self) -> float:
        """Return the value of ``l1``."""
        return self.getOrDefault(self.l1)

    def getMaxNorm(self) -> float:
        """Return the value of ``maxNorm``."""
        return self.getOrDefault(self.maxNorm)

    def getClipNorm(self) -> float:
        """Return the value of ``clipNorm``."""
        return self.getOrDefault(self.clipNorm)

    def getClipValue(self) -> float:
        """Return the value of ``clipValue``."""
        return self.getOrDefault(self.clipValue)

    def getLabelSmoothing(self) -> float:
        """Return the value of ``labelSmoothing``."""
        return self.getOrDefault(self.labelSmoothing)

    def getAugmentation(self) -> list[dict[str, Any]]:
        """Return the value of ``augmentation``."""
        return self.getOrDefault(self.augmentation)

    def recipe(self) -> dict[str, Any]:
        """Return the recipe as the fields of `sparkwater.gpu.config.TrainConfig`."""
        return {
            "optimizer": self.getOptimizer(),
            "learning_rate": self.getLearningRate(),
            "schedule": self.getLearningRateSchedule(),
            "warmup_epochs": self.getWarmupEpochs(),
            "annealing": self.getLearningRateAnnealing(),
            "decay_epochs": self.getDecayEpochs(),
            "decay_factor": self.getDecayFactor(),
            "momentum": self.getMomentum(),
            "momentum_start": self.getMomentumStart(),
            "momentum_ramp": self.getMomentumRamp(),
            "nesterov": self.getNesterov(),
            "weight_decay": self.getWeightDecay(),
            "l1": self.getL1(),
            "max_norm": self.getMaxNorm(),
            "clip_norm": self.getClipNorm(),
            "clip_value": self.getClipValue(),
            "label_smoothing": self.getLabelSmoothing(),
            "augmentation": parse_augmentation(self.getAugmentation()),
        }

    def check_recipe(self) -> None:
        """Refuse values out of range.

        Raises
        ------
        ConfigurationError
            With the Param, its value and what is accepted.
        """
        for name, accepted in (("optimizer", OPTIMIZERS), ("learningRateSchedule", SCHEDULES)):
            refuse_unless(self, name, accepted.__contains__, ", ".join(accepted))
        for name in ("learningRate", "decayEpochs"):
            refuse_unless(self, name, lambda value: 0 < value < float("inf"), "numbers above 0")
        refuse_unless(self, "decayFactor", lambda value: 0 < value <= 1, "numbers above 0, up to 1")
        for name in ("momentum", "momentumStart", "labelSmoothing"):
            refuse_unless(self, name, in_range(0, 1), "numbers from 0 up to, not including, 1")
        for name in _FROM_ZERO:
            refuse_unless(self, name, at_least(0), "numbers from 0 up")
        parse_augmentation(self.getAugmentation())


_FROM_ZERO = (
    "warmupEpochs",
    "learningRateAnnealing",
    "momentumRamp",
    "weightDecay",
    "l1",
    "maxNorm",
    "clipNorm",
    "clipValue",
)
