"""The type of the struct that ``mlflow.pyfunc.spark_udf`` gives."""

from __future__ import annotations

from typing import Any

from mlflow.models import get_model_info
from mlflow.types.schema import Array
from pyspark.sql import types as T

from sparkwater.errors import ConfigurationError
from sparkwater.mlflow.stores import known_stores


def result_type(model_uri: str) -> T.StructType:
    """Return the type of a struct of all outputs of a model, for ``mlflow.pyfunc.spark_udf(..., result_type=...)``.

    Of models with several outputs it is what ``spark_udf`` takes without a type. A model with a single output needs
    it. An array asked of ``spark_udf`` holds the outputs that are single numbers, such as the prediction, and no
    probabilities.

    Parameters
    ----------
    model_uri : str
        The model, such as ``models:/name@alias`` or ``runs:/RUN/name``.

    Raises
    ------
    ConfigurationError
        If the model has no signature of outputs by name, or the registry's URI is none that MLflow knows.
    """
    with known_stores():
        signature = get_model_info(model_uri).signature
    outputs = signature.outputs.inputs if signature is not None and signature.outputs is not None else []
    if not outputs or not all(each.name for each in outputs):
        raise ConfigurationError(
            f"{model_uri!r} has no signature of outputs by name; accepted: models that sparkwater.mlflow.log_model or "
            "save_model wrote"
        )
    return T.StructType([T.StructField(each.name, _spark_type(each.type)) for each in outputs])


def _spark_type(kind: Any) -> T.DataType:
    return T.ArrayType(_spark_type(kind.dtype)) if isinstance(kind, Array) else kind.to_spark()
