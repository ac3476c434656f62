"""What a training did: the epochs, the rows, the skipped rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from typing import TYPE_CHECKING, Any

from sparkwater.gpu.job import RankJob
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.training.timings import Timings, mean_timings, timings_of_ranks
from sparkwater.ml.reports.choices import resolve
from sparkwater.ml.reports.confusion import ConfusionMatrix, label_name
from sparkwater.ml.reports.history import EPOCH_VALUES, epoch_values
from sparkwater.ml.summary_text import describe

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class TrainingSummary:
    """Summary of one ``fit``; it is saved and loaded with the model.

    Attributes
    ----------
    records : tuple of EpochRecord
        One an epoch.
    numRows : int
        Rows trained in each epoch.
    numValidationRows : int
        Rows that were held out to validate on.
    numWeightless : int
        Rows left out because their weight is 0.
    numSkipped : int
        Rows left out by ``handleInvalid``.
    skippedRows : tuple of (str, str)
        The first of them on each rank: name and reason.
    numWorkers : int
        Ranks.
    collective : str
        What added up the gradients: ``horovod``, ``torch``, ``memory``, or ``local`` for a single rank.
    device : str
        Where rank 0 computed.
    rowsPerRank : tuple of int
        Rows that each rank held.
    stoppedBy : str
        The Param that ended the training: ``epochs``, ``stoppingRounds``, ``maxRuntimeSecs`` or
        ``callbacks``.
    bestEpoch : int or None
        The epoch, counted from 0, whose weights the model has, where the best were kept.
    restarts : int
        How often the training started again after a loss.
    resumedAt : int
        Steps that an earlier attempt or fit had done already; 0 for a training from its beginning.
    lostCheckpoints : tuple of str
        Why checkpoints could not be written.
    totalSeconds : float
        Wall time of the whole ``fit``, on the driver.
    timingsPerRank : tuple of Timings
        What it was spent on, as each rank saw it; after restarts, in the last attempt.
    confusionMatrix : ConfusionMatrix or None
        Of the rows that judge, after the model's epoch: those to validate on where there are any, else the
        training rows, each as it was scored at its own step. None for a training of no epochs, and for
        more than 200 classes.
    resolved : dict
        What each open choice became, by the names of Params and of other things; see
        `sparkwater.ml.reports.choices.resolve`.
    """

    records: tuple[EpochRecord, ...]
    numRows: int
    numValidationRows: int
    numWeightless: int
    numSkipped: int
    skippedRows: tuple[tuple[str, str], ...]
    numWorkers: int
    collective: str
    device: str
    rowsPerRank: tuple[int, ...]
    stoppedBy: str
    bestEpoch: int | None
    restarts: int
    resumedAt: int
    lostCheckpoints: tuple[str, ...]
    totalSeconds: float
    timingsPerRank: tuple[Timings, ...]
    confusionMatrix: ConfusionMatrix | None
    resolved: dict[str, Any]

    @classmethod
    def of(cls, job: RankJob, outcomes: Sequence[Outcome], restarts: int, seconds: float) -> TrainingSummary:
        """Return the summary of what the ranks were to do, and how all of them ended."""
        rows = tuple(outcome.rows for outcome in outcomes)
        resolved = resolve(job, outcomes)
        return cls(
            records=tuple(outcomes[0].history),
            numRows=sum(rows),
            numValidationRows=sum(outcome.held_out for outcome in outcomes),
            numWeightless=sum(outcome.weightless for outcome in outcomes),
            numSkipped=sum(outcome.skipped for outcome in outcomes),
            skippedRows=tuple(row for outcome in outcomes for row in outcome.skipped_listed),
            numWorkers=len(outcomes),
            collective=resolved["collective"],
            device=outcomes[0].device,
            rowsPerRank=rows,
            stoppedBy=str(outcomes[0].stopped_by),
            bestEpoch=outcomes[0].best_epoch,
            restarts=restarts,
            resumedAt=outcomes[0].resumed_at,
            lostCheckpoints=tuple(outcomes[0].lost_checkpoints),
            totalSeconds=seconds,
            timingsPerRank=timings_of_ranks([outcome.timings for outcome in outcomes], seconds),
            confusionMatrix=_confusion(job, outcomes[0]),
            resolved=resolved,
        )

    @property
    def timings(self) -> Timings:
        """Seconds of the fit by what they were spent on: the mean over the ranks."""
        return mean_timings(self.timingsPerRank)

    @property
    def objectiveHistory(self) -> list[float]:
        """The loss of each epoch, as in Spark ML's summaries."""
        return [record.loss for record in self.records]

    @property
    def history(self) -> DataFrame:
        """One row an epoch.

        Columns are epoch, rows, loss, accuracy, seconds, rowsPerSecond, learningRate, then logloss,
        error, meanPerClassError, auc and topKError of the training rows, and the same of the
        validation rows (validationLogloss, ...), null where there are none; see
        `sparkwater.gpu.records.EpochRecord` and `sparkwater.gpu.tasks.class_metrics.Metrics`.
        """
        schema = ", ".join(["epoch int", "rows long", *(f"{name} double" for name in EPOCH_VALUES)])
        rows = [(record.epoch, record.rows, *epoch_values(record).values()) for record in self.records]
        return _session().createDataFrame(rows, schema)

    @property
    def perClass(self) -> DataFrame | None:
        """One row a class: label, rows, precision, recall, f1 and error of the rows that judge.

        None where ``confusionMatrix`` is; see `sparkwater.ml.reports.confusion.ClassScores`.
        """
        if self.confusionMatrix is None:
            return None
        schema = "label string, rows double, precision double, recall double, f1 double, error double"
        return _session().createDataFrame(list(map(astuple, self.confusionMatrix.classes)), schema)

    def __str__(self) -> str:
        return describe(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> TrainingSummary:
        """Return the summary that `to_dict` gave, also after a way through JSON."""
        return cls(
            **{
                **fields,
                "records": tuple(EpochRecord.from_dict(record) for record in fields["records"]),
                "skippedRows": tuple((name, reason) for name, reason in fields["skippedRows"]),
                "rowsPerRank": tuple(fields["rowsPerRank"]),
                "lostCheckpoints": tuple(fields["lostCheckpoints"]),
                "confusionMatrix": _matrix(fields["confusionMatrix"]),
                "timingsPerRank": tuple(Timings(**timings) for timings in fields["timingsPerRank"]),
            }
        )


def _confusion(job: RankJob, outcome: Outcome) -> ConfusionMatrix | None:
    if outcome.confusion is None:
        return None
    return ConfusionMatrix(tuple(map(label_name, job.classes)), tuple(map(_counts, outcome.confusion)))


def _counts(weights: Sequence[float]) -> tuple[float, ...]:
    return tuple(int(weight) if float(weight).is_integer() else weight for weight in weights)


def _matrix(fields: dict[str, Any] | None) -> ConfusionMatrix | None:
    return ConfusionMatrix(tuple(fields["labels"]), tuple(map(tuple, fields["counts"]))) if fields else None


def _session() -> SparkSession:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()
