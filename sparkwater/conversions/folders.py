"""A folder of pictures, one sub-folder a class, as a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: What counts as a picture, by its name; case doesn't matter.
PICTURES = "*.{" + ",".join(
    "".join(f"[{letter}{letter.upper()}]" for letter in suffix)
    for suffix in ("png", "jpg", "jpeg", "bmp", "gif", "tif", "tiff", "webp")
) + "}"  # fmt: skip


def read_image_folder(spark: SparkSession, path: str) -> DataFrame:
    """Read ``path/<label>/<picture>`` through Spark's ``binaryFile`` source.

    Everything that Spark can list works. One job lists the files and looks at one of them.

    Returns
    -------
    pyspark.sql.DataFrame
        ``path`` (string), ``content`` (the encoded bytes) and ``label`` (string: the name of the
        folder that the file is in).

    Raises
    ------
    ConfigurationError
        If there is no such folder.
    DataError
        If no picture is in it.
    """
    reader = spark.read.format("binaryFile").option("pathGlobFilter", PICTURES).option("recursiveFileLookup", "true")
    try:
        files = reader.load(path)
    except AnalysisException as error:
        if "PATH_NOT_FOUND" not in (error.getCondition() or ""):
            raise
        raise ConfigurationError(f"there is no folder {path!r}") from None
    labelled = files.select("path", "content", F.element_at(F.split("path", "/"), -2).alias("label"))
    if labelled.select("path").isEmpty():
        raise DataError(f"no pictures in {path!r}; expected {path}/<label>/<picture>, picture names like {PICTURES}")
    return labelled
