"""`Similarity`: the nearest references of each row, as a stage of a pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.errors import AnalysisException
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasFeaturesCol, HasOutputCol
from pyspark.sql import functions as F

from sparkwater.conversions.stages.params import HasHandleInvalid, HasIdCol, with_setters
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.errors import CheckpointError, ConfigurationError, SchemaError
from sparkwater.ml.similarity.blocks import vector_column
from sparkwater.ml.similarity.measures import MEASURES
from sparkwater.ml.similarity.search import neighbor_lists

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder

REFERENCES_FOLDER = "references"


@with_setters
class Similarity(Transformer, HasFeaturesCol, HasOutputCol, HasHandleInvalid, HasIdCol, SavedStage):
    """Add to each row the k references that are nearest to its vector.

    There is nothing to learn, so this is a Transformer; the references are data, no Param, and are
    saved with it as Parquet. For rows of query, rank, reference and value use
    `sparkwater.ml.k_nearest`, for all values `sparkwater.ml.distance_matrix`: they take two
    DataFrames and hold nothing.

    Parameters
    ----------
    references : pyspark.sql.DataFrame, optional
        Holds the id column and the features column; `setReferences` sets it as well.
    k : int
        Neighbours of each row, from 1 up. Default 10.
    measure : {"l1", "l2", "cosine", "cosine_sq", "inner"}
        As in `sparkwater.ml.distance_matrix`. Default ``cosine``.
    featuresCol, idCol : str
        The columns of vectors and of ids on both sides; the ids of the rows to transform are
        unique. Default ``features`` and ``id``.
    outputCol : str
        The column to add: an array of structs ``id`` and ``value``, nearest first, ties by id; empty where there
        are no references. Default ``neighbors``.
    handleInvalid : {"error", "skip", "keep"}
        What happens to rows without a usable vector: fail the job, drop them, or give them null.
        ``skip`` and ``keep`` leave out such references. Default ``error``.

    Notes
    -----
    Neighbours are joined to the rows by id: the order of rows isn't kept, and the input is
    evaluated twice, so cache one that is costly to compute.
    """

    _input_kwargs: dict[str, Any]

    k: Param[int] = Param(Params._dummy(), "k", "neighbours of each row, from 1 up", typeConverter=TypeConverters.toInt)
    measure: Param[str] = Param(
        Params._dummy(), "measure", f"one of {', '.join(MEASURES)}", typeConverter=TypeConverters.toString
    )

    @keyword_only
    def __init__(
        self,
        *,
        references: DataFrame | None = None,
        k: int = 10,
        measure: str = "cosine",
        featuresCol: str = "features",
        idCol: str = "id",
        outputCol: str = "neighbors",
        handleInvalid: str = "error",
    ) -> None:
        super().__init__()
        self._setDefault(
            k=10, measure="cosine", featuresCol="features", idCol="id", outputCol="neighbors", handleInvalid="error"
        )
        given = dict(self._input_kwargs)
        self._references: DataFrame | None = given.pop("references", None)
        self._set(**given)

    def getK(self) -> int:
        """Return the value of ``k``."""
        return self.getOrDefault(self.k)

    def getMeasure(self) -> str:
        """Return the value of ``measure``."""
        return self.getOrDefault(self.measure)

    def setReferences(self, references: DataFrame) -> Similarity:
        """Set the DataFrame to search; it is evaluated whenever a result is used."""
        self._references = references
        return self

    def getReferences(self) -> DataFrame:
        """Return the DataFrame to search.

        Raises
        ------
        ConfigurationError
            If none is set.
        """
        if self._references is None:
            raise ConfigurationError("Similarity has no references; give it a DataFrame with setReferences(frame)")
        return self._references

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
