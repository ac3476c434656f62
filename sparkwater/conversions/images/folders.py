"""Folders of pictures as DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from sparkwater.conversions.files.session_files import check_spark_reaches
from sparkwater.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: What the name of a picture ends in; case doesn't matter.
SUFFIXES = ("png", "jpg", "jpeg", "bmp", "gif", "tif", "tiff", "webp")
PICTURES = "*.{" + ",".join("".join(f"[{x}{x.upper()}]" for x in suffix) for suffix in SUFFIXES) + "}"


#: Columns of Spark's source; a stream wants to be told.
_FILES = "path string, modificationTime timestamp, length long, content binary"


def read_images(spark: SparkSession, path: str) -> DataFrame:
    """Read all pictures below a folder through Spark's ``binaryFile`` source.

    Everything that Spark can list works. One job lists the files and looks at one of them.

    Returns
    -------
    pyspark.sql.DataFrame
        ``path`` (string) and ``content`` (the encoded bytes).

    Raises
    ------
    ConfigurationError
        If there is no such folder, or Spark has no filesystem for it.
    DataError
        If no picture is in it.
    """
    check_spark_reaches(spark, path)
    reader = spark.read.format("binaryFile").option("pathGlobFilter", PICTURES).option("recursiveFileLookup", "true")
    try:
        files = reader.load(path).select("path", "content")
    except AnalysisException as error:
        if "PATH_NOT_FOUND" not in (error.getCondition() or ""):
            raise
        raise ConfigurationError(f"there is no folder {path!r}") from None
    if files.select("path").isEmpty():
        raise DataError(f"there are no pictures in {path!r}; their names end in {', '.join(SUFFIXES)}")
    return files


def stream_images(spark: SparkSession, path: str) -> DataFrame:
    """Read pictures below a folder as they come, through Spark's ``binaryFile`` source: `read_images` as a stream.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session.
    path : str
        A folder that is there; pictures may be added at any time. Move finished files in: a file is read once.

    Returns
    -------
    pyspark.sql.DataFrame
        A stream of ``path`` (string) and ``content`` (the encoded bytes).
    """
    check_spark_reaches(spark, path)
    reader = spark.readStream.format("binaryFile").schema(_FILES)
    files = reader.option("pathGlobFilter", PICTURES).option("recursiveFileLookup", "true").load(path)
    return files.select("path", "content")


def read_image_folder(spark: SparkSession, path: str) -> DataFrame:
    """Read ``path/<label>/<picture>``: `read_images` with the name of each picture's folder as ``label``.

    Returns
    -------
    pyspark.sql.DataFrame
        ``path`` (string), ``content`` (the encoded bytes) and ``label`` (string).
    """
    return read_images(spark, path).withColumn("label", F.element_at(F.split("path", "/"), -2))
