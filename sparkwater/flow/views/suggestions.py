"""Columns that a form suggests for a frame, where the estimator's defaults aren't there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater.flow.views import forms
from sparkwater.flow.views.galleries import picture_columns, vector_columns

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

    from sparkwater.flow.views.forms import Form

#: Names that labels often have.
_LABELS = ("label", "class", "target", "species", "y")


def suggested(form: Form, schema: StructType) -> dict[str, str]:
    """Return columns for the form's ``featuresCol`` and ``labelCol``; only those that seem sure."""
    fields = {field.name: field for field in form.fields if field.kind == forms.COLUMN}
    features, label = fields.get("featuresCol"), fields.get("labelCol")
    found: dict[str, list[str]] = {}
    if features is not None and features.default and features.default not in schema.names:
        pictures = "imageShape" in {field.name for field in form.fields}
        found["featuresCol"] = picture_columns(schema) if pictures else vector_columns(schema)
    if label is not None and label.default not in schema.names:
        found["labelCol"] = [name for name in schema.names if name.lower() in _LABELS]
    return {name: candidates[0] for name, candidates in found.items() if candidates}
