"""Params of folds, shared by ensembles and searches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.conversions.stages.accepts import at_least, one_of
from sparkwater.conversions.stages.params import HasIdCol
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.spark_params import HasSeed, HasWeightCol
from sparkwater.stacking.folds import ASSIGNMENTS, Folds

if TYPE_CHECKING:
    from pyspark.sql.types import StructType


class FoldParams(HasWeightCol, HasSeed, HasIdCol):
    """Params of the assignment of rows to folds."""

    numFolds: Setting[int] = setting(5, "number of folds", accepts=at_least(2))
    foldAssignment: Setting[str] = setting(
        "random", "how rows are dealt out to folds, as in assign_folds", accepts=one_of(*ASSIGNMENTS)
    )
    foldCol: Setting[str | None] = setting(
        None, "column that holds the folds, integers or any category; they aren't assigned then"
    )
    groupCol: Setting[str | None] = setting(None, "rows with the same value share a fold, as in assign_folds")
    timeCol: Setting[str | None] = setting(None, "folds are spans of this time, as in assign_folds")
    embargo: Setting[float] = setting(
        0.0, "rows this near to a fold's span of time aren't trained on, as in Folds; from 0 up"
    )
    idCol: Setting[str | None] = setting(
        None, "column that identifies a row; without it the content of all columns does"
    )
    weightCol: Setting[str | None] = setting(  # type: ignore[assignment]
        None, "weights of the rows, for the metrics, and for the learners that have a weightCol that isn't set"
    )
    seed: Setting[int] = setting(42, "what the folds follow from")

    def folds(self, schema: StructType, labelCol: str) -> Folds | str:
        """Return the assignment of folds, or the column that holds them.

        Raises
        ------
        ConfigurationError
            If Params contradict each other.
        """
        if self.getFoldCol():
            return str(self.getFoldCol())
        folds = Folds(
            numFolds=self.getNumFolds(),
            foldAssignment=self.getFoldAssignment(),
            seed=self.getSeed(),
            idCol=self.getIdCol(),
            labelCol=labelCol,
            groupCol=self.getGroupCol(),
            timeCol=self.getTimeCol(),
            embargo=self.getEmbargo(),
            foldCol="fold" if "fold" not in schema.names else "__sparkwater_assigned",
        )
        folds.check()
        return folds
