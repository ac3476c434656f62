"""Blending: level one from a hold-out that no learner saw."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.plain_values import hash_columns, plain_column
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.stacking.cross_fitting import LevelOneFrame, collect_level_one
from sparkwater.stacking.ensemble_model import BaseModel
from sparkwater.stacking.folds import Folds, role_columns
from sparkwater.stacking.level_one.checks import check_rows
from sparkwater.stacking.level_one.deviance import deviance_of
from sparkwater.stacking.level_one.fit_plan import count_slots, plan_fits
from sparkwater.stacking.level_one.fits import retry, run_side_by_side
from sparkwater.stacking.level_one.learners import CLASSIFICATION, Learner, hide_columns, last_stage
from sparkwater.stacking.level_one.prepare import prepare
from sparkwater.stacking.level_one.prepared import FOLD, LevelOneTask, Prepared
from sparkwater.stacking.level_one.records import FitRecord, Scored
from sparkwater.stacking.level_one.values import LEARNER, VALUES, add_values
from sparkwater.stacking.row_keys import ROW

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

_HOLDOUT = "hold-out"


def blend(
    learners: Sequence[Learner],
    holdout: DataFrame,
    training: DataFrame | None,
    folds: Folds | str,
    labelCol: str,
    weightCol: str | None,
    idCol: str | None,
    parallelism: int | None,
) -> tuple[LevelOneFrame, tuple[BaseModel, ...]]:
    """Fit the learners that aren't fitted, and score the hold-out with all of them.

    The hold-out's folds serve the meta-learner's own cross-validation.

    Raises
    ------
    ConfigurationError
        If there are no rows to train a learner on.
    DataError
        If a row is in both parts, or a fitted learner tells other classes apart.
    """
    unfitted = [learner.name for learner in learners if not learner.fitted]
    if unfitted and training is None:
        raise ConfigurationError(f"learner {unfitted[0]!r} isn't fitted: blending needs a training DataFrame for it")
    roles = role_columns(folds, holdout.columns, idCol, weightCol)
    learners = [hide_columns(learner, roles) for learner in learners]
    if training is not None:
        _check_apart(holdout, training, idCol)
    kind, deviance = learners[0].kind, deviance_of(learners)
    prepared = prepare(holdout, folds, kind, labelCol, idCol=idCol, weightCol=weightCol, deviance=deviance)
    with ExitStack() as undo:
        undo.callback(prepared.frame.unpersist)
        _check_classes(learners, prepared.task)
        plan = plan_fits(learners, 1, count_slots(holdout.sparkSession), parallelism)
        logger.info("blending on %d rows: %s", prepared.rows.rows, plan)
        work = [partial(_score, prepared, learner, training, undo) for learner in plan.learners]
        found = run_side_by_side(work, plan.parallelism)
        level_one = collect_level_one(prepared, learners, [scored for scored, _ in found])
        undo.pop_all()
    bases = {base.name: base for _, base in found}
    return level_one, tuple(bases[learner.name] for learner in learners)


def _check_apart(holdout: DataFrame, training: DataFrame, idCol: str | None) -> None:
    """Refuse rows that are in both parts, by id or content; one Spark job."""
    names = [idCol] if idCol else list(holdout.columns)
    missing = [name for name in names if name not in training.columns]
    if missing:
        raise SchemaError(f"the training rows have no column {missing[0]!r}, which the hold-out has")
    _check_comparable(holdout, training, names)
    keys = [frame.select(hash_columns(frame.schema, names).alias(ROW)) for frame in (holdout, training)]
    both = keys[0].join(keys[1], ROW, "left_semi").count()
    if both:
        raise DataError(f"{both} rows of the hold-out are among the training rows, so the learners have seen them")


def _check_comparable(holdout: DataFrame, training: DataFrame, names: Sequence[str]) -> None:
    """Refuse columns of types whose values are never equal, such as float and double: any row would pass."""
    given, plain = [], []
    for frame in (holdout, training):
        given.append([find_field(frame.schema, name).dataType.simpleString() for name in names])
        columns = frame.select(*(plain_column(frame.schema, name) for name in names)).schema.fields
        plain.append([column.dataType.simpleString() for column in columns])
    for name, *types, left, right in zip(names, *given, *plain, strict=True):
        if left != right:
            raise SchemaError(
                f"column {name!r} is {types[0]} in the hold-out and {types[1]} in the training rows, so no two rows "
                "are ever equal; cast one of them, or name the rows with idCol"
            )


def _check_classes(learners: Sequence[Learner], task: LevelOneTask) -> None:
    for learner in learners:
        classes = getattr(last_stage(learner.stage), "numClasses", task.size) if learner.fitted else task.size
        if task.kind == CLASSIFICATION and classes != task.size:
            raise DataError(
                f"learner {learner.name!r} was fitted on {classes} classes, the hold-out has {task.size}; all learners "
                "must have seen the same classes"
            )


def _score(
    prepared: Prepared, learner: Learner, training: DataFrame | None, undo: ExitStack
) -> tuple[Scored, BaseModel]:
    started, model, attempts = time.monotonic(), learner.stage, 0
    if not learner.fitted and training is not None:
        rows = _numbered(training, prepared.task, prepared.labelCol)
        model, attempts = retry(lambda: learner.stage.fit(rows), f"learner {learner.name!r}")
    fitted = time.monotonic()
    values = add_values(prepared.scorable(), model, learner, prepared.task)
    values = values.select(ROW, FOLD, VALUES, F.lit(learner.name).alias(LEARNER)).persist()
    undo.callback(values.unpersist)  # where this fit, or another one, fails
    check_rows(values, prepared.rows, f"learner {learner.name!r}")
    record = FitRecord(
        learner.name, _HOLDOUT, prepared.rows.rows, fitted - started, time.monotonic() - fitted, attempts
    )
    return Scored((record,), values, (), values), BaseModel(learner.name, learner.output, (model,))


def _numbered(frame: DataFrame, task: LevelOneTask, labelCol: str) -> DataFrame:
    return frame.withColumn(labelCol, task.label(labelCol)) if task.named else frame
