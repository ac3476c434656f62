"""The progress of a job's trainings, as values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sparkwater.gpu.records import EpochRecord, StepRecord


@dataclass(frozen=True)
class Training:
    """One training within a job.

    Attributes
    ----------
    planned : float
        The most epochs.
    epochs : tuple of EpochRecord
        Records of its epochs, in order.
    step : StepRecord or None
        The step that was reported last.
    """

    planned: float
    epochs: tuple[EpochRecord, ...] = ()
    step: StepRecord | None = None

    def with_epoch(self, record: EpochRecord) -> Training:
        """Return it after an epoch; an epoch that a restart repeats replaces its first record."""
        if not self.epochs or record.epoch > self.epochs[-1].epoch:
            return replace(self, epochs=(*self.epochs, record))
        kept = {each.epoch: each for each in (*self.epochs, record)}
        return replace(self, epochs=tuple(kept[epoch] for epoch in sorted(kept)))

    def with_step(self, record: StepRecord) -> Training:
        """Return it after a step."""
        return replace(self, step=record)

    @property
    def share(self) -> float:
        """The part of its rows that it has trained, from 0 to 1."""
        done = float(len(self.epochs))
        if self.step is not None and self.step.rows_an_epoch:
            done = max(done, self.step.epoch + self.step.rows / self.step.rows_an_epoch)
        return min(done / self.planned, 1.0) if self.planned else 0.0

    @property
    def speeds(self) -> tuple[float, ...]:
        """Rows a second of each rank, by the last step that was reported."""
        return self.step.speeds if self.step is not None else ()

    @property
    def rows_a_second(self) -> float | None:
        """Rows a second in the last epoch, in the first one so far; None before its first report."""
        last = self.epochs[-1] if self.epochs else None
        if last is None:
            return sum(self.speeds) or None
        return last.rows / last.seconds if last.seconds else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the remaining rows take at the speed of those done; None before the first report."""
        if self.epochs:
            mean = sum(each.seconds for each in self.epochs) / len(self.epochs)
        elif self.step is not None and self.rows_a_second:
            mean = self.step.rows_an_epoch / self.rows_a_second
        else:
            return None
        return mean * self.planned * (1 - self.share)
