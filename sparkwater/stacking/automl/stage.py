"""``AutoML``: learners for raw columns, tried, searched and stacked within a budget."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.ml import Estimator

from sparkwater.conversions.sessions.session import was_cancelled
from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.errors import ConfigurationError, first_line
from sparkwater.stacking.automl.choosing import Chosen, choose_model, refit_seconds
from sparkwater.stacking.automl.data import (
    FOLDS,
    Inputs,
    LabelFacts,
    PartFacts,
    as_names,
    look_at_columns,
    look_at_label,
    look_at_parts,
)
from sparkwater.stacking.automl.families import FAMILIES, Family, Setup, choose
from sparkwater.stacking.automl.model import AutoMLModel
from sparkwater.stacking.automl.params import AutoMLParams
from sparkwater.stacking.automl.portfolio import families_of
from sparkwater.stacking.automl.proposals import Proposals, Start
from sparkwater.stacking.automl.summary import AutoMLSummary, entries_of
from sparkwater.stacking.combined import check_calibration
from sparkwater.stacking.folds import Folds
from sparkwater.stacking.level_one.learners import CLASSIFICATION, find_learners, weighted
from sparkwater.stacking.scores import rank_learners
from sparkwater.stacking.search.budget import Budget
from sparkwater.stacking.search.exploring import Explored, Rows, explore, open_rows
from sparkwater.stacking.search.finishing import finish

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Found:
    """The rows as AutoML learns from them, and the facts on them."""

    frame: DataFrame
    label: LabelFacts
    inputs: Inputs
    parts: PartFacts | None
    starts: list[Start]

    @property
    def said(self) -> str:
        """Report on the columns, and on what shares a fold."""
        return self.inputs.found + (f"\n{self.parts.said}" if self.parts else "")


class AutoML(Estimator[AutoMLModel], AutoMLParams, SavedStage):
    """Find a model for the raw columns of a DataFrame in one call, within a budget.

    ``fit`` looks at the label and the columns, chooses folds, and tries families of learners from cheap to dear, each
    on the same folds: regression, forest, boosted trees and networks for tables, or networks for pictures. In the
    time that is left it tries the best families with other Params. It stacks all, and the best of each family, by
    greedy selection, takes the one with the lower estimate, or the best learner alone where no ensemble is better,
    and fits the learners that it needs again on all rows.
    """

    def _fit(self, dataset: DataFrame) -> AutoMLModel:
        started = time.monotonic()
        self.check_fit(dataset)
        found = self._look(dataset)
        logger.info("%s, %d rows\n%s", found.label.kind, found.label.rows, found.said)
        explored = Explored()
        budget = Budget(
            models=self.getMaxModels(),
            seconds=self.getMaxRuntimeSecs(),
            started=started,
            reserve=lambda: refit_seconds(explored.trials),
        )
        opened = open_rows(
            found.frame, self._folds(found), found.label.kind, self.getLabelCol(), self.getWeightCol(), self.getIdCol(),
            self.getCheckpointDir(),
        )  # fmt: skip
        with opened as rows:
            try:
                propose = Proposals(found.starts, self.getSeed(), budget)
                explore(rows, propose, budget, self.getParallelism(), explored, adaptive=True)
                level_one = finish(rows, explored)
                chosen = choose_model(
                    level_one, explored.trials, self.getParallelism(), budget.remaining(), self.getCalibration()
                )
                return self._finish(rows, found, explored, chosen, started)
            except BaseException:
                explored.unpersist()
                raise

    def _finish(self, rows: Rows, found: _Found, explored: Explored, chosen: Chosen, started: float) -> AutoMLModel:
        model = AutoMLModel()
        model.bestModel, model.levelOne = chosen.model, chosen.levelOne if self.getKeepLevelOne() else None
        model.summary = AutoMLSummary(
            task=found.label.kind,
            metrics=chosen.levelOne.metrics.names,
            found=found.said,
            entries=entries_of(
                explored.trials,
                rank_learners(chosen.levelOne.metrics, {}, chosen.levelOne.fits),
                chosen.ensembles,
                chosen.weights,
            ),
            trials=tuple(explored.trials),
            chosen=chosen.name,
            rows=rows.prepared.rows.rows,
            folds=len(rows.prepared.folds),
            fingerprint=chosen.levelOne.fingerprint,
            notes=(explored.ended, *self._said(explored), *chosen.notes),
            totalSeconds=time.monotonic() - started,
        )
        logger.info("%s", model.summary)
        if not self.getKeepLevelOne():
            chosen.levelOne.unpersist()
        return self._copyValues(model._resetUid(self.uid))

    def _said(self, explored: Explored) -> tuple[str, ...]:
        """Return a remark on a budget that was too small for more than one learner."""
        seconds = self.getMaxRuntimeSecs()
        if len(explored.trials) > 1 or not seconds:
            return ()
        return (f"maxRuntimeSecs={seconds:g} was enough for one learner only; give it more for others and ensembles",)

    def check_fit(self, dataset: DataFrame) -> None:
        """Refuse everything that can be known to be wrong before a Spark job runs."""
        self.check_settings()
        if not self.getMaxRuntimeSecs() and not self.getMaxModels():
            raise ConfigurationError("maxRuntimeSecs=0 and maxModels=0: the search would never end; set one of them")
        if not set(self.getInclude() or FAMILIES) - set(self.getExclude()):
            raise ConfigurationError(
                f"include={self.getInclude()!r} and exclude={self.getExclude()!r} leave no family; there are "
                f"{', '.join(FAMILIES)}"
            )
        if sum(map(bool, (self.getFoldCol(), self.getGroupCol(), self.getTimeCol()))) > 1:
            raise ConfigurationError("foldCol, groupCol and timeCol all say where rows go; accepted: one of them")
        for name in self._other_columns():
            find_field(dataset.schema, name)

    def _other_columns(self) -> list[str]:
        """Return the columns that aren't learned from."""
        named = [self.getLabelCol(), self.getWeightCol(), self.getIdCol(), self.getFoldCol(), self.getGroupCol()]
        return list(dict.fromkeys(name for name in [*named, self.getTimeCol(), *self.getIgnoredCols()] if name))

    def _look(self, dataset: DataFrame) -> _Found:
        """Return the facts on the rows, and the families to try."""
        label = look_at_label(dataset, self.getLabelCol(), self.getTask())
        check_calibration(self.getCalibration(), label.kind)
        frame = as_names(dataset, self.getLabelCol()) if label.renamed else dataset
        inputs = look_at_columns(frame, self._other_columns(), self.getImageShape())
        setup = Setup(label, inputs, self.getLabelCol(), self.getSeed(), self.getNumWorkers(), self.getImageShape())
        fitting = families_of(setup, frame)
        families = choose(fitting, self.getInclude(), self.getExclude())
        if not families:
            raise ConfigurationError(
                f"include={self.getInclude()!r} and exclude={self.getExclude()!r} leave no family for these rows; "
                f"those that fit are {', '.join(one.name for one in fitting)}"
            )
        starts = [self._start(family, frame.schema) for family in families]
        return _Found(frame, label, inputs, look_at_parts(frame, self.getGroupCol(), self.getTimeCol()), starts)

    def _start(self, family: Family, schema: StructType) -> Start:
        """Return the family's first learner, checked; where the family can't make one, the reason is its trial's."""
        try:
            made = {family.name: family.make({})}
        except Exception as error:  # a package that is installed can be broken: the other families go on
            if was_cancelled(error):
                raise
            logger.warning("family %r is left out: %s", family.name, first_line(error))
            return Start.failed(family, error)
        (learner,) = find_learners(made, schema, self.getLabelCol())
        return Start(family, weighted(learner, self.getWeightCol()), self.getWeightCol())

    def _folds(self, found: _Found) -> Folds | str:
        if self.getFoldCol():
            return str(self.getFoldCol())
        return Folds(
            # Each fold needs a group or a time of its own.
            numFolds=found.label.num_folds(found.parts.count if found.parts else FOLDS),
            foldAssignment="stratified" if not found.parts and found.label.kind == CLASSIFICATION else "random",
            seed=self.getSeed(),
            idCol=self.getIdCol(),
            labelCol=self.getLabelCol(),
            groupCol=self.getGroupCol(),
            timeCol=self.getTimeCol(),
            foldCol="fold" if "fold" not in found.frame.columns else "__sparkwater_assigned",
        )
