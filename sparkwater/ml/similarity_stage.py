"""`Similarity`: the nearest references of each row, as a stage of a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.ml import Transformer
from pyspark.sql import functions as F

from sparkwater.conversions.stages.accepts import one_of
from sparkwater.conversions.stages.params import HasHandleInvalid, HasIdCol
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.settings import Argument, Setting, argument, setting
from sparkwater.conversions.stages.spark_params import HasFeaturesCol, HasOutputCol
from sparkwater.errors import CheckpointError, ConfigurationError, SchemaError
from sparkwater.ml.similarity.blocks import vector_column
from sparkwater.ml.similarity.measures import MEASURES
from sparkwater.ml.similarity.search import neighbor_lists

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder

REFERENCES_FOLDER = "references"


class Similarity(Transformer, HasFeaturesCol, HasOutputCol, HasHandleInvalid, HasIdCol, SavedStage):
    """Add to each row the k references that are nearest to its vector.

    There is nothing to learn, so this is a Transformer; the references are data, no Param, and are
    saved with it as Parquet. For rows of query, rank, reference and value use
    `sparkwater.ml.k_nearest`, for all values `sparkwater.ml.distance_matrix`: they take two
    DataFrames and hold nothing.

    Notes
    -----
    Neighbours are joined to the rows by id: the order of rows isn't kept, and the input is
    evaluated twice, so cache one that is costly to compute.
    """

    references: Argument[DataFrame | None] = argument(
        "a pyspark.sql.DataFrame that holds the id column and the features column; setReferences sets it as well"
    )
    k: Setting[int] = setting(10, "neighbours of each row, from 1 up")
    measure: Setting[str] = setting("cosine", "as in sparkwater.ml.distance_matrix", accepts=one_of(*MEASURES))
    featuresCol: Setting[str] = setting("features", "the column of vectors, on both sides")
    idCol: Setting[str] = setting(  # type: ignore[assignment]
        "id", "the column of ids, on both sides; the ids of the rows to transform are unique"
    )
    outputCol: Setting[str] = setting(  # type: ignore[assignment]
        "neighbors",
        "the column to add: an array of structs id and value, nearest first, ties by id; empty where there are no "
        "references",
    )
    handleInvalid: Setting[str] = setting(
        "error",
        "what to do with rows without a usable vector: 'error' fails the job, 'skip' drops them, 'keep' gives null. "
        "'skip' and 'keep' leave out such references",
        accepts=HasHandleInvalid.declared("handleInvalid").accepts,
    )

    def setReferences(self, references: DataFrame) -> Similarity:
        """Set the DataFrame to search; it is evaluated whenever a result is used."""
        self._references: DataFrame | None = references
        return self

    def getReferences(self) -> DataFrame:
        """Return the DataFrame to search.

        Raises
        ------
        ConfigurationError
            If none is set.
        """
        references: DataFrame | None = vars(self).get("_references")
        if references is None:
            raise ConfigurationError("Similarity has no references; give it a DataFrame with setReferences(frame)")
        return references

    def _save_more(self, folder: NewFolder) -> None:
        """Write the references' ids and vectors as Parquet; one Spark job."""
        references = self.getReferences()
        names = [self.getOrDefault(self.idCol), self.getFeaturesCol()]
        vector_column(references, *names)
        kept = references.select(*(F.col(f"`{name}`") for name in names))
        kept.write.parquet(f"{folder.path}/{REFERENCES_FOLDER}")

    def _load_more(self, folder: SavedFolder) -> None:
        """Take the references from where they are; they are read when they are used."""
        try:
            self.setReferences(folder.spark.read.parquet(f"{folder.path}/{REFERENCES_FOLDER}"))
        except AnalysisException as error:
            raise CheckpointError(f"{folder.path!r} holds no saved Similarity: {error}") from error

    def _transform(self, dataset: DataFrame) -> DataFrame:
        references, output, id_column = self.getReferences(), self.getOutputCol(), self.getOrDefault(self.idCol)
        if output in dataset.columns:
            raise SchemaError(f"outputCol={output!r}: there is a column of that name already")
        lists = neighbor_lists(
            dataset, references, self.getK(), self.getMeasure(), self.getFeaturesCol(), id_column,
            self.getHandleInvalid(),
        )  # fmt: skip
        key = "__sparkwater_query_id"
        lists = lists.select(F.col("queryId").alias(key), F.col("neighbors").alias(output))
        return dataset.join(lists, F.col(f"`{id_column}`") == F.col(key)).drop(key)
