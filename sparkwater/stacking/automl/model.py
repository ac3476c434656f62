"""``AutoMLModel``: the model that an AutoML run chose, with its leaderboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml import Model
from pyspark.sql.types import NumericType

from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.settings import Settings
from sparkwater.errors import CheckpointError
from sparkwater.stacking.automl.data import as_names
from sparkwater.stacking.automl.summary import AutoMLSummary
from sparkwater.stacking.ensemble_model import StackedEnsembleModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder
    from sparkwater.stacking.cross_fitting import LevelOneFrame
    from sparkwater.stacking.scores import EnsembleEvaluation

_FILE = "automl.json"


class AutoMLModel(Model, Settings, SavedStage):
    """The model that an AutoML run chose: an ensemble, whose ``transform`` is this one's.

    It adds ``prediction`` and, for classification, ``probability``, ``rawPrediction``, and ``predictedLabel`` for
    labels that are no numbers from 0 up.

    Attributes
    ----------
    bestModel : StackedEnsembleModel
        The ensemble; of one learner where no ensemble is better.
    summary : AutoMLSummary
        The leaderboard and all that was tried; ``print`` shows it.
    levelOne : LevelOneFrame or None
        Out-of-fold predictions of all learners, in Spark's cache until its ``unpersist``; None in a loaded model,
        and with ``keepLevelOne=False``.
    """

    bestModel: StackedEnsembleModel
    summary: AutoMLSummary
    levelOne: LevelOneFrame | None

    def __init__(self) -> None:
        super().__init__()
        self.levelOne = None

    @property
    def leaderboard(self) -> DataFrame:
        """A row a model: metric with its interval, fit seconds, milliseconds for 1,000 rows; best first."""
        return self.summary.leaderboard

    def evaluate(self, dataset: DataFrame, weightCol: str | None = None) -> EnsembleEvaluation:
        """Measure the model and each of its learners on rows with labels, such as a test set; one Spark job.

        Parameters
        ----------
        dataset : pyspark.sql.DataFrame
            The rows, with the columns of the training.
        weightCol : str, optional
            Weights of the rows in the metrics.

        Raises
        ------
        SchemaError, DataError
            As of `StackedEnsembleModel.evaluate`.
        """
        name = self.bestModel.getLabelCol()
        numbers = isinstance(find_field(dataset.schema, name).dataType, NumericType)
        named = numbers and isinstance(next(iter(self.bestModel.classes), None), str)  # as the training's were
        return self.bestModel.evaluate(as_names(dataset, name) if named else dataset, weightCol)

    def copy(self, extra: dict | None = None) -> AutoMLModel:  # type: ignore[type-arg]
        """Return a copy with other Params; models and predictions are shared."""
        copied: AutoMLModel = super().copy(extra)
        copied.bestModel, copied.summary, copied.levelOne = self.bestModel, self.summary, self.levelOne
        return copied

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self.bestModel.transform(dataset)

    def _save_more(self, folder: NewFolder) -> None:
        folder.write_json(_FILE, self.summary.to_dict())
        folder.write_stage("best", self.bestModel)

    def _load_more(self, folder: SavedFolder) -> None:
        try:
            self.summary = AutoMLSummary.from_dict(folder.read_json(_FILE))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{folder.path}/{_FILE} is damaged: {error!r}") from error
        self.bestModel = folder.read_stage("best")
