"""Params of how the workers compute, and of what they exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from pyspark.ml.param import Param, Params, TypeConverters

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collectives import COLLECTIVES
from sparkwater.gpu.compute import PRECISIONS
from sparkwater.gpu.device import DEVICES
from sparkwater.gpu.gradients import COMPRESSIONS
from sparkwater.gpu.shared_memory import machine
from sparkwater.ml.declared import declare, refuse_unless
from sparkwater.ml.preflight import is_local

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class ComputeParams(Params):
    """Params of devices, numbers and messages."""

    device: Param[str] = declare("device", f"one of {', '.join(DEVICES)}", TypeConverters.toString)
    precision: Param[str] = declare(
        "precision",
        f"what the layers that gain from it compute in, in training: one of {', '.join(PRECISIONS)}",
        TypeConverters.toString,
    )
    compileNetwork: Param[bool] = declare(
        "compileNetwork", "let torch.compile compile the network on each worker", TypeConverters.toBoolean
    )
    collective: Param[str] = declare(
        "collective",
        f"what adds up gradients: auto, or one of {', '.join(COLLECTIVES)}; a single worker needs none",
        TypeConverters.toString,
    )
    gradientCompression: Param[str] = declare(
        "gradientCompression",
        f"what gradients are rounded to on their way between workers: one of {', '.join(COMPRESSIONS)}",
        TypeConverters.toString,
    )

    def getDevice(self) -> str:
        """Return the value of ``device``."""
        return self.getOrDefault(self.device)

    def getPrecision(self) -> str:
        """Return the value of ``precision``."""
        return self.getOrDefault(self.precision)

    def getCompileNetwork(self) -> bool:
        """Return the value of ``compileNetwork``."""
        return self.getOrDefault(self.compileNetwork)

    def getCollective(self) -> str:
        """Return the value of ``collective``."""
        return self.getOrDefault(self.collective)

    def getGradientCompression(self) -> str:
        """Return the value of ``gradientCompression``."""
        return self.getOrDefault(self.gradientCompression)

    def computing(self) -> dict[str, Any]:
        """Return what `sparkwater.gpu.config.TrainConfig` has of them, by its names."""
        return {
            "precision": self.getPrecision(),
            "compiled": self.getCompileNetwork(),
            "gradient_compression": self.getGradientCompression(),
        }

    def check_compute_params(self) -> None:
        """Refuse values that don't exist, or don't go together.

        Raises
        ------
        ConfigurationError
            With the parameter, its value and what is accepted.
        """
        for name, accepted in (
            ("device", DEVICES),
            ("precision", PRECISIONS),
            ("collective", ("auto", *COLLECTIVES)),
            ("gradientCompression", COMPRESSIONS),
        ):
            refuse_unless(self, name, accepted.__contains__, ", ".join(accepted))

    def choose_collective(self, spark: SparkSession) -> str:
        """Return what adds up gradients in a session: ``auto`` is decided before any worker starts.

        It is memory only where all workers share a machine in every run: on a cluster the executors that Spark
        picks would decide in which order gradients are added, and with it the last bits.

        Raises
        ------
        ConfigurationError
            If it can't add up what gradients are rounded to.
        """
        collective = self.getCollective()
        if collective == "auto":
            one_machine = bool(machine()) and is_local(spark)
            on_cpus = self.getDevice() == "cpu" or not torch.cuda.device_count()
            collective = "memory" if one_machine and on_cpus else "horovod"
        if collective == "horovod" and self.getGradientCompression() == "bfloat16":
            raise ConfigurationError(
                f"gradientCompression='bfloat16' with collective={self.getCollective()!r}: Horovod adds no bfloat16; "
                "use 'float16', or collective='torch'"
            )
        return collective
