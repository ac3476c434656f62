"""Spark ML Transformers between columns of pictures and tensor columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark import keyword_only

from sparkwater.conversions.image_columns import checked_images, image_spec
from sparkwater.conversions.params import HasImageShape, with_setters
from sparkwater.conversions.tensor_stages import ToTensor, input_field
from sparkwater.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@with_setters
class ImageToTensor(ToTensor, HasImageShape):
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
        return self._add_tensors(dataset, checked_images(input_field(self, dataset), spec), spec)
