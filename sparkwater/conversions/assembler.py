"""`TensorAssembler`: several columns joined into one tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import functions as F

from sparkwater.conversions.stages.columns import (
    CHECKED_TENSOR,
    checked_frame,
    find_field,
    number_values,
    series_runs,
    tensor_spec,
)
from sparkwater.conversions.stages.executor_functions import executor_function
from sparkwater.conversions.stages.params import HasDtype
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.shapes import find_shape
from sparkwater.conversions.stages.spark_params import HasInputCols
from sparkwater.conversions.stages.spark_types import ACCEPTED_NUMBERS, dtype_of, element_and_depth
from sparkwater.conversions.stages.tensor_stages import MakesTensors
from sparkwater.conversions.tensors.arrow import TensorRows, readable_tensors
from sparkwater.conversions.tensors.casting import common_dtype
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.conversions.tensors.values import Runs, pack_runs
from sparkwater.conversions.tensors.vectors import NULL
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


class TensorAssembler(MakesTensors, HasInputCols, HasDtype):
    """Put numbers, vectors, arrays and tensors side by side in one tensor of one dimension.

    It is to tensors what Spark's ``VectorAssembler`` is to vectors. Strings are numbered by Spark's
    ``StringIndexer`` or by `CategoryToTensor` before.
    """

    inputCols: Setting[list[str] | None] = setting(  # type: ignore[assignment]
        None,
        "the columns, in their order in the tensor; arrays and tensors of more dimensions go in row-major. The lengths "
        "of vectors and arrays are seen as VectorToTensor does",
    )
    dtype: Setting[str | None] = setting(
        None, "dtype of the tensors; without it the smallest that holds the numbers of all columns exactly"
    )

    def _first_input(self) -> str:
        names: list[str] = self.getInputCols()
        return names[0]

    def _transform(self, dataset: DataFrame) -> DataFrame:
        if not self.getInputCols():
            raise ConfigurationError("TensorAssembler needs inputCols, the columns to read")
        inputs = [_find_input(dataset, name) for name in self.getInputCols()]
        dtype = self.getDtype() or common_dtype(part.spec.dtype for part in inputs)
        spec = TensorSpec(dtype, (sum(part.spec.size for part in inputs),))
        return self._add_tensors(dataset, _assembled(dataset, inputs, spec), spec)


@dataclass(frozen=True)
class _Input:
    """An input column with its spec and its form: tensor bytes, single numbers or arrays."""

    name: str
    spec: TensorSpec
    kind: str


def _find_input(frame: DataFrame, name: str) -> _Input:
    field = find_field(frame.schema, name)
    spec = tensor_spec(field)
    if spec is not None:
        return _Input(name, spec, "tensor")
    dtype = dtype_of(field.dataType)
    if dtype is None:
        raise SchemaError(
            f"TensorAssembler can't read column {name!r} of {field.dataType.simpleString()}; accepted: tensor columns, "
            f"{ACCEPTED_NUMBERS}"
        )
    shape = find_shape(frame, name)
    return _Input(
        name, TensorSpec(dtype, shape), "array" if shape or element_and_depth(field.dataType)[1] else "number"
    )


def _assembled(frame: DataFrame, inputs: Sequence[_Input], spec: TensorSpec) -> Column:
    values, problems = [], []
    for position, part in enumerate(inputs):
        column = F.col(f"`{part.name}`")
        if part.kind == "array":
            value, problem = number_values(frame, part.name, part.spec.shape)
        else:
            value, problem = column, F.when(column.isNull(), "the value is null")
        if part.kind == "number":  # pandas has no null integer; the row is left out by its problem
            value = F.coalesce(column, F.lit(0).cast(frame.schema[part.name].dataType))
        values.append(value.alias(f"value{position}"))
        problems.append(F.concat(F.lit(f"column {part.name!r}: "), problem))
    assemble = executor_function(_assemble(tuple(inputs), spec), CHECKED_TENSOR, pd.DataFrame, spec.nbytes)
    return assemble(F.struct(*values, F.coalesce(*problems).alias("problem")))


def _assemble(inputs: tuple[_Input, ...], spec: TensorSpec) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def assemble(batch: pd.DataFrame) -> pd.DataFrame:
        parts = [_read(batch[f"value{position}"], part, spec.dtype) for position, part in enumerate(inputs)]
        known = np.array([isinstance(problem, str) for problem in batch["problem"]], dtype=bool)
        valid = ~known & np.logical_and.reduce([rows.valid for rows in parts])
        values = np.concatenate([rows.values[valid[rows.valid]] for rows in parts], axis=1)
        problems = {
            row: f"column {part.name!r}: {problem}"
            for part, rows in reversed(list(zip(inputs, parts, strict=True)))
            for row, problem in rows.problems.items()
        }
        return checked_frame(TensorRows(values, valid, problems), batch["problem"])

    return assemble


def _read(column: pd.Series[Any], part: _Input, dtype: str) -> TensorRows:
    """Return one column's numbers as rows of the dtype, and what is wrong with the others."""
    flat = TensorSpec(dtype, (part.spec.size,))
    if part.kind == "array":
        return pack_runs(series_runs(column), flat)
    if part.kind == "number":
        return pack_runs(Runs(column.to_numpy(), np.ones(len(column), np.int64)), flat)
    tensors = readable_tensors(pa.array(column, pa.binary(), from_pandas=True), part.spec)
    lengths = np.where(tensors.valid, part.spec.size, NULL)
    rows = pack_runs(Runs(tensors.values.reshape(-1), lengths), flat)
    return TensorRows(rows.values, rows.valid, {**rows.problems, **tensors.problems})
