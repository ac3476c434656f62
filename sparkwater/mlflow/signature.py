"""MLflow's signature and input example, from those of a bundle."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from mlflow.models.signature import ModelSignature
from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Schema
from PIL import Image

from sparkwater.bundle.format import MISSING_TEXT, MISSING_TIME
from sparkwater.bundle.scorer.signature import Input, Output, Signature
from sparkwater.bundle.scorer.vectors import INPUT

#: MLflow's types of inputs, by kind. Tensors and pictures are bytes: a tensor column of Spark goes along as it is.
_INPUTS = {
    "number": DataType.double,
    "string": DataType.string,
    "time": DataType.datetime,
    "vector": Array(DataType.double),
    "tensor": DataType.binary,
    "picture": DataType.binary,
}

#: MLflow's types of outputs, by dtype; other dtypes are whole numbers of up to 32 bits.
_OUTPUTS = {
    "bool": DataType.boolean,
    "string": DataType.string,
    "int64": DataType.long,
    "float16": DataType.float,
    "float32": DataType.float,
    "float64": DataType.double,
}


def model_signature(signature: Signature, whole: Collection[str]) -> ModelSignature:
    """Return the signature that MLflow shows and enforces.

    Parameters
    ----------
    signature : Signature
        The bundle's.
    whole : collection of str
        Inputs that are whole numbers or booleans. MLflow's types for these refuse or change missing values (as a
        boolean, JSON's null is false), and its double refuses long integers; so any value goes, and the bundle checks
        them.
    """
    inputs = [_input_column(each, each.name in whole) for each in signature.inputs]
    return ModelSignature(Schema(inputs), Schema([_output_column(each) for each in signature.outputs]))


def input_example(
    signature: Signature, vectors: Mapping[str, npt.NDArray[Any]], whole: Collection[str]
) -> pd.DataFrame:
    """Return the first row of a bundle's test vectors, in the form that MLflow takes.

    Parameters
    ----------
    signature : Signature
        The bundle's.
    vectors : mapping of str to numpy.ndarray
        Its test vectors.
    whole : collection of str
        Inputs that are whole numbers or booleans.
    """
    row = {each.name: [_example(vectors[INPUT + each.name][0], each, each.name in whole)] for each in signature.inputs}
    return pd.DataFrame(row)


def _input_column(given: Input, is_whole: bool) -> ColSpec:
    if is_whole:
        return ColSpec(AnyType(), given.name, required=False)
    return ColSpec(_INPUTS[given.kind], given.name)


def _output_column(output: Output) -> ColSpec:
    kind = _OUTPUTS.get(output.dtype, DataType.integer)
    for _ in output.shape:
        kind = Array(kind)
    return ColSpec(kind, output.name)


def _example(value: Any, given: Input, is_whole: bool) -> Any:
    if given.kind == "string":
        return None if value == MISSING_TEXT else value
    if given.kind == "time":
        return pd.NaT if value == MISSING_TIME else pd.Timestamp(int(value), unit="us")
    if given.kind == "vector":
        return value.tolist()
    if given.kind == "picture":
        return _png(value)
    if given.kind == "tensor":
        return value.astype(value.dtype.newbyteorder("<")).tobytes()
    if is_whole:
        return None if np.isnan(value) else int(value)
    return float(value)


def _png(tensor: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture, ``(channels, height, width)``, as PNG, which is decoded to the same numbers."""
    buffer = io.BytesIO()
    pixels = tensor[0] if len(tensor) == 1 else np.moveaxis(tensor, 0, -1)
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG")
    return buffer.getvalue()
