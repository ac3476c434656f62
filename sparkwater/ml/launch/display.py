"""Display of progress on the driver: a log line an epoch, and a bar in terminals and notebooks."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from sparkwater.gpu.records import EpochRecord, Observer, StepRecord
from sparkwater.gpu.tasks import Metrics

with warnings.catch_warnings():
    # A notebook without ipywidgets gets a bar of text, and needs no advice.
    warnings.filterwarnings("ignore", "IProgress not found")
    from tqdm.auto import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

logger = logging.getLogger(__name__)

#: Trainings that run side by side have one bar between them: the first that reports.
_bar_lock = threading.Lock()


@contextmanager
def shown(epochs: float, spark_has_a_bar: bool) -> Iterator[Observer]:
    """Show progress while the ``with`` block runs; gives the observer to report to.

    Each epoch is a log line of level INFO. Where a notebook's kernel runs, or the standard error stream is a
    terminal, there is also a bar; log lines that go to the terminal are then written above it.

    Parameters
    ----------
    epochs : float
        Largest number of epochs.
    spark_has_a_bar : bool
        Whether Spark writes its own bar to the terminal (``spark.ui.showConsoleProgress``): two would overwrite
        each other, so there is none of ours.
    """
    with _room(spark_has_a_bar) as free, ExitStack() as stack:
        if free:
            bar = _Bar(epochs)
            stack.callback(bar.close)
            yield all_of(Observer(lambda record: log_epoch(record, epochs)), Observer(bar.on_epoch, bar.on_step))
        else:
            yield Observer(lambda record: log_epoch(record, epochs))


@contextmanager
def counted(total: float, unit: str, spark_has_a_bar: bool) -> Iterator[Callable[[float, str], None]]:
    """Show a bar of some work where `shown` would, while the ``with`` block runs; trainings in it show log lines alone.

    It gives a function that takes what is done so far, and words on it.

    Parameters
    ----------
    total : float
        All that is to be done; infinite where that isn't known.
    unit : str
        Unit of both, with the space before it.
    spark_has_a_bar : bool
        As for `shown`.
    """
    with _room(spark_has_a_bar) as free, ExitStack() as stack:
        if not free:
            yield lambda _done, _words: None
            return
        bar = tqdm(total=None if total == float("inf") else total, unit=unit, mininterval=0)
        stack.callback(bar.close)

        def tell(done: float, words: str) -> None:
            bar.set_description(words, refresh=False)
            bar.update(round(min(done, total), 1) - bar.n)
            bar.refresh()

        yield tell


@contextmanager
def _room(spark_has_a_bar: bool) -> Iterator[bool]:
    """Keep the only bar for the length of a ``with`` block; gives False where there is none, or another has it."""
    terminal = sys.stderr.isatty() and not spark_has_a_bar
    with ExitStack() as stack:
        free = (terminal or _in_notebook()) and _bar_lock.acquire(blocking=False)
        if free:
            stack.callback(_bar_lock.release)
            if terminal:
                stack.enter_context(logging_redirect_tqdm())
        yield free


def all_of(*observers: Observer) -> Observer:
    """Return an observer that reports to others."""

    def on_epoch(record: EpochRecord) -> None:
        for observer in observers:
            observer.on_epoch(record)

    def on_step(record: StepRecord) -> None:
        for observer in observers:
            observer.on_step(record)

    return Observer(on_epoch, on_step)


def log_epoch(record: EpochRecord, epochs: float) -> None:
    """Log one line."""
    logger.info(
        "epoch %d/%g  loss %.4f%s%s  %d rows/s  %.0f s left",
        record.epoch + 1,
        epochs,
        record.loss,
        "" if record.accuracy is None else f"  accuracy {100 * record.accuracy:.2f} %",
        _headline(record.validation) if record.validation else "",
        record.rows / record.seconds,
        record.seconds * max(epochs - record.epoch - 1, 0),
    )


def _headline(metrics: Metrics) -> str:
    """Return the first metric of a task, and its error rate where it has one."""
    name, value = next(iter(metrics.items()))
    error = metrics.get("error")
    return f"  validation {name} {value:.4f}" + ("" if error is None else f"  error {100 * error:.2f} %")


class _Bar:
    """A progress bar: rows done of all epochs, rows a second, time left, and the metrics.

    It begins with the first report: the time before that says nothing about the training's speed.
    """

    def __init__(self, epochs: float) -> None:
        self._epochs = epochs
        self._bar: Any = None
        self._lock = threading.Lock()
        self._numbers: dict[str, str] = {}

    def on_epoch(self, record: EpochRecord) -> None:
        rows = (record.epoch + 1) * record.rows if record.epoch + 1 <= self._epochs else None
        numbers = {"loss": f"{record.loss:.4f}"}
        if record.accuracy is not None:
            numbers["accuracy"] = f"{record.accuracy:.2%}"
        if record.validation:
            first, error = next(iter(record.validation.values())), record.validation.get("error")
            numbers["validation"] = f"{first:.4f}" + ("" if error is None else f" ({1 - error:.2%})")
        self._show(record.epoch, rows, record.rows * self._epochs, numbers)

    def on_step(self, record: StepRecord) -> None:
        done = record.epoch * record.rows_an_epoch + record.rows
        self._show(record.epoch, done, record.rows_an_epoch * self._epochs, {"loss": f"{record.loss:.4f}"})

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _show(self, epoch: int, rows: int | None, total: float, numbers: dict[str, str]) -> None:
        with self._lock:
            if self._bar is None:
                self._bar = tqdm(total=round(total), initial=rows or 0, unit=" rows", unit_scale=True, mininterval=0)
            done = self._bar.total if rows is None else rows
            if done < self._bar.n:  # reports may overtake each other
                return
            self._numbers.update(numbers)
            self._bar.set_description(f"epoch {epoch + 1}/{self._epochs:g}", refresh=False)
            self._bar.set_postfix(self._numbers, refresh=False)
            self._bar.update(done - self._bar.n)
            self._bar.refresh()


def _in_notebook() -> bool:
    """Return whether a kernel runs this process: Jupyter's, Databricks', an editor's."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None
