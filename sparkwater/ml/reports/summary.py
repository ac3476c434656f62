"""Summary of a training: epochs, metrics, rows, skipped rows, timings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.sessions.session import current_session
from sparkwater.gpu.job import RankJob
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.tasks import Metrics
from sparkwater.gpu.tasks.hits import MAX_CONFUSED
from sparkwater.gpu.training.timings import Timings, mean_timings, timings_of_ranks
from sparkwater.ml.reports.choices import resolve
from sparkwater.ml.reports.confusion import ConfusionMatrix, LabelScores, label_scores
from sparkwater.ml.reports.history import epoch_columns, epoch_values
from sparkwater.ml.reports.tables import Rows, best_threshold, describe_tables, read_rows, table_frame, tables_in
from sparkwater.ml.reports.text_table import table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.plots import Plot


#: Lists and dicts in ``resolved`` that are longer than this many characters are cut.
_WIDTH = 100


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
        The collective that summed gradients: ``horovod``, ``torch``, ``memory``, or ``local`` for a single rank.
    device : str
        Device of rank 0.
    rowsPerRank : tuple of int
        Rows that each rank held.
    stoppedBy : str
        The Param that ended the training: ``epochs``, ``stoppingRounds``, ``maxRuntimeSecs`` or
        ``callbacks``.
    bestEpoch : int or None
        The epoch, counted from 0, whose weights the model has, where the best were kept.
    restarts : int
        Number of restarts after a lost rank.
    resumedAt : int
        Steps that an earlier attempt or fit had done already; 0 for a training from its beginning.
    lostCheckpoints : tuple of str
        Reasons of failed writes of checkpoints.
    totalSeconds : float
        Wall time of the whole ``fit``, on the driver.
    timingsPerRank : tuple of Timings
        Seconds by kind of work, as measured by each rank; after restarts, in the last attempt.
    confusionMatrix : ConfusionMatrix or None
        Of the rows that judge, after the model's epoch: those to validate on where there are any, else the
        training rows, each as it was scored at its own step. None for a training of no epochs, for more than
        200 classes, and for tasks without classes.
    labelScores : tuple of LabelScores
        Of the same rows, one a label, where rows have any number of labels; empty for other tasks.
    metricNames : tuple of str
        Metrics of the task.
    resolved : dict
        Values of the open choices, by the names of Params and of other settings; see
        `sparkwater.ml.reports.choices.resolve`.
    tables : dict of str to tuple of tuple of float or None
        Rows of ``thresholds``, ``gainsLift`` and ``quantiles``, where there are such; see the properties.
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
    labelScores: tuple[LabelScores, ...]
    metricNames: tuple[str, ...]
    resolved: dict[str, Any]
    tables: dict[str, Rows] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        job: RankJob,
        outcomes: Sequence[Outcome],
        restarts: int,
        seconds: float,
        choices: Mapping[str, Any] | None = None,
    ) -> TrainingSummary:
        """Return the summary of a job and all ranks' outcomes, with further choices of the learner."""
        rows = tuple(outcome.rows for outcome in outcomes)
        resolved = {**(choices or {}), **resolve(job, outcomes)}
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
            confusionMatrix=ConfusionMatrix.of(job.task.names, outcomes[0].details),
            labelScores=label_scores(job.task.names, outcomes[0].details),
            metricNames=tuple(job.task.METRICS),
            resolved=resolved,
            tables=tables_in(outcomes[0].details),
        )

    @property
    def timings(self) -> Timings:
        """Seconds of the fit by kind of work: the mean over the ranks."""
        return mean_timings(self.timingsPerRank)

    @property
    def objectiveHistory(self) -> list[float]:
        """The loss of each epoch, as in Spark ML's summaries."""
        return [record.loss for record in self.records]

    @property
    def history(self) -> DataFrame:
        """One row an epoch.

        Columns are epoch, rows, loss, accuracy (for classes), seconds, rowsPerSecond, learningRate, then the
        metrics of the training rows (for classes logloss, error, meanPerClassError, auc and topKError), and the
        same of the validation rows (validationLogloss, ...), null where there are none; see
        `sparkwater.gpu.records.EpochRecord`.
        """
        schema = ", ".join(["epoch int", "rows long", *(f"{name} double" for name in epoch_columns(self.metricNames))])
        rows = [
            (record.epoch, record.rows, *(values[name] for name in epoch_columns(self.metricNames)))
            for record, values in ((record, epoch_values(record)) for record in self.records)
        ]
        return current_session().createDataFrame(rows, schema)

    @property
    def perClass(self) -> DataFrame | None:
        """One row a class: label, rows, precision, recall, f1 and error of the rows that judge.

        None where ``confusionMatrix`` is; see `sparkwater.ml.reports.confusion.ClassScores`.
        """
        if self.confusionMatrix is None:
            return None
        schema = "label string, rows double, precision double, recall double, f1 double, error double"
        return current_session().createDataFrame(list(map(astuple, self.confusionMatrix.classes)), schema)

    @property
    def perLabel(self) -> DataFrame | None:
        """One row a label: label, rows, precision, recall, f1 and auc of the rows that judge.

        None where rows have one class each, or numbers; see `sparkwater.ml.reports.confusion.LabelScores`.
        """
        if not self.labelScores:
            return None
        schema = "label string, rows double, precision double, recall double, f1 double, auc double"
        return current_session().createDataFrame(list(map(astuple, self.labelScores)), schema)

    @property
    def thresholds(self) -> DataFrame | None:
        """One row a threshold: threshold, f1, precision, recall, specificity and accuracy of the rows that judge.

        A row counts as of the second class where its probability is at least the threshold. Up to 100 of them, spread
        evenly over the rows, and the one with the highest F1. None but for two classes, with rows of both.
        """
        return table_frame(current_session(), self.tables, "thresholds")

    @property
    def bestThreshold(self) -> float | None:
        """The threshold with the highest F1; None where ``thresholds`` is."""
        best = best_threshold(self.tables)
        return None if best is None else best[0]

    @property
    def gainsLift(self) -> DataFrame | None:
        """One row a group of rows that judge, the most probable ones of the second class first: gains and lift.

        See `sparkwater.gpu.tasks.curves.Curves.gains` for the columns. None where ``thresholds`` is.
        """
        return table_frame(current_session(), self.tables, "gainsLift")

    @property
    def perQuantile(self) -> DataFrame | None:
        """One row a quantile: quantile, pinballLoss and shareBelow, the share of the labels at or below it.

        Of the rows that judge; None where no quantiles were learned together.
        """
        return table_frame(current_session(), self.tables, "quantiles")

    def plot(self, kind: str = "curves") -> Plot:
        """Return a plot of the training, with a text alternative; driver side, without a Spark job.

        Parameters
        ----------
        kind : {"curves", "confusion", "classes"}
            The loss and the first two metrics by epoch, of training and validation rows; ``confusionMatrix`` as a heat
            map of counts and shares; or precision, recall and F1 of each class, or of each label.

        Raises
        ------
        ConfigurationError
            If there is no plot of this name.
        DataError
            If the training has nothing to show in it.
        """
        from sparkwater.ml.reports.plotting import plot_training

        return plot_training(kind, self.records, self.bestEpoch, self.confusionMatrix, self.labelScores)

    def __str__(self) -> str:
        return describe(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> TrainingSummary:
        """Return the summary from `to_dict`, also after a way through JSON."""
        return cls(
            **{
                **fields,
                "records": tuple(EpochRecord.from_dict(record) for record in fields["records"]),
                "skippedRows": tuple((name, reason) for name, reason in fields["skippedRows"]),
                "rowsPerRank": tuple(fields["rowsPerRank"]),
                "lostCheckpoints": tuple(fields["lostCheckpoints"]),
                "confusionMatrix": ConfusionMatrix.from_dict(fields["confusionMatrix"]),
                "labelScores": tuple(LabelScores(**scores) for scores in fields["labelScores"]),
                "metricNames": tuple(fields["metricNames"]),
                "tables": {name: read_rows(rows) for name, rows in fields.get("tables", {}).items()},
                "timingsPerRank": tuple(Timings(**timings) for timings in fields["timingsPerRank"]),
            }
        )


def describe(summary: TrainingSummary) -> str:
    """Return the summary as text: settings, metrics, resolved choices and timings."""
    lines = [
        f"{summary.resolved['network']}, {summary.numWorkers} worker{'s' * (summary.numWorkers > 1)} "
        f"({summary.collective}, {summary.device}), {summary.totalSeconds:.1f} s",
        f"epochs: {len(summary.records)}, ended by {summary.stoppedBy}{_model(summary)}",
        f"rows: {summary.numRows:,} trained, {summary.numValidationRows:,} to validate on, "
        f"{summary.numWeightless:,} of weight 0, {summary.numSkipped:,} skipped; none is padded or trained twice",
        *_results(summary),
        *_losses(summary),
        "chosen:",
        *(f"  {name}: {_short(value)}" for name, value in summary.resolved.items()),
        f"time, in seconds{' (mean of the workers, least, most)' if summary.numWorkers > 1 else ''}:",
        _times(summary),
    ]
    return "\n".join(lines)


def _model(summary: TrainingSummary) -> str:
    return "" if summary.bestEpoch is None else f"; the model is that of epoch {summary.bestEpoch}, the best"


def _results(summary: TrainingSummary) -> list[str]:
    if not summary.records:
        return []
    record = summary.records[-1 if summary.bestEpoch is None else summary.bestEpoch]
    lines = [
        f"loss: {summary.records[0].loss:.4f} in the first epoch, {record.loss:.4f} in the model's",
        f"training rows: {_metrics(record.training)}",
    ]
    if record.validation:
        lines.append(f"validation rows: {_metrics(record.validation)}")
    lines += describe_tables(summary.tables)
    if summary.confusionMatrix is None and "error" in summary.metricNames:
        lines.append(f"by class: left out, there are more than {MAX_CONFUSED} classes")
    return lines


def _metrics(metrics: Metrics) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items() if value is not None)


def _losses(summary: TrainingSummary) -> list[str]:
    lines = []
    if summary.restarts or summary.resumedAt:
        lines.append(f"restarts: {summary.restarts}, went on from step {summary.resumedAt}")
    lines += [f"skipped: {name}: {reason}" for name, reason in summary.skippedRows]
    lines += [f"checkpoint lost: {reason}" for reason in summary.lostCheckpoints]
    return lines


def _short(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}..."


def _times(summary: TrainingSummary) -> str:
    ranks = [asdict(timings) for timings in summary.timingsPerRank]
    lines = []
    for name, mean in asdict(summary.timings).items():
        spread = [f"{extreme(rank[name] for rank in ranks):.2f}" for extreme in (min, max)]
        share = f"{mean / summary.totalSeconds:.0%}"
        lines.append([f"  {name}", f"{mean:.2f}", share, *(spread if len(ranks) > 1 else [])])
    return table(lines)
