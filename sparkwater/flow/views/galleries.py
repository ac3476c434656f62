"""Galleries of pictures in scored frames, each picture as a small PNG with words; driver side.

So many rows as are shown come to the driver, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.images.columns import is_image_field
from sparkwater.conversions.images.uris import no_uris
from sparkwater.conversions.stages.columns import find_field, tensor_spec
from sparkwater.errors import SchemaError
from sparkwater.flow.views.data.rows import picture_url
from sparkwater.flow.work.workspace import NO_URIS
from sparkwater.flow.workbook.column_types import quoted
from sparkwater.plots.drawing.pictures import Picture, is_picture
from sparkwater.plots.frames.galleries import largest_losses, nearest_pictures

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType


@dataclass(frozen=True)
class PictureView:
    """A picture with words.

    Attributes
    ----------
    url : str
        A ``data:`` URL with a PNG.
    words : tuple of str
        Lines below it.
    """

    url: str
    words: tuple[str, ...]

    @property
    def alt(self) -> str:
        """The words in one line."""
        return ", ".join(self.words)


def picture_columns(schema: StructType) -> list[str]:
    """Return the columns of pictures: tensors, then encoded ones. Nothing is read for a URI, so strings are none."""
    specs = {field.name: tensor_spec(field) for field in schema.fields}
    tensors = [name for name, spec in specs.items() if spec is not None and is_picture(spec.shape)]
    encoded = [
        field.name
        for field in schema.fields
        if specs[field.name] is None and is_image_field(field) and not isinstance(field.dataType, T.StringType)
    ]
    return [*tensors, *encoded]


def vector_columns(schema: StructType) -> list[str]:
    """Return the columns of ML vectors."""
    return [field.name for field in schema.fields if isinstance(field.dataType, VectorUDT)]


def outdated_columns(model: Any, schema: StructType) -> tuple[str, ...]:
    """Return the columns that a model's scores have the names of, in Spark's sense: those of another model."""
    outputs = ("predictionCol", "probabilityCol", "rawPredictionCol", "predictedLabelCol")
    made = {model.getOrDefault(name).lower() for name in outputs if model.hasParam(name) and model.isDefined(name)}
    return tuple(name for name in schema.names if name.lower() in made)


def is_text(schema: StructType, label: str) -> bool:
    """Return whether labels are strings; those that are compared with a prediction's number aren't.

    Raises
    ------
    SchemaError
        If a row has no one label.
    """
    kind = find_field(schema, label).dataType
    if not isinstance(kind, (T.StringType, T.NumericType, T.BooleanType)):
        raise SchemaError(
            f"{label!r} is {kind.simpleString()}; accepted: labels of one class a row, strings or numbers"
        )
    return isinstance(kind, T.StringType)


def worst_pictures(wrong: DataFrame, model: Any, picture: str, label: str, most: int = 24) -> list[PictureView]:
    """Return pictures that a classifier took for another class, the most mistaken first; one Spark job.

    Their words say the class, what they were taken for, and how sure the model was.

    Parameters
    ----------
    wrong : pyspark.sql.DataFrame
        Rows with the model's scores, all of them wrong.
    model : pyspark.ml.Model
        The classifier.
    picture, label : str
        Columns of the pictures and of their classes.
    most : int
        Pictures at most.
    """
    with no_uris(NO_URIS):
        found = largest_losses(
            wrong,
            picture,
            labelCol=label,
            probabilityCol=model.getOrDefault("probabilityCol"),
            classes=list(getattr(model, "classes", ())),
            maxPictures=most,
        )
    return list(map(picture_view, found))


def has_labels(frame: DataFrame, label: str) -> bool:
    """Return whether any row has a label; a Spark job that ends at the first one."""
    return not frame.where(F.col(quoted(label)).isNotNull()).isEmpty()


def nearest(
    pairs: DataFrame, queries: DataFrame, references: DataFrame, picture: str, identifier: str, words: str | None
) -> list[tuple[PictureView, list[PictureView]]]:
    """Return pictures with their nearest; three Spark jobs.

    Parameters
    ----------
    pairs : pyspark.sql.DataFrame
        What `sparkwater.ml.k_nearest` gives.
    queries, references : pyspark.sql.DataFrame
        The pictures by id.
    picture, identifier : str
        Their columns of pictures and of ids.
    words : str or None
        A column whose value stands below a picture; None for the id.
    """
    found = nearest_pictures(
        pairs, queries, references, picture, idCol=identifier, wordsCol=words, maxQueries=8, maxNeighbors=8
    )
    return [(picture_view(query), list(map(picture_view, others))) for query, others in found]


def picture_view(picture: Picture) -> PictureView:
    """Return a picture as a page shows it."""
    return PictureView(picture_url(picture.pixels), tuple(picture.words.split("\n")))
