"""``SearchModel``: the best of all trials, with the records and predictions of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml import Model
from pyspark.sql import functions as F

from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.errors import CheckpointError, ConfigurationError, SchemaError
from sparkwater.stacking.level_one.learners import last_stage
from sparkwater.stacking.search.records import SearchSummary
from sparkwater.stacking.search.stacked import stack

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder
    from sparkwater.stacking.cross_fitting import LevelOneFrame
    from sparkwater.stacking.ensemble_model import StackedEnsembleModel

_FILE = "search.json"


class SearchModel(Model, Settings, SavedStage):
    """The best of all trials, fitted on all rows.

    ``transform`` adds the best model's columns, and ``predictedLabel`` where labels are strings or booleans.

    Attributes
    ----------
    bestModel : pyspark.ml.Model
        The best trial's estimator, fitted on all rows.
    summary : SearchSummary
        Records of all trials; ``print`` shows them.
    levelOne : LevelOneFrame or None
        Out-of-fold predictions of all trials, in Spark's cache until its ``unpersist``; None in a loaded model, and
        with ``keepLevelOne=False``.
    """

    predictedLabelCol: Setting[str] = setting(
        "predictedLabel", "column to add for the predicted label where labels are strings"
    )

    bestModel: Any
    summary: SearchSummary
    levelOne: LevelOneFrame | None

    def __init__(self) -> None:
        super().__init__()
        self.levelOne = None

    @property
    def trials(self) -> DataFrame:
        """A row a trial: number, Params, metric with its interval, seconds, error; best first."""
        return self.summary.to_frame()

    @property
    def kind(self) -> str:
        """The kind of its predictions: classification or regression."""
        return self.summary.kind

    def ensemble(
        self, metaLearner: Any = "selection", parallelism: int | None = None, calibration: str = "none"
    ) -> StackedEnsembleModel:
        """Stack everything that was tried; only learners with a weight are fitted, once each, on all rows.

        Parameters
        ----------
        metaLearner : str or pyspark.ml.Estimator
            As that of `sparkwater.stacking.StackedEnsemble`. Greedy selection takes learners by the hundred.
        parallelism : int, optional
            Fits at a time.
        calibration : {"none", "temperature", "isotonic", "auto"}
            Calibration of its probabilities, as that of `sparkwater.stacking.StackedEnsemble`.

        Raises
        ------
        ConfigurationError
            If the predictions aren't there, as the model was loaded or they weren't kept; or if there are no
            probabilities to calibrate.
        """
        if self.levelOne is None:
            raise ConfigurationError(
                "the out-of-fold predictions aren't there: they aren't saved with a model, nor kept with "
                "keepLevelOne=False; fit the search again, with checkpointDir to go on from finished fits"
            )
        return stack(self.levelOne, metaLearner, parallelism, calibration)

    def copy(self, extra: dict | None = None) -> SearchModel:  # type: ignore[type-arg]
        """Return a copy with other Params; models and predictions are shared."""
        copied: SearchModel = super().copy(extra)
        copied.bestModel, copied.summary, copied.levelOne = self.bestModel, self.summary, self.levelOne
        return copied

    def _transform(self, dataset: DataFrame) -> DataFrame:
        scored: DataFrame = self.bestModel.transform(dataset)
        classes = self.summary.classes
        if not classes or isinstance(classes[0], float):
            return scored
        name = self.getPredictedLabelCol()
        if name in scored.columns:
            raise SchemaError(f"there is a column {name!r} already; drop it or set predictedLabelCol")
        place = F.col(f"`{last_stage(self.bestModel).getOrDefault('predictionCol')}`").cast("int")
        return scored.withColumn(name, F.get(F.array(*map(F.lit, classes)), place))

    def _save_more(self, folder: NewFolder) -> None:
        folder.write_json(_FILE, self.summary.to_dict())
        folder.write_stage("best", self.bestModel)

    def _load_more(self, folder: SavedFolder) -> None:
        try:
            self.summary = SearchSummary.from_dict(folder.read_json(_FILE))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{folder.path}/{_FILE} is damaged: {error!r}") from error
        self.bestModel = folder.read_stage("best")
