"""Spark ML Transformers between the columns that users hold and tensor columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.sql import functions as F

from sparkwater.conversions.columns import (
    checked_tensors,
    from_tensor_column,
    is_number_or_array,
    tensor_spec,
    vector_values,
)
from sparkwater.conversions.params import with_setters
from sparkwater.conversions.spec import TensorSpec
from sparkwater.conversions.stages import StageReadable, StageWritable
from sparkwater.conversions.tensor_stages import ToTensor, free_output, input_field
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@with_setters
class VectorToTensor(ToTensor):
    """Turn ML vectors, arrays of numbers or plain numbers into a tensor column.

    Parameters
    ----------
    inputCol, outputCol : str
        The column of vectors (dense or sparse), arrays or numbers, and the tensor column to add.
    shape : list of int
        Shape of one tensor; the values of a row fill it row-major.
    dtype : str
        Dtype of the tensors; values are cast to it as NumPy does. Default ``float32``.
    handleInvalid : {"error", "skip", "keep"}
        What to do with null rows and rows of another length. Default ``error``.
    idCol : str, optional
        The column that names a row in errors.
    """

    shape: Param[list[int]] = Param(
        Params._dummy(), "shape", "shape of one tensor, filled row-major", typeConverter=TypeConverters.toListInt
    )
    dtype: Param[str] = Param(Params._dummy(), "dtype", "dtype of the tensors", typeConverter=TypeConverters.toString)

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        shape: list[int] | None = None,
        dtype: str = "float32",
        handleInvalid: str = "error",
        idCol: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(handleInvalid="error", dtype="float32")
        self._set(**self._input_kwargs)

    def getShape(self) -> list[int]:
        """Return the value of ``shape``."""
        return self.getOrDefault(self.shape)

    def getDtype(self) -> str:
        """Return the value of ``dtype``."""
        return self.getOrDefault(self.dtype)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        if not self.isDefined(self.shape):
            raise ConfigurationError("VectorToTensor needs shape, the shape of one tensor")
        field = input_field(self, dataset)
        if not is_number_or_array(field.dataType):
            raise SchemaError(
                f"column {field.name!r} is {field.dataType.simpleString()}; accepted: vectors, numbers, arrays"
            )
        spec = TensorSpec(self.getDtype(), self.getShape())
        return self._add_tensors(dataset, checked_tensors(vector_values(dataset, field.name), spec), spec)


@with_setters
class TensorToVector(Transformer, HasInputCol, HasOutputCol, StageReadable, StageWritable):
    """Turn a tensor column into dense ML vectors, row-major; null stays null.

    Parameters
    ----------
    inputCol, outputCol : str
        The tensor column, and the vector column to add. A vector holds float64: int64 values
        beyond 2**53 are rounded.
    """

    _input_kwargs: dict[str, Any]

    @keyword_only
    def __init__(self, *, inputCol: str | None = None, outputCol: str | None = None) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        field = input_field(self, dataset)
        spec = tensor_spec(field)
        if spec is None:
            raise SchemaError(
                f"column {field.name!r} is no tensor column; make one with ImageToTensor or VectorToTensor"
            )
        values = from_tensor_column(F.col(f"`{field.name}`"), spec).cast("array<double>")
        return dataset.withColumn(free_output(self, dataset), F.when(values.isNotNull(), array_to_vector(values)))
