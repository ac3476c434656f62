"""Spark ML Transformers between columns of pictures and tensor columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.ml import Transformer
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.images.columns import check_schemes, checked_images, image_spec, image_structs
from sparkwater.conversions.images.decoding import MAX_PIXELS, RESIZES
from sparkwater.conversions.stages.accepts import Accepts, one_of
from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.params import HasImageShape
from sparkwater.conversions.stages.saving import SavedStage
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.spark_params import HasInputCol, HasOutputCol
from sparkwater.conversions.stages.tensor_stages import ToTensor, free_output, input_field
from sparkwater.errors import ConfigurationError, SchemaError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class ImageToTensor(ToTensor, HasImageShape):
    """Decode and resize pictures into a tensor column, on the executors.

    The input is a column of URIs, of encoded bytes (Spark's ``binaryFile`` source), or of Spark's
    image struct. The output holds uint8 tensors, channels first: ``(channels, height, width)``.
    Decoding is described at `sparkwater.conversions.images.decoding.decode_image`, the accepted URIs
    at `sparkwater.conversions.images.uris.read_uri`. For a column of URIs, ``transform`` runs a job
    that looks at the first 100 of them, and refuses what nothing reads.
    """

    imageShape: Setting[list[int] | None] = setting(
        None, "[height, width, channels] of the result; channels 1 (grey) or 3 (RGB)"
    )
    resize: Setting[str] = setting(
        "stretch",
        "how a picture of another shape fills the result: 'stretch' changes its aspect ratio, 'fit' keeps all of it "
        "and pads with black, 'crop' keeps its centre",
        accepts=one_of(*RESIZES),
    )
    maxPixels: Setting[int] = setting(
        MAX_PIXELS,
        "encoded pictures with more pixels can't be used: against decompression bombs. The default is where Pillow "
        "draws the line",
        accepts=Accepts(lambda pixels: pixels >= 1, "1 or more"),
    )
    problemCol: Setting[str | None] = setting(
        None,
        "with handleInvalid='keep': string column to add, with the reason why a row has no tensor; null where it has "
        "one. See sparkwater.conversions.report_problems",
    )

    def getResize(self) -> str:
        """Return the value of ``resize``.

        Raises
        ------
        ConfigurationError
            If it is none of the accepted values.
        """
        value: str = self.accepted_value("resize")
        return value

    def getMaxPixels(self) -> int:
        """Return the value of ``maxPixels``.

        Raises
        ------
        ConfigurationError
            If it isn't positive.
        """
        value: int = self.accepted_value("maxPixels")
        return value

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


class TensorToImage(Transformer, HasInputCol, HasOutputCol, SavedStage):
    """Turn a tensor column of pictures into Spark's image struct, which notebooks display.

    The struct is that of `pyspark.ml.image.ImageSchema`: origin, height, width, nChannels, mode and
    the pixels, rows of blue, green, red. A null tensor gives a null struct.
    """

    inputCol: Setting[str | None] = setting(  # type: ignore[assignment]
        None, "the tensor column, uint8 (channels, height, width) with 1 or 3 channels"
    )
    outputCol: Setting[str | None] = setting(  # type: ignore[assignment]
        None, "the column of image structs to add; by default the stage's uid with '__output'"
    )
    originCol: Setting[str | None] = setting(
        None, "string column that says where each picture comes from; without it the origin is empty"
    )

    def _transform(self, dataset: DataFrame) -> DataFrame:
        origin = F.lit("")
        if (name := self.getOriginCol()) is not None:
            field = find_field(dataset.schema, name)
            if not isinstance(field.dataType, T.StringType):
                raise SchemaError(f"originCol={name!r} is {field.dataType.simpleString()}; accepted: string")
            origin = F.col(f"`{name}`")
        structs = image_structs(dataset, input_field(self, dataset).name, origin)
        return dataset.withColumn(free_output(self, dataset), structs)
