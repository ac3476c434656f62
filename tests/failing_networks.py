"""Networks whose rank 1 fails, dies or stands still in mid-training; they travel to the executors by value."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from by_value import by_value

from sparkwater.gpu.networks import lenet, register_network, registry


class FailsAtStepSeven(torch.nn.Module):
    """LeNet, but rank 1 raises when it is called for the eighth time."""

    def __init__(self, shape, classes):
        super().__init__()
        self.network = lenet(shape, classes)
        self.calls = 0

    def forward(self, batch):
        from pyspark import TaskContext

        context = TaskContext.get()
        self.calls += torch.is_grad_enabled()  # the trial of the memory layout doesn't count
        if context is not None and context.partitionId() == 1 and self.calls == 8:
            raise ArithmeticError("the eighth step is too much")
        return self.network(batch)


class MeetsItsEnd(torch.nn.Module):
    """LeNet, but rank 1 sends itself a signal when it is called for the fourth time."""

    def __init__(self, shape, classes, number):
        super().__init__()
        self.network = lenet(shape, classes)
        self.number = number
        self.calls = 0

    def forward(self, batch):
        from pyspark import TaskContext

        context = TaskContext.get()
        self.calls += torch.is_grad_enabled()  # the trial of the memory layout doesn't count
        if context is not None and context.partitionId() == 1 and self.calls == 4:
            os.kill(os.getpid(), self.number)
        return self.network(batch)


@contextmanager
def failing_networks() -> Iterator[None]:
    """Register the networks while the ``with`` block runs: ``fails``, ``killed`` and ``stopped``."""
    before = dict(registry._REGISTRY)
    shape = (28, 28, 1)
    register_network("fails", image_shape=shape)(lambda shape, classes: FailsAtStepSeven(shape, classes))
    register_network("killed", image_shape=shape)(lambda shape, classes: MeetsItsEnd(shape, classes, signal.SIGKILL))
    register_network("stopped", image_shape=shape)(lambda shape, classes: MeetsItsEnd(shape, classes, signal.SIGSTOP))
    with by_value(__name__):
        yield
    registry._REGISTRY.clear()
    registry._REGISTRY.update(before)
