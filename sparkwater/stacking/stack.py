"""Training of a meta-learner on level one, its cross-validated estimate, and the summary of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import DataError
from sparkwater.stacking.calibration.choice import NONE
from sparkwater.stacking.combiners.blocks import Layout, open_blocks
from sparkwater.stacking.combiners.choice import BEST
from sparkwater.stacking.combiners.losses import Combination
from sparkwater.stacking.examine import Examined, examine
from sparkwater.stacking.level_one.fits import retry, run_side_by_side
from sparkwater.stacking.level_one.learners import CLASSIFICATION, Learner
from sparkwater.stacking.level_one.metrics import (
    LABEL,
    WEIGHT,
    LearnerMetrics,
    Losses,
    collect_losses,
    compare,
    labelled,
)
from sparkwater.stacking.level_one.prepared import FOLD, LevelOneTask, Prepared
from sparkwater.stacking.level_one.values import output_values, union_all
from sparkwater.stacking.meta_learner import (
    LEVEL_ONE,
    OUTPUTS,
    LevelOneInput,
    MetaWeights,
    default_meta_learner,
    measured_output,
)
from sparkwater.stacking.row_keys import ROW
from sparkwater.stacking.scores import ENSEMBLE, Curve, Levels, Tried, interval, rank_learners
from sparkwater.stacking.summary import EnsembleSummary

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.stacking.cross_fitting import LevelOneFrame


@dataclass(frozen=True)
class MetaFit:
    """A meta-learner that was trained and measured.

    Attributes
    ----------
    model : pyspark.ml.Model
        Trained on all of level one.
    weights : MetaWeights
        Its coefficients and importances.
    metrics : LearnerMetrics
        Metrics of the learners, and of the ensemble by its own cross-validation.
    difference : mapping of str to Losses
        The ensemble's first loss less each learner's.
    name : str
        Name of the combiner that was chosen; empty for other meta-learners, whose weights are of columns.
    tried : tuple of Tried
        Estimates of the combiners that were tried.
    examined : Examined
        Diagnostics, and the calibration.
    honest : mapping of int to Combination
        What scores each fold in its estimate; empty for other meta-learners than combiners.
    """

    model: Any
    weights: MetaWeights
    metrics: LearnerMetrics
    difference: dict[str, Losses]
    name: str = ""
    tried: tuple[Tried, ...] = ()
    examined: Examined = field(default_factory=Examined)
    honest: Mapping[int, Combination] = field(default_factory=dict)

    def columns(self, reads: LevelOneInput) -> tuple[dict[str, range], list[str]]:
        """Return the positions of each learner's weights, and the names of these weights."""
        width = 1 if self.name else reads.task.width
        positions = {name: range(place * width, (place + 1) * width) for place, name in enumerate(reads.learners)}
        names = [f"{name}/{number}" if width > 1 else name for name in reads.learners for number in range(width)]
        return positions, names


def fit_meta_learner(
    level_one: LevelOneFrame, reads: LevelOneInput, given: Any, parallelism: int, calibration: str = NONE
) -> MetaFit:
    """Train the meta-learner on all rows, and once without each fold to measure it.

    Parameters
    ----------
    level_one : LevelOneFrame
        The level-one frame.
    reads : LevelOneInput
        The input columns.
    given : pyspark.ml.Estimator or None
        The user's meta-learner; None for the default one.
    parallelism : int
        Fits at a time.
    calibration : {"none", "temperature", "isotonic", "auto"}
        Calibration of its probabilities.
    """
    prepared = level_one.prepared
    session = session_of(prepared.frame.sparkSession)
    session.activate()  # threads of Spark's CrossValidator have no active session
    rows = ordered_level_one(prepared, level_one.values, reads).persist()
    try:
        meta = configured(given or _default(rows, reads, prepared.rows.rows), bool(prepared.weightCol))
        work = [
            partial(_fit, meta, rows.where(F.col(FOLD) != fold.value), f"without fold {fold.value!r}")
            for fold in prepared.folds
        ]
        *partial_models, model = run_side_by_side([*work, partial(_fit, meta, rows, "on all rows")], parallelism)
        scored = _score_out_of_fold(rows, partial_models, [fold.value for fold in prepared.folds], reads)
        scored = session.keep(scored)
        try:
            names = list(reads.learners)
            found = collect_losses(scored, prepared.task, [*names, ENSEMBLE])
            difference = compare(scored, prepared.task, ENSEMBLE, names)
            examined = _examine(scored, level_one, names, calibration)
            session.release(partial_models, meta)
        finally:
            scored.unpersist()
        metrics = LearnerMetrics(prepared.task.kind, found, prepared.task.deviance)
        return MetaFit(model, MetaWeights.of(model), metrics, difference, examined=examined)
    finally:
        rows.unpersist()


def _examine(scored: DataFrame, level_one: LevelOneFrame, names: Sequence[str], calibration: str) -> Examined:
    """Examine the meta-learner's own predictions, which are those of one more learner."""
    task, folds = level_one.task, [fold.value for fold in level_one.prepared.folds]
    number = F.coalesce(*(F.when(F.col(FOLD).eqNullSafe(value), place) for place, value in enumerate(folds)))
    rows = scored.select(
        F.concat(*(F.col(f"`{name}`") for name in [*names, ENSEMBLE])).alias("values"),
        F.col(LABEL).alias("label"),
        F.col(WEIGHT).alias("weight"),
        number.alias("fold"),
    )
    layout = Layout(len(names) + 1, task.width, task.kind == CLASSIFICATION, task.deviance)
    own = Combination("pool", (*([0.0] * len(names)), 1.0))
    with open_blocks(rows, layout, level_one.prepared.rows.rows) as blocks:
        return examine(blocks, layout, len(names), dict.fromkeys(range(len(folds)), own), calibration, len(folds))


def _default(frame: DataFrame, reads: LevelOneInput, rows: int) -> Any:
    first = frame.select(LEVEL_ONE).first()
    if first is None:
        raise DataError("level one has no rows")
    columns = len(reads.learners) * reads.task.width
    return default_meta_learner(reads.task, columns, len(first[LEVEL_ONE]) - columns, rows, reads.transform)


def ordered_level_one(prepared: Prepared, values: DataFrame, reads: LevelOneInput) -> DataFrame:
    """Return the rows of level one as a meta-learner reads them: in order of their keys.

    Few of them are in one partition, others in as many as follow from their number: `NonNegativeRegression` gives the
    same bits on any cluster. Spark's own learners add partitions up as their tasks end, so that the last digits of
    sums over three or more depend on that order.

    Parameters
    ----------
    prepared : Prepared
        The rows.
    values : pyspark.sql.DataFrame
        The learners' values.
    reads : LevelOneInput
        The input columns.
    """
    rows = labelled(prepared, values, *reads.passthrough)
    rows = rows.withColumn(LEVEL_ONE, reads.column(rows.schema))
    return rows.repartition(prepared.parts, ROW).sortWithinPartitions(ROW)


def configured(meta: Any, weighted: bool) -> Any:
    """Return the meta-learner set to the columns of level one; its own outputs have names of ours."""
    values = {"featuresCol": LEVEL_ONE, "labelCol": LABEL, **OUTPUTS}
    if weighted and meta.hasParam("weightCol"):
        values["weightCol"] = WEIGHT
    return meta.copy({meta.getParam(name): value for name, value in values.items() if meta.hasParam(name)})


def _fit(meta: Any, rows: DataFrame, what: str) -> Any:
    return retry(lambda: meta.fit(rows), f"the meta-learner {what}")[0]


def _score_out_of_fold(rows: DataFrame, models: Sequence[Any], folds: Sequence[Any], reads: LevelOneInput) -> DataFrame:
    output = measured_output(reads.task.kind)
    learner = Learner(ENSEMBLE, None, reads.task.kind, output)
    kept = [ROW, LABEL, WEIGHT, FOLD, *(F.col(f"`{name}`") for name in reads.learners)]
    parts = [
        model.transform(rows.where(F.col(FOLD) == fold)).select(
            *kept, output_values(F.col(output), learner, reads.task).alias(ENSEMBLE)
        )
        for model, fold in zip(models, folds, strict=True)
    ]
    return union_all(parts)


def summarize(
    level_one: LevelOneFrame,
    reads: LevelOneInput,
    meta: MetaFit,
    strategy: str,
    seconds: float,
    curves: Sequence[Curve] = (),
    levels: Levels | None = None,
) -> EnsembleSummary:
    """Return the summary of a fit; ``levels`` is that of a second level, where there is one."""
    positions, columns = meta.columns(reads)
    importance = meta.weights.importance
    best = min(reads.learners, key=meta.metrics.value)
    mean, low, high = interval(meta.difference[best])
    return EnsembleSummary(
        strategy=strategy,
        metrics=meta.metrics.names,
        scores=rank_learners(meta.metrics, meta.weights.share(positions), level_one.fits),
        rows=level_one.prepared.rows.rows,
        folds=len(level_one.prepared.folds),
        fingerprint=level_one.fingerprint,
        best=best,
        difference=mean,
        differenceLow=low,
        differenceHigh=high,
        coefficients=meta.weights.coefficients,
        columns=(*columns, *_other_columns(len(importance) - len(columns), reads)),
        skipped=_without_weight(importance, positions),
        notes=(*_notes(meta, best, reads), *([str(levels)] if levels else ())),
        fits=level_one.fits,
        totalSeconds=seconds,
        metaLearner=meta.name,
        tried=meta.tried,
        learners=reads.learners,
        classes=_class_names(reads.task),
        calibration=meta.examined.name,
        calibrationsTried=meta.examined.tried,
        diagnostics=meta.examined.diagnostics,
        curves=tuple(curves),
        levels=levels,
    )


def _without_weight(importance: Sequence[float], positions: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """Return the learners whose columns have no importance."""
    return tuple(name for name, places in positions.items() if importance and not any(importance[at] for at in places))


def _other_columns(number: int, reads: LevelOneInput) -> list[str]:
    """Return the names of the meta-learner's columns that aren't the learners'."""
    given = list(reads.passthrough)
    return given if number == len(given) else [f"passthrough/{place}" for place in range(number)]


def _notes(meta: MetaFit, best: str, reads: LevelOneInput) -> Iterator[str]:
    """Yield remarks for the reader."""
    if len(reads.learners) == 1:
        yield "there is one learner only: the ensemble can only correct it"
    if meta.name == BEST and meta.metrics.value(ENSEMBLE) != meta.metrics.value(best):
        yield (
            "the ensemble's line accounts for the choice of its learner: each fold is scored by the learner that the "
            f"others find best. The line of {best!r} doesn't, so it is hopeful"
        )


def _class_names(task: LevelOneTask) -> tuple[str, ...]:
    """Return the names of the classes; none for regression."""
    if task.kind != CLASSIFICATION:
        return ()
    return tuple(map(str, task.classes if task.named else range(task.size)))
