"""Values that a form begins with: columns of the frame, names, and what was typed for another estimator or frame."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import types as T

from sparkwater.errors import ConfigurationError
from sparkwater.flow.views import forms
from sparkwater.flow.views.galleries import picture_columns, vector_columns
from sparkwater.flow.workbook.code import variable

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

    from sparkwater.flow.views.forms import Field, Form

#: Names of models and learners, by the beginnings of their estimators' names.
_MODELS = {
    "LogisticRegression": "logistic",
    "LinearRegression": "linear",
    "RandomForest": "forest",
    "GBT": "trees",
    "AutoEncoder": "coder",
    "StackedEnsemble": "ensemble",
    "AutoML": "automl",
    "GridSearch": "search",
    "RandomSearch": "search",
    "OptunaSearch": "search",
}
#: Types of plain values, which are those of labels that estimators accept.
_PLAIN = (T.StringType, T.NumericType, T.BooleanType)
#: Names that ids often have, the likeliest first.
_IDS = ("id", "path", "uri", "name")
#: Letters of a name that is made of a file's: room is left for what is added to it.
_SUGGESTED = 40
#: Names that labels often have.
_LABELS = ("label", "class", "target", "species", "y")


def suggested_estimator(schema: StructType) -> str:
    """Return an estimator for rows of a schema: for pictures where it has some."""
    return "ImageClassifier" if picture_columns(schema) else "DeepLearningClassifier"


def suggested_columns(form: Form, schema: StructType) -> dict[str, str]:
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


def still_fitting(form: Form, typed: Mapping[str, Any], columns: Collection[str]) -> dict[str, Any]:
    """Return what was typed in another form that this one has a field for; chosen things must be among the choices."""
    fields = {field.name: field for field in form.fields}
    return {name: given for name, given in typed.items() if name in fields and _fits(fields[name], given, columns)}


def _fits(field: Field, given: Any, columns: Collection[str]) -> bool:
    if field.kind in (forms.COLUMN, forms.COLUMNS):
        choices = columns
    elif field.kind in (forms.CHOICE, forms.CHOICES):
        choices = field.choices
    else:
        return True
    return set(given if isinstance(given, list) else [given]) <= set(choices)


def plain_columns(schema: StructType, first: Sequence[str] = ()) -> list[str]:
    """Return the columns of words, numbers and flags, those with some names first."""
    plain = [field.name for field in schema.fields if isinstance(field.dataType, _PLAIN)]
    return sorted(plain, key=lambda name: first.index(name) if name in first else len(first))


def identifier_columns(schema: StructType) -> list[str]:
    """Return the columns that may tell rows apart, the likeliest first; flags don't."""
    return [name for name in plain_columns(schema, _IDS) if not isinstance(schema[name].dataType, T.BooleanType)]


def is_no_double(schema: StructType, label: str) -> bool:
    """Return whether labels are flags or decimals, which equal a prediction once they are doubles, as for `fit`."""
    return isinstance(schema[label].dataType, (T.BooleanType, T.DecimalType))


def label_first(names: Sequence[str], model: Any) -> list[str]:
    """Return names of columns, that of the labels a model was fitted to first."""
    own = model.getOrDefault("labelCol")
    return sorted(names, key=lambda name: name != own)


def suggested_model(estimator: str) -> str:
    """Return a variable's name for a model of an estimator."""
    return next((name for start, name in _MODELS.items() if estimator.startswith(start)), "network")


def suggested_name(file: str) -> str:
    """Return a variable's name like a file's."""
    plain = re.sub(r"[^a-z0-9]+", "_", file.split(".")[0].lower()).strip("_") or "data"
    plain = (plain if plain[0].isalpha() else f"data_{plain}")[:_SUGGESTED].rstrip("_")
    try:
        return variable(plain)
    except ConfigurationError:  # one of Python's own words
        return f"{plain}_data"
