"""Base of the learners around scikit-learn's estimators, and of their models."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pyspark.ml import Estimator, Model

from sparkwater.conversions.sessions.jobs import run_job
from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.errors import CheckpointError, ConfigurationError
from sparkwater.ml.columns.classes import vector_positions
from sparkwater.ml.sklearn.estimators import seeded, weight_argument
from sparkwater.ml.sklearn.files import check_portable, dump_estimator, foreign_types, read_estimator
from sparkwater.ml.sklearn.fitting import RESULTS, SklearnFit, read_report, run_fit
from sparkwater.ml.sklearn.inputs import feature_columns, row_columns
from sparkwater.ml.sklearn.params import SklearnColumns, SklearnParams
from sparkwater.ml.sklearn.predictions import ClassVector
from sparkwater.ml.sklearn.rows import Layout

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder

logger = logging.getLogger(__name__)

_ESTIMATOR_FILE, _MODEL_FILE = "estimator.skops", "model.json"

M = TypeVar("M", bound="SklearnModel")


@dataclass(frozen=True)
class TrainedEstimator:
    """A fitted estimator with all that scoring needs.

    Attributes
    ----------
    content : bytes
        The estimator, as skops writes it.
    classes : tuple of float or of str
        The labels, sorted; empty for regression.
    rows : int
        Number of the rows that it learned from.
    """

    content: bytes
    classes: tuple[Any, ...]
    rows: int


class SklearnModel(Model, SklearnColumns, SavedStage):
    """Base of the models.

    Attributes
    ----------
    kind : str
        ``classification`` or ``regression``.
    trained : TrainedEstimator
        The fitted estimator.
    """

    kind: ClassVar[str]
    trained: TrainedEstimator

    @property
    def estimator(self) -> Any:
        """The fitted estimator; it learned the position of each label in ``classes``."""
        return read_estimator(self.trained.content)

    def copy(self, extra: dict | None = None) -> Any:  # type: ignore[type-arg]
        """Return a copy with other Params; the estimator is shared."""
        copied = super().copy(extra)
        copied.trained = self.trained
        return copied

    def feature_columns(self, frame: DataFrame) -> list[Column]:
        """Return the columns that the estimator reads."""
        return feature_columns(frame, self.getFeaturesCol(), self.getInputCols())

    def _save_more(self, folder: NewFolder) -> None:
        folder.write_bytes(_ESTIMATOR_FILE, self.trained.content)
        folder.write_json(_MODEL_FILE, {"classes": list(self.trained.classes), "rows": self.trained.rows})

    def _load_more(self, folder: SavedFolder) -> None:
        fields, content = folder.read_json(_MODEL_FILE), _read(folder)
        try:
            classes = tuple(label if isinstance(label, str) else float(label) for label in fields["classes"])
            self.trained = TrainedEstimator(content, classes, int(fields["rows"]))
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"{folder.path}/{_MODEL_FILE} is damaged: {error!r}") from error


class SklearnLearner(Estimator[M], SklearnParams, SavedStage):
    """Base of the learners: a fit is one task, which holds all rows.

    Attributes
    ----------
    kind : str
        ``classification`` or ``regression``.
    model_type : type of SklearnModel
        The class of the models.
    """

    kind: ClassVar[str]
    model_type: ClassVar[type[Any]]
    _unsaved_params = ("estimator",)

    @property
    def foreign_packages(self) -> tuple[str, ...]:
        """Packages whose classes the estimator is made of."""
        given = self.getEstimator()
        names = (
            [] if given is None else [type(given).__module__, *foreign_types(dump_estimator(given), "the estimator")]
        )
        return tuple(sorted({name.partition(".")[0] for name in names}))

    @property
    def takes_weights(self) -> bool:
        """True for estimators that learn from weighted rows."""
        try:
            return bool(weight_argument(self.getEstimator()))
        except ConfigurationError:
            return False

    def check_label(self, frame: DataFrame) -> None:
        """Refuse a label column of another type than the learner's."""
        raise NotImplementedError

    def find_classes(self, frame: DataFrame) -> tuple[Any, ...]:
        """Return the classes of the rows; a Spark job. Nothing for regression."""
        raise NotImplementedError

    def plan(self, frame: DataFrame) -> tuple[SklearnFit, list[Column]]:
        """Return the fit, and the columns of its rows; no job runs.

        Parameters
        ----------
        frame : pyspark.sql.DataFrame
            The rows.

        Raises
        ------
        ConfigurationError, SchemaError
            If Params or columns can't be used.
        """
        self.check_settings()
        given = self.getEstimator()
        if given is None:
            raise ConfigurationError(f"{type(self).__name__} has no estimator; give it estimator=...")
        self.check_label(frame)
        features = feature_columns(frame, self.getFeaturesCol(), self.getInputCols())
        weight, label = self.getWeightCol(), self.getLabelCol()
        argument = weight_argument(given) if weight else ""
        estimator = seeded(given, self.getSeed())
        check_portable(estimator)
        layout = Layout(tuple(self.getInputCols() or ()), label, bool(weight))
        fit = SklearnFit(type(self).__name__, estimator, None, layout, self.getMaxRows(), argument)
        return fit, row_columns(frame, features, find_field(frame.schema, label).name, weight)

    def make_model(self, trained: TrainedEstimator) -> M:
        """Return the model of a fitted estimator."""
        model = self.model_type()
        model.trained = trained
        made: M = self._copyValues(model._resetUid(self.uid))
        return made

    def _fit(self, dataset: DataFrame) -> M:
        fit, columns = self.plan(dataset)
        classes = self.find_classes(dataset)
        fit = replace(fit, vector=class_vector(classes) if classes else None)
        rows = dataset.select(*columns).repartition(1)
        report, content = collect_fits(rows.mapInArrow(partial(run_fit, fit=fit), RESULTS))[fit.number]
        log_warnings(report, fit.name)
        return self.make_model(TrainedEstimator(content, classes, report["rows"]))

    def _save_more(self, folder: NewFolder) -> None:
        if self.getEstimator() is not None:
            folder.write_bytes(_ESTIMATOR_FILE, dump_estimator(self.getEstimator()))
        folder.write_json(_MODEL_FILE, {"estimator": self.getEstimator() is not None})

    def _load_more(self, folder: SavedFolder) -> None:
        if folder.read_json(_MODEL_FILE) == {"estimator": True}:
            self._set(estimator=read_estimator(_read(folder)))


def log_warnings(report: Mapping[str, Any], where: str) -> None:
    """Log what a library warned of in a task; its own output would be on the executor."""
    for warning in report["warnings"]:
        logger.warning("%s: %s", where, warning)


def class_vector(classes: tuple[Any, ...]) -> ClassVector:
    """Return classes with their places in the vector of probabilities."""
    return ClassVector(classes, tuple(vector_positions(classes)))


def collect_fits(results: DataFrame) -> dict[int, tuple[dict[str, Any], bytes]]:
    """Run the fits of a job, and return the report and the estimator of each, by number.

    Raises
    ------
    SparkwaterError
        If the rows or an estimator can't be used.
    """
    rows = run_job(results.select("fit", "report", "content").collect)
    reports = {row["fit"]: read_report(row["report"]) for row in rows if row["report"] is not None}
    pieces: dict[int, list[bytes]] = {number: [] for number in reports}
    for row in rows:
        if row["content"] is not None:
            pieces[row["fit"]].append(bytes(row["content"]))
    return {number: (report, b"".join(pieces[number])) for number, report in reports.items()}


def _read(folder: SavedFolder) -> bytes:
    """Return the bytes of an estimator whose foreign types have consent."""
    content = folder.read_bytes(_ESTIMATOR_FILE)
    path = f"{folder.path}/{_ESTIMATOR_FILE}"
    folder.consent.check_types(folder.spark, foreign_types(content, path), path)
    return content
