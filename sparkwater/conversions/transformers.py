"""Spark ML Transformers between the columns that users hold and tensor columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.columns import (
    checked_tensors,
    find_field,
    from_tensor_column,
    is_number_or_array,
    tensor_spec,
    vector_values,
    with_tensor_spec,
)
from sparkwater.conversions.image_columns import checked_images, image_spec
from sparkwater.conversions.invalid import resolve_invalid, row_name
from sparkwater.conversions.params import HasHandleInvalid, HasIdCol, HasImageShape, with_setters
from sparkwater.conversions.spec import TensorSpec
from sparkwater.conversions.stages import StageReadable, StageWritable
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_CHECKED = "__sparkwater_checked"
_PROBLEM = "__sparkwater_problem"


class _ToTensor(Transformer, HasInputCol, HasOutputCol, HasHandleInvalid, HasIdCol, StageReadable, StageWritable):
    """What the Transformers that make tensors have in common."""

    _input_kwargs: dict[str, Any]

    def _add_tensors(self, dataset: DataFrame, checked: Column, spec: TensorSpec) -> DataFrame:
        output = _free_output(self, dataset)
        name = row_name(dataset, self.getInputCol(), self.getIdCol())
        frame = dataset.withColumn(_CHECKED, checked)
        frame = frame.withColumns({output: F.col(_CHECKED)["tensor"], _PROBLEM: F.col(_CHECKED)["problem"]})
        frame = with_tensor_spec(frame.drop(_CHECKED), output, spec)
        return resolve_invalid(frame, [output], _PROBLEM, name, self.getHandleInvalid())


@with_setters
class ImageToTensor(_ToTensor, HasImageShape):
    """Decode and resize pictures into a tensor column, on the executors.

    The input is a column of URIs (local paths, and what pyarrow's filesystems or fsspec read), of
    encoded bytes (Spark's ``binaryFile`` source), or of Spark's image struct. The output holds
    uint8 tensors, channels first: ``(channels, height, width)``.

    Parameters
    ----------
    inputCol, outputCol : str
        The column of pictures, and the tensor column to add.
    imageShape : list of int
        ``[height, width, channels]`` of the result; channels 1 (grey) or 3 (RGB).
    handleInvalid : {"error", "skip", "keep"}
        What to do with null and corrupt pictures. Default ``error``.
    idCol : str, optional
        The column that names a row in errors.
    """

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        imageShape: list[int] | None = None,
        handleInvalid: str = "error",
        idCol: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(handleInvalid="error")
        self._set(**self._input_kwargs)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        shape = self.getImageShape()
        if shape is None:
            raise ConfigurationError("ImageToTensor needs imageShape=[height, width, channels]")
        spec = image_spec(*shape)
        return self._add_tensors(dataset, checked_images(_input_field(self, dataset), spec), spec)


@with_setters
class VectorToTensor(_ToTensor):
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
        field = _input_field(self, dataset)
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
        field = _input_field(self, dataset)
        spec = tensor_spec(field)
        if spec is None:
            raise SchemaError(
                f"column {field.name!r} is no tensor column; make one with ImageToTensor or VectorToTensor"
            )
        values = from_tensor_column(F.col(f"`{field.name}`"), spec).cast("array<double>")
        return dataset.withColumn(_free_output(self, dataset), F.when(values.isNotNull(), array_to_vector(values)))


def _input_field(stage: Any, dataset: DataFrame) -> T.StructField:
    if not stage.isDefined(stage.inputCol):
        raise ConfigurationError(f"{type(stage).__name__} needs inputCol, the column to read")
    return find_field(dataset.schema, stage.getInputCol())


def _free_output(stage: Any, dataset: DataFrame) -> str:
    output: str = stage.getOutputCol()
    if output in dataset.columns:
        raise SchemaError(f"outputCol={output!r}: there is a column of that name already")
    return output
