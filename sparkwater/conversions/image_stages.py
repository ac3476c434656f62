"""Spark ML Transformers between columns of pictures and tensor columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasInputCol, HasOutputCol
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.images.columns import check_schemes, checked_images, image_spec, image_structs
from sparkwater.conversions.images.decoding import MAX_PIXELS, RESIZES
from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.loading import StageReadable, StageWritable
from sparkwater.conversions.stages.params import HasImageShape, with_setters
from sparkwater.conversions.stages.tensor_stages import ToTensor, free_output, input_field
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@with_setters
class ImageToTensor(ToTensor, HasImageShape):
    """Decode and resize pictures into a tensor column, on the executors.

    The input is a column of URIs, of encoded bytes (Spark's ``binaryFile`` source), or of Spark's
    image struct. The output holds uint8 tensors, channels first: ``(channels, height, width)``.
    Decoding is described at `sparkwater.conversions.images.decoding.decode_image`, the accepted URIs
    at `sparkwater.conversions.images.uris.read_uri`. For a column of URIs, ``transform`` runs a job
    that looks at the first 100 of them, and refuses what nothing reads.

    Parameters
    ----------
    inputCol, outputCol : str
        The column of pictures, and the tensor column to add.
    imageShape : list of int
        ``[height, width, channels]`` of the result; channels 1 (grey) or 3 (RGB).
    resize : {"stretch", "fit", "crop"}
        How a picture of another shape fills the result: ``stretch`` (default) changes its aspect
        ratio, ``fit`` keeps all of it and pads with black, ``crop`` keeps its centre.
    maxPixels : int
        Encoded pictures with more pixels than this can't be used; against decompression bombs.
        Default 178,956,970, where Pillow draws the line.
    handleInvalid : {"error", "skip", "keep"}
        What to do with null and corrupt pictures. Default ``error``.
    idCol : str, optional
        The column that names a row in errors.
    problemCol : str, optional
        With ``handleInvalid="keep"``: a string column to add, with the reason why a row has no
        tensor; null where it has one. See `sparkwater.conversions.report_problems`.
    """

    resize: Param[str] = Param(
        Params._dummy(),
        "resize",
        "how a picture of another shape fills the result: 'stretch' changes its aspect ratio, 'fit' keeps all of it "
        "and pads with black, 'crop' keeps its centre",
        typeConverter=TypeConverters.toString,
    )
    maxPixels: Param[int] = Param(
        Params._dummy(),
        "maxPixels",
        "encoded pictures with more pixels can't be used",
        typeConverter=TypeConverters.toInt,
    )
    problemCol: Param[str] = Param(
        Params._dummy(),
        "problemCol",
        "with handleInvalid='keep': string column to add, with the reason why a row has no tensor",
        typeConverter=TypeConverters.toString,
    )

    @keyword_only
    def __init__(
        self,
        *,
        inputCol: str | None = None,
        outputCol: str | None = None,
        imageShape: list[int] | None = None,
        resize: str = "stretch",
        maxPixels: int = MAX_PIXELS,
        handleInvalid: str = "error",
        idCol: str | None = None,
        problemCol: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(resize="stretch", maxPixels=MAX_PIXELS, handleInvalid="error")
        self._set(**self._input_kwargs)

    def getResize(self) -> str:
        """Return the value of ``resize``.

        Raises
        ------
        ConfigurationError
            If it is none of the accepted values.
        """
        value: str = self.getOrDefault(self.resize)
        if value not in RESIZES:
            raise ConfigurationError(f"resize={value!r}; accepted: {', '.join(RESIZES)}")
        return value

    def getMaxPixels(self) -> int:
        """Return the value of ``maxPixels``.

        Raises
        ------
        ConfigurationError
            If it isn't positive.
        """
        value: int = self.getOrDefault(self.maxPixels)
        if value < 1:
            raise ConfigurationError(f"maxPixels={value}; accepted: 1 or more")
        return value

    def getProblemCol(self) -> str | None:
        """Return the value of ``problemCol``, or None where it isn't set."""
        return self.getOrDefault(self.problemCol) if self.isDefined(self.problemCol) else None

    def _transform(self, dataset: DataFrame) -> DataFrame:
        shape = self.getImageShape()
        if shape is None:
            raise ConfigurationError("ImageToTensor needs imageShape=[height, width, channels]")
        self._check_problem_col(dataset)
        field = input_field(self, dataset)
        spec = image_spec(*shape)
        checked = checked_images(field, spec, self.getResize(), self.getMaxPixels())
        frame = self._add_tensors(dataset, checked, spec, self.getProblemCol())
        if isinstance(field.dataType, T.StringType):
            check_schemes(dataset, field.name)
        return frame

    def _check_problem_col(self, dataset: DataFrame) -> None:
        name, mode = self.getProblemCol(), self.getHandleInvalid()
        if name is None:
            return
        if mode != "keep":
            raise ConfigurationError(
                f"problemCol={name!r} with handleInvalid={mode!r}: no row with a problem is left; set "
                "handleInvalid='keep', or no problemCol"
            )
        if name in (*dataset.columns, self.getOutputCol()):
            raise SchemaError(f"problemCol={name!r}: there is a column of that name already")


@with_setters
class TensorToImage(Transformer, HasInputCol, HasOutputCol, StageReadable, StageWritable):
    """Turn a tensor column of pictures into Spark's image struct, which notebooks display.

    The struct is that of `pyspark.ml.image.ImageSchema`: origin, height, width, nChannels, mode and
    the pixels, rows of blue, green, red. A null tensor gives a null struct.

    Parameters
    ----------
    inputCol, outputCol : str
        The tensor column, uint8 ``(channels, height, width)`` with 1 or 3 channels, and the column
        of image structs to add.
    originCol : str, optional
        A string column that says where each picture comes from. Default: an empty origin.
    """

    _input_kwargs: dict[str, Any]

    originCol: Param[str] = Param(
        Params._dummy(),
        "originCol",
        "string column that says where each picture comes from",
        typeConverter=TypeConverters.toString,
    )

    @keyword_only
    def __init__(
        self, *, inputCol: str | None = None, outputCol: str | None = None, originCol: str | None = None
    ) -> None:
        super().__init__()
        self._set(**self._input_kwargs)

    def getOriginCol(self) -> str | None:
        """Return the value of ``originCol``, or None where it isn't set."""
        return self.getOrDefault(self.originCol) if self.isDefined(self.originCol) else None

    def _transform(self, dataset: DataFrame) -> DataFrame:
        origin = F.lit("")
        if (name := self.getOriginCol()) is not None:
            field = find_field(dataset.schema, name)
            if not isinstance(field.dataType, T.StringType):
                raise SchemaError(f"originCol={name!r} is {field.dataType.simpleString()}; accepted: string")
            origin = F.col(f"`{name}`")
        structs = image_structs(dataset, input_field(self, dataset).name, origin)
        return dataset.withColumn(free_output(self, dataset), structs)
