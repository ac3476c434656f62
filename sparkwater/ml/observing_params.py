"""Params of who is told how a training goes."""

from __future__ import annotations

from typing import Any

from pyspark import cloudpickle
from pyspark.ml.param import Param, Params

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.callbacks import Callback
from sparkwater.ml.declared import declare


def _to_callbacks(value: Any) -> list[Callback]:
    if isinstance(value, (list, tuple)) and all(map(callable, value)):
        return list(value)
    raise TypeError(f"callbacks={value!r}; accepted: a list of functions that take an EpochRecord")


class ObservingParams(Params):
    """Params of who is told how a training goes."""

    callbacks: Param[list[Callback]] = declare(
        "callbacks",
        "functions that are called with the EpochRecord after each epoch, where rank 0 runs; one that returns True "
        "ends the training",
        _to_callbacks,
    )

    def getCallbacks(self) -> list[Callback]:
        """Return the value of ``callbacks``; empty where it isn't set."""
        return self.getOrDefault(self.callbacks) if self.isDefined(self.callbacks) else []

    def check_observing_params(self) -> None:
        """Refuse functions that can't travel to the executors.

        Raises
        ------
        ConfigurationError
            With the function and the reason.
        """
        for place, callback in enumerate(self.getCallbacks()):
            _check_travels(callback, f"callbacks[{place}]={callback!r}")

    def check_saved_without_callbacks(self) -> None:
        """Refuse to save functions.

        Raises
        ------
        ConfigurationError
            If there are some.
        """
        if self.getCallbacks():
            raise ConfigurationError(
                "callbacks are set: Params are saved as JSON, which holds no functions; save after "
                "estimator.clear(estimator.callbacks)"
            )


def _check_travels(callback: Callback, named: str) -> None:
    try:
        cloudpickle.dumps(callback)  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever the objects raise that it holds
        raise ConfigurationError(
            f"{named} can't travel to the executors: {error}; it may hold only what cloudpickle takes, no open files, "
            "locks or Spark sessions"
        ) from error
