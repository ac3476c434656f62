"""`TableToTensor`: raw columns of a table to one tensor column, fitted on training rows."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

from pyspark.ml import Estimator, Model
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from sparkwater.conversions.stages.params import HasHandleInvalid, HasIdCol
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.settings import Setting, fields_of, setting
from sparkwater.conversions.stages.spark_params import HasInputCols, HasOutputCol
from sparkwater.conversions.stages.tensor_stages import MakesTensors, free_output
from sparkwater.conversions.tables.checked import checked_rows, unknown_categories
from sparkwater.conversions.tables.encoding.encoder import TableEncoder, TableLayout
from sparkwater.conversions.tables.fitting import fit_table
from sparkwater.conversions.tables.inputs import check_columns, form_of, input_column
from sparkwater.conversions.tables.params import EncodingParams
from sparkwater.conversions.tables.statistics.report import ColumnReport, TableReport
from sparkwater.conversions.tables.statistics.settings import TableSettings
from sparkwater.errors import CheckpointError, ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.conversions.stages.stage_folders import NewFolder, SavedFolder
    from sparkwater.conversions.tensors.spec import TensorSpec

logger = logging.getLogger(__name__)

#: The fields of `ColumnReport`.
_REPORT = (
    "name string, type string, kind string, entries int, missing bigint, infinite bigint, levels bigint, known int, "
    "rare double, skew double, reason string"
)


class HasTableOutputCol(HasOutputCol):
    """Mixin for ``outputCol``."""

    outputCol: Setting[str] = setting("features", "the tensor column to add")  # type: ignore[assignment]


class TableToTensor(
    Estimator["TableToTensorModel"],
    HasInputCols,
    HasTableOutputCol,
    EncodingParams,
    HasHandleInvalid,
    HasIdCol,
    SavedStage,
):
    """Learn how the columns of a table become one tensor a row: numbers first, then ids of categories.

    ``fit`` runs two jobs of aggregates; its result doesn't depend on how rows are partitioned.
    """

    inputCols: Setting[list[str] | None] = setting(  # type: ignore[assignment]
        None, "the columns to read, in their order; by default all but excludedCols and idCol"
    )
    excludedCols: Setting[list[str]] = setting([], "columns that aren't inputs, where inputCols isn't set")

    def _fit(self, dataset: DataFrame) -> TableToTensorModel:
        self.check_settings()
        free_output(self, dataset)
        names, others = self._input_names(dataset)
        numbers, categories = self.getNumericCols(), self.getCategoricalCols()
        check_columns(dataset.schema, names, numbers, categories)
        columns = [
            input_column(dataset, name, is_number=name in numbers, is_category=name in categories) for name in names
        ]
        encoder, report = fit_table(dataset, columns, TableSettings(**fields_of(self, TableSettings)))
        model = TableToTensorModel()
        model.encoder, model.report = encoder, TableReport(report.rows, (*report.columns, *others))
        if model.report.left_out:
            logger.warning("columns are left out: %s", model.report.reasons())
        self._copyValues(model._resetUid(self.uid))
        return model

    def _input_names(self, dataset: DataFrame) -> tuple[list[str], list[ColumnReport]]:
        """Return the names of the input columns, and the reports of those that can't be read."""
        given: list[str] | None = self.getInputCols()
        excluded: list[str] = self.getExcludedCols()
        if given is not None:
            if excluded:
                raise ConfigurationError("inputCols and excludedCols are both set; give one of them")
            return list(given), []
        for name in excluded:
            if name not in dataset.columns:
                raise ConfigurationError(f"excludedCols names {name!r}; the columns are {', '.join(dataset.columns)}")
        names, others = [], []
        for field in dataset.schema.fields:
            if field.name in excluded or field.name == self.getIdCol():
                continue
            if form_of(field) is None:
                others.append(_unread(field))
            else:
                names.append(field.name)
        return names, others


class TableToTensorModel(Model, HasTableOutputCol, MakesTensors):
    """Turn the columns of a table into one tensor a row, as `TableToTensor` learned it.

    Attributes
    ----------
    encoder : TableEncoder
        The fitted columns: a value without Spark.
    report : TableReport
        What became of each column of the training rows; ``print`` shows it as a table of text.
    """

    encoder: TableEncoder
    report: TableReport

    def __init__(self) -> None:
        super().__init__()

    @property
    def layout(self) -> TableLayout:
        """The order of a row's entries: how many numbers, then how many ids each column of categories has."""
        return self.encoder.layout

    @property
    def spec(self) -> TensorSpec:
        """The spec of the tensor column."""
        return self.encoder.spec

    def checked(self, dataset: DataFrame) -> Column:
        """Return a row's tensor, or why it has none, as `sparkwater.conversions.stages.columns.CHECKED_TENSOR`.

        Raises
        ------
        SchemaError
            If a column isn't there, or is of another kind than in training.
        """
        return checked_rows(dataset, self.encoder)

    def _first_input(self) -> str:
        return self.encoder.columns[0].name

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self._add_tensors(dataset, self.checked(dataset), self.spec)

    def describeColumns(self) -> DataFrame:
        """Return what became of each column: a row for each, with the fields of `ColumnReport`."""
        rows = [tuple(asdict(column).values()) for column in self.report.columns]
        return SparkSession.active().createDataFrame(rows, _REPORT)

    def countUnknown(self, dataset: DataFrame) -> DataFrame:
        """Return how many rows lack a category, or have a rare or unseen one; a job runs when it is read.

        Returns
        -------
        pyspark.sql.DataFrame
            A row for each column of categories: ``name``, ``rows``, ``missing``, ``unknown``.

        Raises
        ------
        SchemaError
            If a column isn't there, or is of another kind than in training.
        """
        return unknown_categories(dataset, self.encoder)

    def _save_more(self, folder: NewFolder) -> None:
        folder.write_json("encoder.json", self.encoder.to_dict())
        folder.write_json("report.json", self.report.to_dict())

    def _load_more(self, folder: SavedFolder) -> None:
        try:
            self.encoder = TableEncoder.from_dict(folder.read_json("encoder.json"))
            self.report = TableReport.from_dict(folder.read_json("report.json"))
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{folder.path!r} holds no fitted columns: {error!r}") from error


def _unread(field: T.StructField) -> ColumnReport:
    kind = field.dataType.simpleString()
    return ColumnReport(field.name, kind, "other", reason=f"{kind} is no type that a table takes")
