"""What a training did: the epochs, the rows, the skipped rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.train import EpochRecord

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
    numSkipped : int
        Rows left out by ``handleInvalid``.
    skippedRows : tuple of (str, str)
        The first of them on each rank: name and reason.
    numWorkers : int
        Ranks.
    collective : str
        What added up the gradients: ``horovod``, ``torch``, or ``local`` for a single rank.
    device : str
        Where rank 0 computed.
    rowsPerRank : tuple of int
        Rows that each rank held.
    totalSeconds : float
        Wall time of the whole ``fit``, on the driver.
    """

    records: tuple[EpochRecord, ...]
    numRows: int
    numSkipped: int
    skippedRows: tuple[tuple[str, str], ...]
    numWorkers: int
    collective: str
    device: str
    rowsPerRank: tuple[int, ...]
    totalSeconds: float

    @classmethod
    def of(cls, outcomes: Sequence[Outcome], collective: str, seconds: float) -> TrainingSummary:
        """Return the summary of how all ranks ended."""
        rows = tuple(outcome.rows for outcome in outcomes)
        return cls(
            records=tuple(outcomes[0].history),
            numRows=sum(rows),
            numSkipped=sum(outcome.skipped for outcome in outcomes),
            skippedRows=tuple(row for outcome in outcomes for row in outcome.skipped_listed),
            numWorkers=len(outcomes),
            collective=collective if len(outcomes) > 1 else "local",
            device=outcomes[0].device,
            rowsPerRank=rows,
            totalSeconds=seconds,
        )

    @property
    def objectiveHistory(self) -> list[float]:
        """The loss of each epoch, as in Spark ML's summaries."""
        return [record.loss for record in self.records]

    @property
    def history(self) -> DataFrame:
        """One row an epoch: epoch, loss, accuracy, rows, seconds, rowsPerSecond."""
        rows = [(*asdict(record).values(), record.rows / record.seconds) for record in self.records]
        schema = "epoch int, loss double, accuracy double, rows long, seconds double, rowsPerSecond double"
        return _session().createDataFrame(rows, schema)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> TrainingSummary:
        """Return the summary that `to_dict` gave, also after a way through JSON."""
        return cls(
            **{
                **fields,
                "records": tuple(EpochRecord(**record) for record in fields["records"]),
                "skippedRows": tuple((name, reason) for name, reason in fields["skippedRows"]),
                "rowsPerRank": tuple(fields["rowsPerRank"]),
            }
        )


def _session() -> SparkSession:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()
