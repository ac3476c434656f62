"""Fits that hold their rows in one task: all folds of all such learners as the tasks of one Spark job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from sparkwater.conversions.sessions.jobs import run_job
from sparkwater.errors import SparkwaterError
from sparkwater.ml.sklearn.fitting import RESULTS, read_report, run_fit
from sparkwater.ml.sklearn.learner import SklearnLearner, TrainedEstimator, class_vector, collect_fits, log_warnings
from sparkwater.ml.sklearn.predictions import ClassVector
from sparkwater.ml.sklearn.rows import check_bound
from sparkwater.stacking.level_one.checks import NO_ROWS, check_columns, check_counts
from sparkwater.stacking.level_one.finished import find_finished, finish, write_fit
from sparkwater.stacking.level_one.learners import Learner
from sparkwater.stacking.level_one.prepared import FOLD, FoldRows, LevelOneTask, Prepared
from sparkwater.stacking.level_one.records import FitRecord, FoldModel, Scored
from sparkwater.stacking.level_one.values import LEARNER, LEFT_OUT, VALUES, union_all
from sparkwater.stacking.row_keys import ROW

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from sparkwater.stacking.level_one.checkpoints import FitStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Pair:
    """A learner and the fold that it leaves out; the number is the fit's."""

    number: int
    learner: Learner
    fold: FoldRows
    place: int

    @property
    def where(self) -> str:
        return f"learner {self.learner.name!r}, fold {self.fold.value!r}"


def holds_its_rows(learner: Learner) -> bool:
    """Return whether a learner is fitted by one task that holds all rows."""
    return isinstance(learner.stage, SklearnLearner)


def check_plan(learner: Learner, frame: DataFrame) -> None:
    """Refuse what a fit of such a learner would refuse before its job; other learners aren't looked at."""
    if holds_its_rows(learner):
        learner.stage.plan(frame)


def fit_in_one_job(
    prepared: Prepared, learners: Sequence[Learner], keep: bool, checkpoint: FitStore | None
) -> list[Scored]:
    """Fit learners without each of the folds, and score the fold; every fit is a task of one Spark job.

    Parameters
    ----------
    prepared : Prepared
        The rows.
    learners : sequence of Learner
        Learners that hold their rows in one task.
    keep : bool
        Whether to keep the models.
    checkpoint : FitStore, optional
        Folder of the predictions and the models, searched first. Default: Spark's cache.

    Raises
    ------
    ConfigurationError
        If there are more rows than a task may hold; before any fit.
    DataError
        If a learner doesn't give each row a prediction.
    """
    for learner in learners:
        check_bound(prepared.rows.rows, learner.stage.getMaxRows())
    found: list[Scored] = []
    pairs: list[_Pair] = []
    for learner in learners:
        for place, fold in enumerate(prepared.folds):
            folder = checkpoint.fit_folder(learner, place) if checkpoint else None
            earlier = find_finished(prepared, learner, fold, keep, folder) if folder else None
            if earlier:
                found.append(earlier)
            else:
                pairs.append(_Pair(len(pairs), learner, fold, place))
    if not pairs:
        return found
    with _unions_of_tasks(prepared.frame.sparkSession):
        results = _results(prepared, pairs, keep).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        sound, scored, failure = _collect(prepared, pairs, results, keep)
        kept = _kept(scored, sound, checkpoint) if checkpoint else [scored]
        if failure:
            raise failure
    except BaseException:
        results.unpersist()
        raise
    if checkpoint:
        results.unpersist()
    return [*found, *kept]


def fit_on_all_rows(prepared: Prepared, learners: Sequence[Learner]) -> list[Any]:
    """Fit learners that hold their rows on all rows, as the tasks of one Spark job; return their models."""
    classes, rows, tasks = _classes(prepared.task), prepared.all_rows(), []
    for number, learner in enumerate(learners):
        fit, columns = learner.stage.plan(rows)
        where = f"learner {learner.name!r} on all rows"
        fit = replace(fit, name=where, vector=_vector(prepared.task), number=number)
        tasks.append(rows.select(*columns).coalesce(1).mapInArrow(partial(run_fit, fit=fit), RESULTS))
    with _unions_of_tasks(prepared.frame.sparkSession):
        fitted = collect_fits(union_all(tasks))
    return [
        learner.stage.make_model(TrainedEstimator(content, classes, report["rows"]))
        for learner, (report, content) in zip(learners, (fitted[number] for number in range(len(tasks))), strict=True)
    ]


@contextmanager
def _unions_of_tasks(spark: SparkSession) -> Iterator[None]:
    """Let a union of single partitions have a task for each: from 4.1 on Spark makes one task of them all."""
    setting = "spark.sql.unionOutputPartitioning"
    before = spark.conf.get(setting, None)
    spark.conf.set(setting, "false")
    try:
        yield
    finally:
        if before is None:
            spark.conf.unset(setting)
        else:
            spark.conf.set(setting, before)


def _results(prepared: Prepared, pairs: Sequence[_Pair], keep: bool) -> DataFrame:
    """Return what the tasks give; each reads all rows of the cache by itself, so that nothing is shuffled."""
    vector, planned = _vector(prepared.task), {}
    rows: dict[tuple[str, int], DataFrame] = {}
    tasks = []
    for pair in pairs:
        name, place = pair.learner.name, pair.place
        divided = prepared.divided(pair.fold)
        if name not in planned:
            planned[name] = pair.learner.stage.plan(divided)
        fit, columns = planned[name]
        key = (name, place if prepared.timeCol else 0)
        if key not in rows:
            number = _number(prepared, F.col(FOLD))
            rows[key] = divided.select(*columns, F.col(ROW).alias("row"), number.alias("fold")).coalesce(1)
        left_out = tuple(prepared.single.index(one) for one in pair.fold.alone)
        fit = replace(fit, name=pair.where, vector=vector, number=pair.number, folds=left_out, keep=keep)
        tasks.append(rows[key].mapInArrow(partial(run_fit, fit=fit), RESULTS))
    return union_all(tasks)


def _classes(task: LevelOneTask) -> tuple[float, ...]:
    return tuple(float(place) for place in range(len(task.classes))) if task.named else task.classes


def _vector(task: LevelOneTask) -> ClassVector | None:
    return class_vector(_classes(task)) if task.classes else None


def _number(prepared: Prepared, fold: Column) -> Column:
    """Return the place of a fold's value."""
    places = [F.when(fold == F.lit(one.value), F.lit(place)) for place, one in enumerate(prepared.single)]
    return F.coalesce(*places)


def _collect(
    prepared: Prepared, pairs: Sequence[_Pair], results: DataFrame, keep: bool
) -> tuple[list[_Pair], Scored, SparkwaterError | None]:
    """Run the job; return the fits that are sound by their reports and rows, theirs, and the first error of others."""
    values = _values(prepared, pairs, results)
    scores = F.col(ROW).isNotNull()
    grouped = values.groupBy("fit", scores.alias("scores")).agg(
        *check_columns(values.schema), F.max("report").alias("report")
    )
    rows = run_job(grouped.collect)
    reports = {row["fit"]: row["report"] for row in rows if not row["scores"]}
    counts = {row["fit"]: row for row in rows if row["scores"]}
    ended = [_record(pair, reports[pair.number], counts.get(pair.number, NO_ROWS)) for pair in pairs]
    sound = [pair for pair, record in zip(pairs, ended, strict=True) if isinstance(record, FitRecord)]
    records = tuple(record for record in ended if isinstance(record, FitRecord))
    failure = next((error for error in ended if not isinstance(error, FitRecord)), None)
    models = _models(prepared, sound, results) if keep else ()
    chosen = values.where(scores).select(ROW, FOLD, VALUES, LEARNER, LEFT_OUT)
    return sound, Scored(records, chosen, models, results), failure


def _record(pair: _Pair, text: str, counts: Any) -> FitRecord | SparkwaterError:
    """Return the record of a fit by its report and the rows that it scored, or the error that it ended with."""
    try:
        report = read_report(text)
        check_counts(counts, pair.fold.rows, pair.where)
    except SparkwaterError as error:
        return error
    logger.info("%s: fitted in %.1f s", pair.where, report["fitSeconds"])
    log_warnings(report, pair.where)
    return FitRecord(
        pair.learner.name, str(pair.fold.value), pair.fold.rows.rows, report["fitSeconds"], report["scoreSeconds"], 1
    )


def _values(prepared: Prepared, pairs: Sequence[_Pair], results: DataFrame) -> DataFrame:
    """Return the tasks' rows with the names and values that level one has."""
    fold = prepared.frame.schema[prepared.foldCol].dataType
    values = F.col("values")

    def of_fits(text: Callable[[_Pair], str]) -> Column:
        return F.coalesce(*(F.when(F.col("fit") == pair.number, F.lit(text(pair))) for pair in pairs))

    return results.select(
        "fit",
        "report",
        F.col("row").alias(ROW),
        F.coalesce(
            *(F.when(F.col("fold") == place, F.lit(one.value)) for place, one in enumerate(prepared.single))
        ).cast(fold).alias(FOLD),
        (F.slice(values, 2, 1) if prepared.task.size == 2 else values).alias(VALUES),
        of_fits(lambda pair: pair.learner.name).alias(LEARNER),
        of_fits(lambda pair: str(pair.fold.value)).alias(LEFT_OUT),
    )  # fmt: skip


def _models(prepared: Prepared, pairs: Sequence[_Pair], results: DataFrame) -> tuple[FoldModel, ...]:
    reports = F.col("row").isNull() & F.col("fit").isin([pair.number for pair in pairs])
    fitted, classes = collect_fits(results.where(reports)), _classes(prepared.task)

    def model(pair: _Pair) -> Any:
        report, content = fitted[pair.number]
        return pair.learner.stage.make_model(TrainedEstimator(content, classes, report["rows"]))

    return tuple(FoldModel(pair.learner.name, pair.fold.value, prepared.rows.digest, model(pair)) for pair in pairs)


def _kept(scored: Scored, pairs: Sequence[_Pair], checkpoint: FitStore) -> list[Scored]:
    """Write each fit to its folder, and return what was written."""
    kept = []
    for pair, record in zip(pairs, scored.records, strict=True):
        folder = checkpoint.fit_folder(pair.learner, pair.place)
        own = F.col(LEARNER) == pair.learner.name
        models = tuple(one for one in scored.models if (one.learner, one.fold) == (pair.learner.name, pair.fold.value))
        values = scored.values.where(own & (F.col(LEFT_OUT) == str(pair.fold.value)))
        written = write_fit(values, folder, models[0].model if models else None)
        finish(record, written, folder)
        kept.append(Scored((record,), written, models))
    return kept
