"""Params of computation and communication: device, precision, collective, gradient compression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from pyspark.ml.param import Param, Params, TypeConverters

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.connections import COLLECTIVES
from sparkwater.gpu.collective.shared_memory import machine
from sparkwater.gpu.device import DEVICES
from sparkwater.gpu.networks.compute import PRECISIONS
from sparkwater.gpu.training.gradients import COMPRESSIONS
from sparkwater.ml.launch.preflight import is_local
from sparkwater.ml.params.declaring import declare, refuse_unless

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class ComputeParams(Params):
    """Params of devices, precision and communication."""

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
        f"what adds up gradients: one of {', '.join(COLLECTIVES)}, or auto, which is memory where all workers share a "
        "machine without GPUs; a single worker needs none",
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
        """Return the Params as fields of `sparkwater.gpu.config.TrainConfig`."""
        return {
            "precision": self.getPrecision(),
            "compiled": self.getCompileNetwork(),
            "gradient_compression": self.getGradientCompression(),
        }

    def check_compute_params(self) -> None:
        """Refuse unknown values and combinations.

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

    def choose_collective(self, spark: SparkSession, workers: int) -> str:
        """Return the collective that sums gradients in a session; ``local`` for a single worker.

        Raises
        ------
        ConfigurationError
            If it doesn't support the device, or the gradient compression.
        """
        if workers == 1:
            return "local"
        given, device = self.getCollective(), self.getDevice()
        collective = self._default_collective(spark) if given == "auto" else given
        if collective == "memory" and device == "cuda":
            raise ConfigurationError(
                f"device='cuda' with collective={given!r}: memory is for CPUs; use collective='horovod' or 'torch'"
            )
        if collective == "horovod" and self.getGradientCompression() == "bfloat16":
            raise ConfigurationError(
                f"gradientCompression='bfloat16' with collective={given!r}: Horovod adds no bfloat16; use 'float16', "
                "or collective='torch'"
            )
        return collective

    def _default_collective(self, spark: SparkSession) -> str:
        # Where Spark places the workers, which executors it picks would decide in which order gradients are added, and
        # with it the last bits: memory is for those that share a machine in every run.
        device = self.getDevice()
        on_gpus = device == "cuda" or (device == "auto" and torch.cuda.device_count() > 0)
        return "memory" if is_local(spark) and machine() and not on_gpus else "horovod"
