"""Params of computation and communication: device, precision, collective, gradient compression."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.conversions.stages.accepts import one_of
from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.connections import COLLECTIVES
from sparkwater.gpu.collective.shared_memory import machine
from sparkwater.gpu.device import DEVICES, device_here
from sparkwater.gpu.networks.compute import PRECISIONS
from sparkwater.gpu.training.gradients import COMPRESSIONS
from sparkwater.ml.launch.preflight import is_local

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class ComputeParams(Settings):
    """Params of devices, numbers and messages."""

    device: Setting[str] = setting(
        "auto",
        "device that the workers compute on; auto takes a GPU where each has one to itself",
        accepts=one_of(*DEVICES),
    )
    precision: Setting[str] = setting(
        "float32",
        "dtype in which convolutions and matrix products compute while training; weights and sums stay float32, and "
        "the model scores in float32. bfloat16 gains on GPUs and on processors with instructions for it (AVX-512 "
        "BF16, AMX, or ARM's); on others it is much slower than float32, of which the first worker's log warns. "
        "float16 keeps small gradients by scaling the loss, and is for GPUs: on processors it works and is slow",
        accepts=one_of(*PRECISIONS),
        field="precision",
    )
    compileNetwork: Setting[bool] = setting(
        False,
        "let torch.compile compile the network on each worker. It needs a C++ compiler there, and a minute before the "
        "first step",
        field="compiled",
    )
    collective: Setting[str] = setting(
        "auto",
        "collective that sums gradients over the workers: Horovod, torch.distributed, or the memory of a machine that "
        "all of them share, which is the fastest for CPUs and needs no Horovod; a single worker needs none. auto is "
        "memory on a local master (local[N], local-cluster) without GPUs, and horovod elsewhere. With three workers "
        "and more the last bits of sums depend on it. The summary's collective is the one that was used",
        accepts=one_of("auto", *COLLECTIVES),
    )
    gradientCompression: Setting[str] = setting(
        "none",
        "dtype that gradients are rounded to on their way between workers: half the bytes, at the price of exact sums. "
        "Horovod doesn't take bfloat16",
        accepts=one_of(*COMPRESSIONS),
        field="gradient_compression",
    )

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
        on_cpus = device_here(self.getDevice()).type == "cpu"
        return "memory" if is_local(spark) and machine() and on_cpus else "horovod"
