"""Test vectors of a bundle: rows of a sample, through ``transform`` and through the graph."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import functions as F
from pyspark.sql import types as T
from safetensors.numpy import save

from sparkwater.bundle.format import VECTOR_ROWS
from sparkwater.bundle.scorer.columns import encode
from sparkwater.bundle.scorer.pictures import Preprocessing, read_preprocessing
from sparkwater.bundle.scorer.session import Session
from sparkwater.bundle.scorer.signature import Input, Output, Signature, read_signature
from sparkwater.bundle.scorer.vectors import INPUT, OUTPUT, PICTURE, STRINGS, difference
from sparkwater.conversions.images.columns import struct_pixels
from sparkwater.conversions.images.uris import read_uri
from sparkwater.conversions.tables.inputs import form_of, handed_over
from sparkwater.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

Arrays = dict[str, npt.NDArray[Any]]

#: Encoded pictures among the vectors, and the most bytes of one.
_PICTURES, _PICTURE_BYTES = 10, 2**20


@dataclass(frozen=True)
class SampledVectors:
    """Test vectors.

    Attributes
    ----------
    content : bytes
        The file.
    rows : int
        Their rows.
    differences : dict of str to float
        Of each output, the largest difference between the graph and ``transform``.
    """

    content: bytes
    rows: int
    differences: dict[str, float]


def sampled_vectors(
    model: Any, sample: DataFrame, graph: bytes, signature: Mapping[str, Any], preprocessing: Mapping[str, Any]
) -> SampledVectors:
    """Return rows of a sample with the outputs of ``transform``, which the graph must give as well.

    Rows that ``transform`` leaves out or gives nulls for are none of them.

    Raises
    ------
    ConfigurationError
        If the graph gives something else.
    DataError
        If there are no rows.
    """
    fields, pictures = read_signature(signature), read_preprocessing(preprocessing)
    rows = _scored(model, sample, fields)
    if not rows:
        raise DataError("the sample has no row that the model scores; a bundle needs rows of real input")
    inputs = {each.name: _inputs(rows, each, pictures) for each in fields.inputs}
    expected = {each.name: _outputs(rows, each) for each in fields.outputs}
    differences = compare(graph, fields, inputs, expected)
    arrays = {INPUT + name: values for name, values in inputs.items()}
    arrays |= {OUTPUT + name: values for name, values in expected.items()}
    return SampledVectors(_safetensors(arrays | _encoded(rows, fields)), len(rows), differences)


def _scored(model: Any, sample: DataFrame, signature: Signature) -> list[Row]:
    content = F.xxhash64(*(F.col(f"`{each.name}`") for each in signature.inputs))
    scored = model.transform(sample.orderBy(content).limit(VECTOR_ROWS))  # the same rows for any partitioning
    columns = [_given(scored, each) for each in signature.inputs]
    columns += [F.col(f"`{each.name}`").alias(OUTPUT + each.name) for each in signature.outputs]
    found: list[Row] = scored.select(*columns).collect()
    return [row for row in found if all(row[OUTPUT + each.name] is not None for each in signature.outputs)]


def _given(frame: DataFrame, given: Input) -> Column:
    column, field = F.col(f"`{given.name}`"), frame.schema[given.name]
    if given.kind == "time":
        seconds = handed_over(given.name, form_of(field) or "", "time", given.zone)
        column = F.round(seconds * 1e6).cast("bigint")
    elif isinstance(field.dataType, T.DecimalType):
        column = column.cast("double")
    return column.alias(INPUT + given.name)


def _inputs(rows: Sequence[Row], given: Input, pictures: Mapping[str, Preprocessing]) -> npt.NDArray[Any]:
    values = [row[INPUT + given.name] for row in rows]
    if given.kind == "time":
        return encode(np.array(values, "datetime64[us]"), given, pictures)
    return encode([_plain(value, given) for value in values], given, pictures)


def _plain(value: Any, given: Input) -> Any:
    """Return a value of Spark's as the scorer takes it."""
    if given.kind == "picture":
        return _picture(value)
    if isinstance(value, (bytes, bytearray)):  # by the version of Spark
        return bytes(value)
    return value.toArray() if hasattr(value, "toArray") else value


def _picture(value: Any) -> Any:
    if isinstance(value, str):
        return read_uri(value)
    return bytes(value) if isinstance(value, (bytes, bytearray)) else struct_pixels(value)


def _outputs(rows: Sequence[Row], output: Output) -> npt.NDArray[Any]:
    values = [row[OUTPUT + output.name] for row in rows]
    if output.dtype == "string":
        return np.array(values, object)
    if isinstance(values[0], (bytes, bytearray)):
        dtype = np.dtype(output.dtype).newbyteorder("<")
        return np.stack([np.frombuffer(value, dtype).reshape(output.shape) for value in values])
    if output.dtype == "bool":  # positions, as Spark's evaluators of several labels take them
        return np.stack([np.isin(np.arange(*output.shape), value) for value in values])
    return np.array([value.toArray() if hasattr(value, "toArray") else value for value in values], output.dtype)


def compare(graph: bytes, signature: Signature, inputs: Arrays, expected: Arrays) -> dict[str, float]:
    """Return the largest difference of each output between a graph and ``transform``.

    Raises
    ------
    ConfigurationError
        If the graph gives something else, or refuses a row.
    """
    session = Session(graph, signature, threads=1)
    found, problem = session.scored({each.tensor: inputs[each.name] for each in signature.inputs}, signature)
    if problem is not None:
        raise ConfigurationError(
            f"the bundle refuses a row of the sample that transform scores ({problem}), so it isn't written. It is a "
            "fault of sparkwater"
        )
    differences = {}
    for output, values in zip(signature.outputs, found, strict=True):
        largest, tolerated = difference(values, expected[output.name], output.absolute, output.relative)
        if not tolerated:
            raise ConfigurationError(
                f"the bundle's {output.name!r} differs from transform's by {largest:.3g} for a row of the sample; "
                f"at most {output.absolute:g} + {output.relative:g} * |value| is tolerated, so it isn't written. It is "
                "a fault of sparkwater, unless transform gives something else each time"
            )
        differences[output.name] = largest
    return differences


def _encoded(rows: Sequence[Row], signature: Signature) -> Arrays:
    """Return the first encoded pictures, for those who decode them in another language."""
    found: Arrays = {}
    for each in signature.inputs:
        if each.kind != "picture":
            continue
        for place, row in enumerate(rows[:_PICTURES]):
            value = _picture(row[INPUT + each.name])
            if isinstance(value, bytes) and len(value) <= _PICTURE_BYTES:
                found[f"{PICTURE}{each.name}:{place}"] = np.frombuffer(value, np.uint8)
    return found


def _safetensors(arrays: Arrays) -> bytes:
    """Return arrays as safetensors, and those of texts in its metadata: a single entry, whose order is fixed."""
    texts = {name: list(values) for name, values in arrays.items() if values.dtype.kind == "O"}
    numbers = {name: np.ascontiguousarray(values) for name, values in arrays.items() if name not in texts}
    return bytes(save(numbers, metadata={STRINGS: json.dumps(texts, ensure_ascii=False)}))
