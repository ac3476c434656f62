"""Shapes of a column's rows, found in its metadata or in its first row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml.linalg import VectorUDT
from pyspark.sql import functions as F

from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.spark_types import element_and_depth
from sparkwater.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def find_shape(frame: DataFrame, name: str) -> tuple[int, ...]:
    """Return the shape of a column's rows: ``()`` for plain numbers.

    A vector's length comes from the column's ML attributes where a stage wrote them. Otherwise
    one Spark job looks at the first row that isn't null, as Spark's ``VectorAssembler`` does; a
    row of another shape is a row that can't be used.

    Raises
    ------
    DataError
        If there is no such row, or an array in it is empty.
    """
    field = find_field(frame.schema, name)
    _, depth = element_and_depth(field.dataType)
    if isinstance(field.dataType, VectorUDT):
        attributes = field.metadata.get("ml_attr", {})
        if attributes.get("num_attrs", 0) > 0:
            return (int(attributes["num_attrs"]),)
    elif depth == 0:
        return ()
    rows = frame.select(F.col(f"`{name}`").alias("row")).where(F.col("row").isNotNull()).head(1)
    if not rows:
        raise DataError(f"column {name!r} has no row to see its shape by; give shape")
    return _shape_of(rows[0]["row"], depth, name)


def _shape_of(row: Any, depth: int, name: str) -> tuple[int, ...]:
    sizes = [len(row)]
    for _ in range(depth - 1):
        row = row[0] if len(row) else None
        sizes.append(0 if row is None else len(row))
    if 0 in sizes:
        raise DataError(f"column {name!r}: the first row is empty, so its shape can't be seen; give shape")
    return tuple(sizes)
