"""Params of callbacks and experiment trackers."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from pyspark import cloudpickle

from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.callbacks import Callback
from sparkwater.ml.reports.tracking import Tracking, check_trackers, tracked


def _to_callbacks(value: Any) -> list[Callback]:
    if isinstance(value, (list, tuple)) and all(map(callable, value)):
        return list(value)
    raise TypeError(f"callbacks={value!r}; accepted: a list of functions that take an EpochRecord")


class ObservingParams(Settings):
    """Params of callbacks and trackers."""

    callbacks: Setting[list[Callback] | None] = setting(
        None,
        "functions that are called with the EpochRecord (sparkwater.gpu.records) after each epoch, by the task of rank "
        "0, on its executor; one that returns True ends the training there. They travel as Spark's own closures do, so "
        "what they change stays on the executor. What one raises fails the fit, and so does one that takes longer than "
        "stallTimeout, where there are other workers. For checkpointDir, a training that one of them ended is done. "
        "For example callbacks=[lambda record: record.training.error < 0.01]",
        convert=_to_callbacks,
    )
    trackers: Setting[list[str] | None] = setting(
        None,
        "trackers that get each epoch's metrics while the fit runs, and its summary, on the driver: 'mlflow', "
        "'tensorboard:FOLDER'. mlflow logs to the MLflow run that is active, or to one of its own; tensorboard:FOLDER "
        "writes to a folder within FOLDER that has the estimator's uid and the time as its name",
    )

    def getCallbacks(self) -> list[Callback]:
        """Return the value of ``callbacks``; empty where it isn't set."""
        return (self.getOrDefault(self.callbacks) if self.isDefined(self.callbacks) else None) or []

    def getTrackers(self) -> list[str]:
        """Return the value of ``trackers``; empty where it isn't set."""
        return (self.getOrDefault(self.trackers) if self.isDefined(self.trackers) else None) or []

    def check_observing_params(self) -> None:
        """Refuse functions that can't travel to the executors, and unknown trackers.

        Raises
        ------
        ConfigurationError
            With the function or the tracker, and the reason.
        """
        check_trackers(self.getTrackers())
        for place, callback in enumerate(self.getCallbacks()):
            _check_travels(callback, f"callbacks[{place}]={callback!r}")

    def tracking(self) -> AbstractContextManager[Tracking]:
        """Open the trackers for the length of a ``with`` block; see `tracked`."""
        params = {param.name: str(self.getOrDefault(param)) for param in self.params if self.isDefined(param)}
        return tracked(self.getTrackers(), f"{self.uid}-{datetime.now():%Y%m%d-%H%M%S-%f}", params)

    def check_saved_without_callbacks(self) -> None:
        """Refuse to save functions.

        Raises
        ------
        ConfigurationError
            If there are callbacks.
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
