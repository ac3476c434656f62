"""``StackedEnsembleModel``: base models and a meta-learner that score as one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml import Model
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from sparkwater.conversions.stages.columns import vector_numbers
from sparkwater.conversions.stages.exported import Exported
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.errors import CheckpointError, SchemaError, SparkwaterError
from sparkwater.stacking.calibration.columns import calibrated
from sparkwater.stacking.calibration.isotonic import calibration_from
from sparkwater.stacking.combiners.losses import Combination
from sparkwater.stacking.combiners.model import bound
from sparkwater.stacking.ensemble_params import EnsembleParams
from sparkwater.stacking.level_one.deviance import Deviance
from sparkwater.stacking.level_one.learners import CLASSIFICATION, Learner, last_stage
from sparkwater.stacking.level_one.new_rows import measure
from sparkwater.stacking.level_one.prepared import LevelOneTask
from sparkwater.stacking.level_one.values import add_values, mean_values, output_values, shown
from sparkwater.stacking.meta_learner import LEVEL_ONE, OUTPUTS, LevelOneInput, measured_output
from sparkwater.stacking.scores import ENSEMBLE, Curve, EnsembleEvaluation
from sparkwater.stacking.summary import EnsembleSummary

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder
    from sparkwater.stacking.cross_fitting import LevelOneFrame

_FILE = "ensemble.json"


@dataclass(frozen=True)
class BaseModel:
    """The fitted models of a base learner.

    Attributes
    ----------
    name : str
        The learner's name.
    output : str
        The column of its models to stack.
    models : tuple of pyspark.ml.Model
        One model, or the fold models, whose mean counts.
    reads : LevelOneInput or None
        The predictions that a learner of the second level reads; None for one of the first, which reads the rows.
    """

    name: str
    output: str
    models: tuple[Any, ...]
    reads: LevelOneInput | None = None


@dataclass(frozen=True)
class FittedEnsemble:
    """The fitted parts of a model, beside its Params.

    Attributes
    ----------
    bases : tuple of BaseModel
        Base models in the order of the meta-learner's columns; those of a second level after those that they read.
    meta : pyspark.ml.Model
        The fitted meta-learner.
    reads : LevelOneInput
        The columns that it reads.
    summary : EnsembleSummary
        Summary of the training.
    calibration : Combination or None
        Calibration of the probabilities.
    """

    bases: tuple[BaseModel, ...]
    meta: Any
    reads: LevelOneInput
    summary: EnsembleSummary
    calibration: Combination | None = None

    def asked(self, all_of_them: bool) -> set[str]:
        """Return the learners that score: those with a weight and those that they read, or all."""
        skipped = () if all_of_them else self.summary.skipped
        own = [base for base in self.bases if base.name not in skipped]
        return {base.name for base in own}.union(*(base.reads.learners for base in own if base.reads is not None))


class StackedEnsembleModel(Model, EnsembleParams, SavedStage, Exported):
    """A fitted `StackedEnsemble`.

    ``transform`` keeps every row and column and adds ``prediction`` and, for classification,
    ``probability``, ``rawPrediction`` where the meta-learner has one, and ``predictedLabel`` for
    string labels. Base models without any weight aren't asked, unless their predictions are wanted.
    """

    fitted: FittedEnsemble
    levelOne: LevelOneFrame | None

    def __init__(self) -> None:
        super().__init__()
        self.levelOne = None

    @property
    def summary(self) -> EnsembleSummary:
        """Summary of the training; saved and loaded with the model."""
        return self.fitted.summary

    @property
    def hasSummary(self) -> bool:
        """True: there is always a summary."""
        return True

    @property
    def kind(self) -> str:
        """The kind of its predictions: classification or regression."""
        return self.fitted.reads.task.kind

    @property
    def classes(self) -> list[Any]:
        """The labels, sorted; empty for regression."""
        return list(self.fitted.reads.task.classes)

    @property
    def numClasses(self) -> int:
        """The length of the probability vector."""
        return self.fitted.reads.task.size

    @property
    def metaModel(self) -> Any:
        """The fitted meta-learner."""
        return self.fitted.meta

    @property
    def baseModels(self) -> dict[str, tuple[Any, ...]]:
        """The models of each base learner: one, or the fold models."""
        return {base.name: base.models for base in self.fitted.bases}

    def copy(self, extra: dict | None = None) -> StackedEnsembleModel:  # type: ignore[type-arg]
        """Return a copy with other Params; the models are shared."""
        copied: StackedEnsembleModel = super().copy(extra)
        copied.fitted, copied.levelOne = self.fitted, self.levelOne
        return copied

    def _save_more(self, folder: NewFolder) -> None:
        fitted = self.fitted
        for place, base in enumerate(fitted.bases):
            for number, model in enumerate(base.models):
                folder.write_stage(f"bases/{place}/{number}", model)
        folder.write_stage("meta", fitted.meta)
        described = {
            "bases": [_described(one) for one in fitted.bases],
            "reads": asdict(fitted.reads),
            "summary": fitted.summary.to_dict(),
            "calibration": asdict(fitted.calibration) if fitted.calibration is not None else None,
        }
        folder.write_json(_FILE, described)

    def _load_more(self, folder: SavedFolder) -> None:
        fields = folder.read_json(_FILE)
        try:
            self.fitted = FittedEnsemble(
                bases=tuple(_base(folder, place, base) for place, base in enumerate(fields["bases"])),
                meta=folder.read_stage("meta"),
                reads=_reads(fields["reads"]),
                summary=EnsembleSummary.from_dict(fields["summary"]),
                calibration=calibration_from(fields.get("calibration")),
            )
        except SparkwaterError:
            raise
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"{folder.path}/{_FILE} is damaged: {error!r}") from error

    def evaluate(self, dataset: DataFrame, weightCol: str | None = None) -> EnsembleEvaluation:
        """Measure the ensemble and each of its learners on rows with labels, such as a test set; one Spark job.

        The two metrics are the same as in the summary, which has them of the training's rows, out of fold.

        Parameters
        ----------
        dataset : pyspark.sql.DataFrame
            The rows, with the features and ``labelCol``. A class that the training had not counts as wrong, with a
            probability of 0.
        weightCol : str, optional
            Weights of the rows in the metrics.

        Raises
        ------
        SchemaError
            If a column is missing or of another type.
        DataError
            If there are no rows, or some have no usable label, weight or prediction.
        """
        task = self.fitted.reads.task
        outputs = {param: OUTPUTS[param] for param in self._outputs()}
        scored, columns = self._scored(dataset, outputs, True)
        output = measured_output(task.kind)
        values = {name: F.col(column) for name, column in columns.items()}
        values[ENSEMBLE] = output_values(F.col(output), Learner(ENSEMBLE, self, task.kind, output), task)
        return EnsembleEvaluation.of(*measure(scored, task, self.getLabelCol(), weightCol, values))

    def _transform(self, dataset: DataFrame) -> DataFrame:
        reads, wanted = self.fitted.reads, self.getIncludeBasePredictions()
        outputs = self._outputs()
        taken = [name for name in [*outputs.values(), *(reads.learners if wanted else ())] if name in dataset.columns]
        if taken:
            raise SchemaError(f"there is a column {taken[0]!r} already; drop it or name another output column")
        scored, columns = self._scored(dataset, outputs, wanted)
        results = [F.col(f"`{name}`") for name in outputs.values() if name]
        if reads.task.named:
            results.append(self._named_label())
        if wanted:
            results += [shown(F.col(columns[base.name]), reads.task).alias(base.name) for base in self.fitted.bases]
        return scored.select(*(F.col(f"`{name}`") for name in dataset.columns), *results)

    def _scored(
        self, dataset: DataFrame, outputs: Mapping[str, str], everyone: bool
    ) -> tuple[DataFrame, dict[str, str]]:
        """Return the rows with the ensemble's outputs and its learners' values, and the columns of these by name.

        Parameters
        ----------
        dataset : pyspark.sql.DataFrame
            The rows.
        outputs : mapping of str to str
            Names of the ensemble's columns, by Param.
        everyone : bool
            Whether learners without any weight are asked too; else their values are zeros.
        """
        prefix = _free_prefix("__sparkwater_base", dataset.columns)
        columns = {base.name: f"{prefix}_{place}" for place, base in enumerate(self.fitted.bases)}
        scored, asked = dataset, self.fitted.asked(everyone)
        for base in self.fitted.bases:
            scored = self._add_base(scored, base, columns, base.name in asked)
        scored = scored.withColumn(LEVEL_ONE, self.fitted.reads.renamed(columns).column(scored.schema))
        meta = self.fitted.meta
        scored = meta.copy({meta.getParam(param): name for param, name in outputs.items()}).transform(scored)
        if self.fitted.calibration is not None and outputs["probabilityCol"]:
            scored = _calibrated(scored, self.fitted.calibration, outputs)
        return scored, columns

    def _outputs(self) -> dict[str, str]:
        params = {"predictionCol": self.getPredictionCol()}
        if self.fitted.reads.task.kind == CLASSIFICATION:
            params |= {"probabilityCol": self.getProbabilityCol(), "rawPredictionCol": self.getRawPredictionCol()}
        return {param: name for param, name in params.items() if self.fitted.meta.hasParam(param)}

    def _named_label(self) -> Column:
        names = F.array(*map(F.lit, self.fitted.reads.task.classes))
        return F.get(names, F.col(f"`{self.getPredictionCol()}`").cast("int")).alias(self.getPredictedLabelCol())

    def _add_base(self, frame: DataFrame, base: BaseModel, columns: Mapping[str, str], asked: bool) -> DataFrame:
        task, column = self.fitted.reads.task, columns[base.name]
        if not asked:
            return frame.withColumn(column, F.array_repeat(F.lit(0.0), task.width))
        parts = [f"{column}_{number}" for number in range(len(base.models))]
        scored = frame
        if base.reads is not None:
            scored = frame.withColumn(LEVEL_ONE, base.reads.renamed(columns).column(frame.schema))
        for model, part in zip(base.models, parts, strict=True):
            scored = add_values(scored, model, Learner(base.name, model, task.kind, base.output), task, part)
        if len(parts) == 1:
            return scored.withColumnRenamed(parts[0], column)
        return scored.withColumn(column, mean_values([F.col(part) for part in parts])).drop(*parts)


def _free_prefix(prefix: str, columns: Sequence[str]) -> str:
    """Return a prefix of no column: an ensemble's learner may be an ensemble, which scores rows with its columns."""
    while any(name.startswith(prefix) for name in columns):
        prefix += "_"
    return prefix


def _calibrated(scored: DataFrame, calibration: Combination, outputs: Mapping[str, str]) -> DataFrame:
    """Replace probabilities by calibrated ones, and predictions by the class of the largest; raw ones stay."""
    name, array = outputs["probabilityCol"], "__sparkwater_calibrated"
    values = bound(vector_numbers(F.col(f"`{name}`")), lambda row: calibrated(row, calibration))
    place = F.array_position(F.col(array), F.array_max(array)) - 1
    return scored.withColumn(array, values).withColumns(
        {name: array_to_vector(F.col(array)), outputs["predictionCol"]: place.cast("double")}
    )


def _described(base: BaseModel) -> dict[str, Any]:
    reads = {} if base.reads is None else {"reads": asdict(base.reads)}
    return {"name": base.name, "output": base.output, "models": len(base.models), **reads}


def _base(folder: SavedFolder, place: int, base: Mapping[str, Any]) -> BaseModel:
    models = tuple(folder.read_stage(f"bases/{place}/{number}") for number in range(base["models"]))
    return BaseModel(base["name"], base["output"], models, _reads(base["reads"]) if "reads" in base else None)


def _reads(fields: Mapping[str, Any]) -> LevelOneInput:
    given = fields["task"]
    task = LevelOneTask(given["kind"], tuple(given["classes"]), Deviance(**given.get("deviance", {})))
    return LevelOneInput(tuple(fields["learners"]), task, fields["transform"], tuple(fields["passthrough"]))


def curves_of(bases: Sequence[BaseModel]) -> tuple[Curve, ...]:
    """Return the learning curves of the base models that are networks."""
    found = []
    for base in bases:
        last = last_stage(base.models[0])
        records = getattr(last.summary, "records", ()) if hasattr(last, "fitted") else ()
        if records:
            judged = [one.validation for one in records if one.validation]
            metric = next(iter(judged[0]), "") if judged else ""
            curve = tuple(one.get(metric) for one in judged) if metric else ()
            found.append(Curve(base.name, tuple(one.loss for one in records), metric, curve))
    return tuple(found)
