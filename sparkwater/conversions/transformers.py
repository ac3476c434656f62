"""Spark ML Transformers between columns of numbers and tensor columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pyspark.ml import Transformer
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.stages.columns import checked_tensors, from_tensor_column
from sparkwater.conversions.stages.params import HasDtype
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.shapes import find_shape
from sparkwater.conversions.stages.spark_params import HasInputCol, HasOutputCol
from sparkwater.conversions.stages.spark_types import ACCEPTED_NUMBERS, dtype_of
from sparkwater.conversions.stages.tensor_stages import ToTensor, free_output, input_field, input_spec
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import SchemaError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class _NumbersToTensor(ToTensor, HasDtype):
    """Base class of the Transformers from numbers."""

    shape: Setting[list[int] | None] = setting(
        None, "shape of one tensor, filled row-major; without it that of the first row"
    )

    def _transform(self, dataset: DataFrame) -> DataFrame:
        field = input_field(self, dataset)
        own_dtype = dtype_of(field.dataType)
        if own_dtype is None or not self._takes(field.dataType):
            raise SchemaError(
                f"{type(self).__name__} can't read column {field.name!r} of {field.dataType.simpleString()}; "
                f"accepted: {self._accepted}"
            )
        shape: list[int] | None = self.getShape()
        spec = TensorSpec(self.getDtype() or own_dtype, find_shape(dataset, field.name) if shape is None else shape)
        return self._add_tensors(dataset, checked_tensors(dataset, field.name, spec), spec)

    _accepted: ClassVar[str]

    def _takes(self, data_type: T.DataType) -> bool:
        raise NotImplementedError


class VectorToTensor(_NumbersToTensor):
    """Turn ML vectors, dense or sparse, into a tensor column."""

    shape: Setting[list[int] | None] = setting(
        None,
        "shape of one tensor; the values of a row fill it row-major. By default the vector's length, from the column's "
        "ML attributes or from the first row (one small Spark job)",
    )
    dtype: Setting[str | None] = setting(
        None,
        "dtype of the tensors; by default float64, which is what vectors hold. A row with a number that the dtype has "
        "no place for can't be used: fractions, NaN and large numbers in integers, finite numbers beyond a float's "
        "range. Floats round",
    )

    _accepted = "ML vectors (ArrayToTensor takes arrays and plain numbers)"

    def _takes(self, data_type: T.DataType) -> bool:
        return isinstance(data_type, VectorUDT)


class ArrayToTensor(_NumbersToTensor):
    """Turn arrays of numbers, nested ones too, or plain numbers into a tensor column."""

    shape: Setting[list[int] | None] = setting(
        None,
        "shape of one tensor. Flat arrays fill it row-major; nested ones must have its lengths. By default the lengths "
        "in the first row (one small Spark job); [], a scalar, for numbers",
    )
    dtype: Setting[str | None] = setting(
        None, "dtype of the tensors; by default the one that holds the same numbers. For others see VectorToTensor"
    )

    _accepted = f"{ACCEPTED_NUMBERS.rsplit(',', 1)[0]} (VectorToTensor takes ML vectors)"

    def _takes(self, data_type: T.DataType) -> bool:
        return not isinstance(data_type, VectorUDT)


class _FromTensor(Transformer, HasInputCol, HasOutputCol, SavedStage):
    """Base class of the Transformers from tensors."""


class TensorToVector(_FromTensor):
    """Turn a tensor column into dense ML vectors, row-major; null stays null.

    A vector holds float64: int64 values beyond 2**53 are rounded.
    """

    def _transform(self, dataset: DataFrame) -> DataFrame:
        column, spec = F.col(f"`{self.getInputCol()}`"), input_spec(self, dataset)
        values = from_tensor_column(column, spec, flatten=True).cast("array<double>")
        return dataset.withColumn(free_output(self, dataset), F.when(column.isNotNull(), array_to_vector(values)))


class TensorToArray(_FromTensor):
    """Turn a tensor column into arrays as nested as its shape; scalars into plain numbers; null stays null.

    uint8 comes as short and float16 as float, as Spark has no such types.
    """

    def _transform(self, dataset: DataFrame) -> DataFrame:
        column, spec = F.col(f"`{self.getInputCol()}`"), input_spec(self, dataset)
        return dataset.withColumn(free_output(self, dataset), from_tensor_column(column, spec))
