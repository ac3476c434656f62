"""Params of AutoML."""

from __future__ import annotations

from sparkwater.conversions.stages.accepts import Accepts, at_least, location, one_of
from sparkwater.conversions.stages.params import HasIdCol, HasImageShape
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.spark_params import HasLabelCol, HasSeed, HasWeightCol
from sparkwater.stacking.automl.families import FAMILIES
from sparkwater.stacking.calibration.choice import CALIBRATIONS, NONE
from sparkwater.stacking.level_one.learners import CLASSIFICATION, REGRESSION

_NAMES = Accepts(lambda names: set(names) <= set(FAMILIES), f"a list of {', '.join(FAMILIES)}")


class AutoMLParams(HasLabelCol, HasWeightCol, HasIdCol, HasImageShape, HasSeed):
    """Params of AutoML, with H2O's names and meanings where it has them."""

    task: Setting[str] = setting(
        "auto",
        "what the label is. auto: strings, booleans and at most 20 different whole numbers are classes, other numbers "
        "are predicted as numbers",
        accepts=one_of("auto", CLASSIFICATION, REGRESSION),
    )
    maxRuntimeSecs: Setting[float] = setting(
        3600.0,
        "seconds for everything. No fit begins that isn't expected to end in time, by those before it, but the first "
        "learner is always finished. 0 for no limit",
        accepts=at_least(0),
    )
    maxModels: Setting[int] = setting(0, "the most learners to try; 0 for no limit", accepts=at_least(0))
    include: Setting[list[str]] = setting([], "families of learners to try; without it all that fit", accepts=_NAMES)
    exclude: Setting[list[str]] = setting([], "families of learners to leave out", accepts=_NAMES)
    ignoredCols: Setting[list[str]] = setting([], "columns to leave out, as H2O's ignored_columns")
    foldCol: Setting[str | None] = setting(
        None, "column that holds the folds; without it there are 8, or 5 for fewer than 2,000 rows"
    )
    groupCol: Setting[str | None] = setting(None, "rows with the same value share a fold; it isn't learned from")
    timeCol: Setting[str | None] = setting(None, "folds are spans of this time; it isn't learned from")
    weightCol: Setting[str | None] = setting(  # type: ignore[assignment]
        None, "weights of the rows, for learners and metrics; without it all count alike"
    )
    idCol: Setting[str | None] = setting(
        None, "column that identifies a row, which isn't learned from; without it the content of all columns does"
    )
    calibration: Setting[str] = setting(
        NONE, "what is done to the model's probabilities, as that of StackedEnsemble", accepts=one_of(*CALIBRATIONS)
    )
    numWorkers: Setting[int] = setting(1, "workers of a network's fit", accepts=at_least(1))
    parallelism: Setting[int | None] = setting(
        None, "fits at a time; without it as many as the slots allow", accepts=at_least(1)
    )
    checkpointDir: Setting[str | None] = setting(
        None,
        "folder where rows and finished fits are kept; a new fit goes on from there",
        convert=location("checkpointDir"),
    )
    keepLevelOne: Setting[bool] = setting(
        True, "whether model.levelOne keeps the out-of-fold predictions, in Spark's cache"
    )
