"""Galleries of pictures in DataFrames: any, those with the largest loss, and nearest neighbours.

Driver side. So many rows as are shown come to the driver, and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import functions as F

from sparkwater.conversions.image_stages import ImageToTensor
from sparkwater.conversions.images.columns import is_image_field
from sparkwater.conversions.stages.columns import find_field, tensor_spec
from sparkwater.errors import DataError, SchemaError
from sparkwater.plots.drawing.pictures import Picture, gallery, is_picture, neighbor_gallery
from sparkwater.plots.frames.rows import check_bound, check_columns, class_place, first_rows, probabilities

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

    from sparkwater.conversions.tensors.spec import TensorSpec
    from sparkwater.plots.drawing.plot import Plot

#: Height, width and channels of pictures that are decoded for a gallery, and their column meanwhile.
SHAPE, DECODED = [128, 128, 3], "__sparkwater_decoded"


def plot_pictures(
    frame: DataFrame,
    pictureCol: str = "features",
    wordsCols: Sequence[str] = (),
    *,
    maxPictures: int = 24,
    columns: int = 6,
    title: str = "",
) -> Plot:
    """Return the first pictures of a DataFrame; ``maxPictures`` rows at most are read.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows.
    pictureCol : str
        Tensors of one or three channels, encoded bytes, or Spark's image struct.
    wordsCols : sequence of str
        Columns whose values stand below a picture, a line each.
    maxPictures, columns : int
        Pictures at most, and beside each other.
    title : str
        Title of the whole.

    Raises
    ------
    ConfigurationError, SchemaError, DataError
        If an argument or a column isn't what is accepted, or there are no rows.
    """
    check_bound(columns, "columns")
    chosen = first_rows(frame, [pictureCol, *wordsCols], maxPictures, "maxPictures")
    decoded, read = _pixels(chosen, pictureCol)
    rows = decoded.collect()
    shown = [Picture(read(row[0]), "\n".join(map(_word, row[1:]))) for row in rows if row[0] is not None]
    return gallery(shown, columns=columns, title=title)


def plot_largest_losses(
    scored: DataFrame,
    pictureCol: str = "features",
    *,
    labelCol: str = "label",
    probabilityCol: str = "probability",
    classes: Sequence[Any] | None = None,
    maxPictures: int = 12,
    columns: int = 6,
) -> Plot:
    """Return the pictures whose own class is least probable, the worst first, with what they were taken for.

    Spark sorts the rows by their log loss; ``maxPictures`` of them come to the driver.

    Parameters
    ----------
    scored : pyspark.sql.DataFrame
        Rows that a classifier's ``transform`` gave.
    pictureCol : str
        As for `plot_pictures`.
    labelCol, probabilityCol : str
        The label: a string, or the class's number; and the vector of probabilities.
    classes : sequence, optional
        The model's ``classes``. Labels that are strings need them: their probabilities are in this order; those of
        numbers stand at the number.
    maxPictures, columns : int
        Pictures at most, and beside each other.

    Raises
    ------
    ConfigurationError, SchemaError, DataError
        If an argument or a column isn't what is accepted, or there are no rows.
    """
    check_bound(columns, "columns")
    shown = largest_losses(
        scored,
        pictureCol,
        labelCol=labelCol,
        probabilityCol=probabilityCol,
        classes=classes,
        maxPictures=maxPictures,
    )
    return gallery(shown, columns=columns, title="Pictures with the largest loss")


def largest_losses(
    scored: DataFrame,
    pictureCol: str,
    *,
    labelCol: str,
    probabilityCol: str,
    classes: Sequence[Any] | None,
    maxPictures: int,
) -> list[Picture]:
    """Return the pictures of `plot_largest_losses`, with their words."""
    check_bound(maxPictures, "maxPictures")
    _check_pictures(scored, pictureCol)
    label, probability = F.col(f"`{labelCol}`"), probabilities(scored, probabilityCol)
    # A class that is out of the vector is one that was never learned.
    own = F.coalesce(F.get(probability, class_place(scored, labelCol, classes)), F.lit(0.0))
    kept = scored.where(label.isNotNull() & F.col(f"`{probabilityCol}`").isNotNull())
    worst = kept.select(
        f"`{pictureCol}`", label.alias("__label"), own.alias("__own"), probability.alias("__all")
    ).orderBy("__own")
    decoded, read = _pixels(worst.limit(maxPictures), pictureCol)
    rows = decoded.collect()
    names = {int(float(one)) if isinstance(one, Real) else at: _word(one) for at, one in enumerate(classes or ())}
    return [Picture(read(row[0]), _loss_words(row, names)) for row in rows if row[0] is not None]


def _loss_words(row: Any, names: Mapping[int, str]) -> str:
    """Return a picture's label, what it was taken for with its probability, and its loss."""
    taken = int(np.argmax(row["__all"]))
    name = names.get(taken, str(taken))
    loss = -np.log(max(row["__own"], np.finfo(np.float64).tiny))
    return f"{_word(row['__label'])}, taken for {name}\n{row['__all'][taken]:.2f}, loss {loss:.2f}"


def plot_neighbors(
    pairs: DataFrame,
    queries: DataFrame,
    references: DataFrame,
    pictureCol: str = "features",
    *,
    idCol: str = "id",
    wordsCol: str | None = None,
    maxQueries: int = 6,
    maxNeighbors: int = 6,
) -> Plot:
    """Return pictures, framed, with the nearest to each beside them.

    ``maxQueries`` pictures at most are read, those with the smallest ids, and ``maxNeighbors`` for each.

    Parameters
    ----------
    pairs : pyspark.sql.DataFrame
        What `sparkwater.ml.k_nearest` gives: ``queryId``, ``rank``, ``referenceId`` and ``value``.
    queries, references : pyspark.sql.DataFrame
        The pictures by id.
    pictureCol, idCol : str
        Their pictures, as for `plot_pictures`, and their ids.
    wordsCol : str, optional
        A column whose value stands below a picture, such as the label; without it the id does.
    maxQueries, maxNeighbors : int
        Pictures at most, and nearest of each.

    Raises
    ------
    ConfigurationError, SchemaError, DataError
        If an argument or a column isn't what is accepted, or there are no pairs.
    """
    found = nearest_pictures(
        pairs,
        queries,
        references,
        pictureCol,
        idCol=idCol,
        wordsCol=wordsCol,
        maxQueries=maxQueries,
        maxNeighbors=maxNeighbors,
    )
    return neighbor_gallery(found, title="Nearest neighbours")


def nearest_pictures(
    pairs: DataFrame,
    queries: DataFrame,
    references: DataFrame,
    pictureCol: str,
    *,
    idCol: str,
    wordsCol: str | None,
    maxQueries: int,
    maxNeighbors: int,
) -> list[tuple[Picture, list[Picture]]]:
    """Return the pictures of `plot_neighbors`, each with its nearest, with their words."""
    check_bound(maxQueries, "maxQueries")
    check_bound(maxNeighbors, "maxNeighbors")
    columns: list[Any] = ["queryId", "rank", "referenceId", "value"]
    check_columns(pairs, *columns)
    for frame in (queries, references):
        check_columns(frame, idCol, wordsCol or idCol)
        _check_pictures(frame, pictureCol)
    near = pairs.where(F.col("rank") <= maxNeighbors).orderBy("queryId", "rank")
    found = first_rows(near, columns, maxQueries * maxNeighbors, "maxQueries").collect()
    if not found:
        raise DataError("there are no pairs to show")
    chosen = {*list(dict.fromkeys(row["queryId"] for row in found))[:maxQueries]}
    rows = [row for row in found if row["queryId"] in chosen]
    asked = _by_id(queries, {row["queryId"] for row in rows}, pictureCol, idCol, wordsCol)
    nearest = _by_id(references, {row["referenceId"] for row in rows}, pictureCol, idCol, wordsCol)
    lines: dict[Any, list[Picture]] = {}
    for row in rows:
        if row["queryId"] in asked and row["referenceId"] in nearest:
            picture = nearest[row["referenceId"]]
            words = f"{picture.words}\n{row['value']:.4g}"
            lines.setdefault(row["queryId"], []).append(Picture(picture.pixels, words))
    return [(asked[name], others) for name, others in lines.items()]


def _by_id(frame: DataFrame, ids: set[Any], pictureCol: str, idCol: str, wordsCol: str | None) -> dict[Any, Picture]:
    """Return the pictures of some ids."""
    words = F.col(f"`{wordsCol or idCol}`").alias("__words")
    chosen = first_rows(frame.where(F.col(f"`{idCol}`").isin(*ids)), [idCol, pictureCol, words], len(ids), "ids")
    decoded, read = _pixels(chosen, pictureCol)
    return {row[0]: Picture(read(row[1]), _word(row["__words"])) for row in decoded.collect() if row[1] is not None}


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check_pictures(frame: DataFrame, name: str) -> TensorSpec | None:
    """Return the spec of a column of pictures that are tensors; None of those that are to be decoded.

    Raises
    ------
    SchemaError
        If the column is none of these.
    """
    field = find_field(frame.schema, name)
    spec = tensor_spec(field)
    if spec is None and not is_image_field(field):
        raise SchemaError(
            f"column {name!r} is {field.dataType.simpleString()}; accepted: tensors, encoded pictures as bytes, "
            "URIs, Spark's image struct"
        )
    if spec is not None and not is_picture(spec.shape):
        raise SchemaError(
            f"column {name!r} holds tensors {spec}; accepted: those of two axes, and of three with 1 or 3 channels"
        )
    return spec


def _pixels(frame: DataFrame, name: str) -> tuple[DataFrame, Callable[[Any], npt.NDArray[Any]]]:
    """Return rows with pictures as tensors, decoded on the executors, and a function from a cell to its pixels."""
    spec = _check_pictures(frame, name)
    if spec is None:
        decode = ImageToTensor(inputCol=name, outputCol=DECODED, imageShape=SHAPE, resize="fit", handleInvalid="keep")
        decoded = decode.transform(frame)
        spec = tensor_spec(decoded.schema[DECODED])
        assert spec is not None  # the stage's own column
        frame = decoded.withColumn(name, F.col(DECODED)).drop(DECODED)
    dtype, shape = spec.numpy_dtype, spec.shape
    return frame, lambda cell: np.frombuffer(bytes(cell), dtype).reshape(shape)
