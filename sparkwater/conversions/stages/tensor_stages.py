"""Base classes of the Transformers around tensor columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml import Transformer
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import find_field, tensor_spec, with_tensor_spec
from sparkwater.conversions.stages.invalid import resolve_invalid, row_name
from sparkwater.conversions.stages.params import HasHandleInvalid, HasIdCol
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.spark_params import HasInputCol, HasOutputCol
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_CHECKED = "__sparkwater_checked"
_PROBLEM = "__sparkwater_problem"


class MakesTensors(Transformer, HasOutputCol, HasHandleInvalid, HasIdCol, SavedStage):
    """A Transformer that makes tensors, or a reason why there is none."""

    def _first_input(self) -> str:
        """Return the column that names rows where there is no ``idCol``."""
        raise NotImplementedError

    def _add_tensors(
        self, dataset: DataFrame, checked: Column, spec: TensorSpec, problem_col: str | None = None
    ) -> DataFrame:
        """Return the DataFrame with the tensors; with ``problem_col`` the reasons stay, too."""
        output = free_output(self, dataset)
        name = row_name(dataset, self._first_input(), self.getIdCol())
        frame = dataset.withColumn(_CHECKED, checked)
        frame = frame.withColumns({output: F.col(_CHECKED)["tensor"], _PROBLEM: F.col(_CHECKED)["problem"]})
        frame = with_tensor_spec(frame.drop(_CHECKED), output, spec)
        if problem_col is not None:
            return frame.withColumnRenamed(_PROBLEM, problem_col)
        return resolve_invalid(frame, [output], _PROBLEM, name, self.getHandleInvalid())


class ToTensor(MakesTensors, HasInputCol):
    """A Transformer that makes tensors from one column."""

    def _first_input(self) -> str:
        name: str = self.getInputCol()
        return name


def input_field(stage: Any, dataset: DataFrame) -> T.StructField:
    """Return the field that a stage reads.

    Raises
    ------
    ConfigurationError
        If ``inputCol`` isn't set.
    SchemaError
        If there is no such column.
    """
    if not stage.isDefined(stage.inputCol):
        raise ConfigurationError(f"{type(stage).__name__} needs inputCol, the column to read")
    return find_field(dataset.schema, stage.getInputCol())


def input_spec(stage: Any, dataset: DataFrame) -> TensorSpec:
    """Return the spec of the tensor column that a stage reads.

    Raises
    ------
    SchemaError
        If there is no such column, or it is no tensor column.
    """
    field = input_field(stage, dataset)
    spec = tensor_spec(field)
    if spec is None:
        raise SchemaError(f"column {field.name!r} is no tensor column; make one with ImageToTensor, ArrayToTensor, ...")
    return spec


def free_output(stage: Any, dataset: DataFrame) -> str:
    """Return the name of the column that a stage adds.

    Raises
    ------
    SchemaError
        If there is such a column already.
    """
    output: str = stage.getOutputCol()
    if output in dataset.columns:
        raise SchemaError(f"outputCol={output!r}: there is a column of that name already")
    return output
