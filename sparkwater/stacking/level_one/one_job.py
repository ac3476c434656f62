"""Fits that hold their rows in one task: all folds of all such learners as the tasks of one Spark job."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.ml.sklearn.fitting import RESULTS, read_report, run_fit
from sparkwater.ml.sklearn.learner import SklearnLearner, TrainedEstimator, class_vector
from sparkwater.ml.sklearn.rows import check_bound
from sparkwater.stacking.level_one.checks import check_columns, check_counts, run_job
from sparkwater.stacking.level_one.finished import find_finished, finish, write_fit
from sparkwater.stacking.level_one.learners import Learner
from sparkwater.stacking.level_one.prepare import FOLD, FoldRows, LevelOneTask, Prepared
from sparkwater.stacking.level_one.records import FitRecord, FoldModel, Scored
from sparkwater.stacking.level_one.values import LEARNER, VALUES
from sparkwater.stacking.row_keys import ROW

if TYPE_CHECKING:
    from pyspark.sql import Column

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
    results = _results(prepared, pairs, keep).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        scored = _collect(prepared, pairs, results, keep)
        if not checkpoint:
            return [*found, scored]
        kept = [_kept(scored, pair, checkpoint) for pair in pairs]
    except BaseException:
        results.unpersist()
        raise
    results.unpersist()
    return [*found, *kept]


def _results(prepared: Prepared, pairs: Sequence[_Pair], keep: bool) -> DataFrame:
    """Return what the tasks give; each reads all rows of the cache by itself, so that nothing is shuffled."""
    vector, planned = class_vector(_classes(prepared.task)), {}
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
        fit = replace(fit, name=pair.where, vector=vector, number=pair.number, fold=place, keep=keep)
        tasks.append(rows[key].mapInArrow(partial(run_fit, fit=fit), RESULTS))
    return reduce(DataFrame.unionAll, tasks)


def _classes(task: LevelOneTask) -> tuple[float, ...]:
    return tuple(float(place) for place in range(len(task.classes))) if task.named else task.classes


def _number(prepared: Prepared, fold: Column) -> Column:
    """Return the place of a fold's value."""
    places = [F.when(fold == F.lit(one.value), F.lit(place)) for place, one in enumerate(prepared.folds)]
    return F.coalesce(*places)


def _collect(prepared: Prepared, pairs: Sequence[_Pair], results: DataFrame, keep: bool) -> Scored:
    """Run the job, and check each fit's report and the rows that it scored."""
    values = _values(prepared, pairs, results)
    scores = F.col(ROW).isNotNull()
    grouped = values.groupBy("fit", scores.alias("scores")).agg(
        *check_columns(values.schema), F.max("report").alias("report")
    )
    rows = run_job(grouped.collect)
    reports = {
        row["fit"]: read_report(row["report"]) for row in sorted(rows, key=lambda row: row["fit"]) if not row["scores"]
    }
    counts = {row["fit"]: row for row in rows if row["scores"]}
    records = []
    for pair in pairs:
        check_counts(counts.get(pair.number, _NONE), pair.fold.rows, pair.where)
        report = reports[pair.number]
        records.append(
            FitRecord(
                pair.learner.name, str(pair.fold.value), pair.fold.rows.rows,
                report["fitSeconds"], report["scoreSeconds"], 1,
            )
        )  # fmt: skip
        logger.info("%s: fitted in %.1f s", pair.where, report["fitSeconds"])
    models = _models(prepared, pairs, results, reports) if keep else ()
    chosen = values.where(scores).select(ROW, FOLD, VALUES, LEARNER)
    return Scored(tuple(records), chosen, models, results)


#: Counts of a fit that scored no rows.
_NONE = {"rows": 0, "total": 0, "mixed": 0, "empty": 0}


def _values(prepared: Prepared, pairs: Sequence[_Pair], results: DataFrame) -> DataFrame:
    """Return the tasks' rows with the names and values that level one has."""
    fold = prepared.frame.schema[prepared.foldCol].dataType
    values = F.col("values")
    names = [F.when(F.col("fit") == pair.number, F.lit(pair.learner.name)) for pair in pairs]
    return results.select(
        "fit",
        "report",
        F.col("row").alias(ROW),
        F.coalesce(
            *(F.when(F.col("fold") == place, F.lit(one.value)) for place, one in enumerate(prepared.folds))
        ).cast(fold).alias(FOLD),
        (F.slice(values, 2, 1) if prepared.task.size == 2 else values).alias(VALUES),
        F.coalesce(*names).alias(LEARNER),
    )  # fmt: skip


def _models(
    prepared: Prepared, pairs: Sequence[_Pair], results: DataFrame, reports: Mapping[int, Any]
) -> tuple[FoldModel, ...]:
    content: dict[int, bytes] = {}
    for row in results.where("content is not null").select("fit", "content").collect():
        content[row["fit"]] = content.get(row["fit"], b"") + bytes(row["content"])
    classes = _classes(prepared.task)
    return tuple(
        FoldModel(
            pair.learner.name,
            pair.fold.value,
            prepared.rows.digest,
            pair.learner.stage.make_model(
                TrainedEstimator(content[pair.number], classes, reports[pair.number]["rows"] - pair.fold.rows.rows)
            ),
        )
        for pair in pairs
    )


def _kept(scored: Scored, pair: _Pair, checkpoint: FitStore) -> Scored:
    """Write a fit to its folder, and return what was written."""
    folder = checkpoint.fit_folder(pair.learner, pair.place)
    own = F.col(LEARNER) == pair.learner.name
    models = tuple(one for one in scored.models if (one.learner, one.fold) == (pair.learner.name, pair.fold.value))
    values = scored.values.where(own & (F.col(FOLD) == F.lit(pair.fold.value)))
    written = write_fit(values, folder, models[0].model if models else None)
    record = scored.records[pair.number]
    finish(record, written, folder)
    return Scored((record,), written, models)
