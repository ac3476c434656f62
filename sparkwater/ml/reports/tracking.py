"""Experiment trackers on the driver: MLflow and TensorBoard.

Nothing that a tracker does ends a training: one that fails is given up, with a warning.
"""

from __future__ import annotations

import importlib.util
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.records import EpochRecord, Observer
from sparkwater.ml.reports.history import epoch_values
from sparkwater.ml.reports.summary import TrainingSummary

logger = logging.getLogger(__name__)

#: What MLflow takes of a value at least.
LONGEST_PARAM = 500

_ACCEPTED = "'mlflow', 'tensorboard:FOLDER'"


class _Tracker(Protocol):
    def log(self, values: Mapping[str, float], epoch: int) -> None: ...

    def log_summary(self, summary: TrainingSummary) -> None: ...

    def close(self, status: str) -> None: ...


class _MLflow:
    """The run that is active in this thread, or one of its own."""

    def __init__(self, params: Mapping[str, str]) -> None:
        import mlflow

        self._mlflow = mlflow
        active = mlflow.active_run()
        self._is_own = active is None
        self._run = (active or mlflow.start_run()).info.run_id
        # The active run is a thread's own, and reports come in others.
        self._client = mlflow.MlflowClient()
        entities = [mlflow.entities.Param(name, value[:LONGEST_PARAM]) for name, value in params.items()]
        try:
            self._client.log_batch(self._run, params=entities)
        except mlflow.MlflowException as error:  # a run's params can't change; this may be its second training
            logger.warning("the MLflow run %s keeps the params that it had: %s", self._run, error)

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        now = int(1000 * time.time())
        metrics = [self._mlflow.entities.Metric(name, value, now, epoch) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def log_summary(self, summary: TrainingSummary) -> None:
        self.log({f"seconds.{part}": seconds for part, seconds in asdict(summary.timings).items()}, 0)
        self._client.log_text(self._run, str(summary), "training.txt")

    def close(self, status: str) -> None:
        if self._is_own:
            self._mlflow.end_run(status)


class _TensorBoard:
    """A folder of its own within the given one, so that trainings can be seen side by side."""

    def __init__(self, folder: str, name: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(f"{folder.rstrip('/')}/{name}")

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def log_summary(self, summary: TrainingSummary) -> None:
        self._writer.add_text("training", "".join(f"    {line}\n" for line in str(summary).splitlines()))

    def close(self, status: str) -> None:
        del status
        self._writer.close()


def check_trackers(trackers: Sequence[str]) -> None:
    """Refuse unknown trackers, and those whose package isn't installed.

    Raises
    ------
    ConfigurationError
        With what is accepted, or what to install.
    """
    for tracker in trackers:
        name, _, folder = tracker.partition(":")
        if (name, bool(folder)) not in (("mlflow", False), ("tensorboard", True)) or tracker.endswith(":"):
            raise ConfigurationError(f"trackers={list(trackers)!r}; accepted: a list of {_ACCEPTED}")
        if importlib.util.find_spec(name) is None:
            package = "mlflow-skinny, or mlflow" if name == "mlflow" else name
            raise ConfigurationError(f"trackers={list(trackers)!r}: the driver has no {name}; install {package}")


class Tracking:
    """Several trackers, to which each epoch is logged once.

    Attributes
    ----------
    observer : Observer
        Observer of epochs, callable in any thread.
    """

    def __init__(self, trackers: dict[str, _Tracker]) -> None:
        self.observer = Observer(on_epoch=self._log)
        self._trackers = trackers
        self._logged: set[int] = set()
        self._failed: set[str] = set()
        self._lock = threading.Lock()

    def log_summary(self, summary: TrainingSummary) -> None:
        """Log the epochs whose report got lost, or that an earlier fit trained, and the summary."""
        for record in summary.records:
            self._log(record)
        with self._lock:
            self._each_that_works(lambda tracker: tracker.log_summary(summary))

    def close(self, status: str) -> None:
        """Close all of them, also those that failed: an MLflow run must not stay the active one."""
        with self._lock:
            for name, tracker in self._trackers.items():
                self._try(name, tracker, lambda each: each.close(status))

    def _log(self, record: EpochRecord) -> None:
        values = {name: value for name, value in epoch_values(record).items() if value is not None}
        with self._lock:
            if record.epoch not in self._logged:
                self._logged.add(record.epoch)
                self._each_that_works(lambda tracker: tracker.log(values, record.epoch))

    def _each_that_works(self, do: Callable[[_Tracker], None]) -> None:
        for name, tracker in self._trackers.items():
            if name not in self._failed:
                self._try(name, tracker, do)

    def _try(self, name: str, tracker: _Tracker, do: Callable[[_Tracker], None]) -> None:
        try:
            do(tracker)
        except Exception as error:  # whatever the library raises
            if name not in self._failed:
                logger.warning("%s failed, and keeps no more of this training: %s", name, error)
            self._failed.add(name)


@contextmanager
def tracked(trackers: Sequence[str], name: str, params: Mapping[str, str]) -> Iterator[Tracking]:
    """Open trackers for the length of a ``with`` block; an exception in it marks their run as failed.

    Parameters
    ----------
    trackers : sequence of str
        As `check_trackers` takes them.
    name : str
        Name of the training.
    params : mapping of str to str
        Params of the training.

    Raises
    ------
    ConfigurationError
        If one can't be opened.
    """
    opened: dict[str, _Tracker] = {}
    tracking = Tracking(opened)
    status = "FAILED"
    try:
        for tracker in trackers:
            opened[tracker] = _open(tracker, name, params)
        yield tracking
        status = "FINISHED"
    finally:
        tracking.close(status)


def _open(tracker: str, name: str, params: Mapping[str, str]) -> _Tracker:
    kind, _, folder = tracker.partition(":")
    try:
        return _MLflow(params) if kind == "mlflow" else _TensorBoard(folder, name)
    except Exception as error:  # whatever the library raises
        raise ConfigurationError(f"trackers: {tracker!r} can't be opened: {error}") from error
