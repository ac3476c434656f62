"""``export_bundle``: a fitted model as a folder of files that is scored without Spark and torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sparkwater.bundle.export.card import card_of
from sparkwater.bundle.export.documents import manifest_of, preprocessing_of, signature_of
from sparkwater.bundle.export.inputs import input_columns
from sparkwater.bundle.export.outputs import added_columns
from sparkwater.bundle.export.registry import check_stage, emit
from sparkwater.bundle.export.sampling import sampled_vectors
from sparkwater.bundle.format import CARD, CARD_HTML, MANIFEST, MODEL, PREPROCESSING, SIGNATURE, VECTORS
from sparkwater.bundle.graph.builder import Graph
from sparkwater.conversions.files.session_files import check_replaceable, replacing, write_bytes
from sparkwater.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame


def export_bundle(
    model: Transformer, path: str, sample: DataFrame, *, overwrite: bool = False, licence: str | None = None
) -> None:
    """Write a fitted model as a bundle; driver side.

    The graph has the columns that ``transform`` adds: of a pipeline those of its last stage and of its predictors.
    It is scored on the sample before anything is written, and must give what ``transform`` gives. The folder is
    written beside its target and swapped in.

    Parameters
    ----------
    model : pyspark.ml.Transformer
        A model of this package, a stacked ensemble, or a ``PipelineModel`` of stages that can go along.
    path : str
        The folder, on any filesystem that Spark writes.
    sample : pyspark.sql.DataFrame
        Rows of real input, as ``transform`` takes them. Up to 100 of them are in the bundle, with the outputs that
        are expected, and are readable there: leave out what nobody may see.
    overwrite : bool
        Whether a folder at the path is replaced.
    licence : str, optional
        Licence of the model, such as ``Apache-2.0``.

    Raises
    ------
    ConfigurationError
        If a stage or a network can't go along, with its name; the graph gives something else than ``transform``; or
        something is at the path and may not be overwritten.
    SchemaError
        If the sample lacks a column, or has it with another type.
    DataError
        If the sample has no rows.
    """
    check_stage(model)
    check_replaceable(sample.sparkSession, path, overwrite)
    graph = Graph(input_columns(sample))
    emit(model, graph)
    outputs = {name: graph.column(name) for name in added_columns(model, sample) if name in graph.columns}
    if not outputs:
        raise ConfigurationError(f"{type(model).__name__} adds no column that a bundle can give")
    built = graph.build(outputs)
    signature = signature_of(graph, built, outputs)
    preprocessing = preprocessing_of(graph, signature)
    content = built.SerializeToString(deterministic=True)
    vectors = sampled_vectors(model, sample, content, signature, preprocessing)
    manifest = manifest_of(model, vectors.rows, licence)
    files = {
        MODEL: content,
        SIGNATURE: _json(signature),
        PREPROCESSING: _json(preprocessing),
        VECTORS: vectors.content,
    }
    card = card_of(model, manifest, signature, vectors.differences)
    files |= {CARD: card.markdown.encode(), CARD_HTML: card.html.encode()}
    files[MANIFEST] = _json({**manifest, "files": {name: _entry(content) for name, content in sorted(files.items())}})
    _write(sample, path, overwrite, files)


def _write(sample: DataFrame, path: str, overwrite: bool, files: Mapping[str, bytes]) -> None:
    spark = sample.sparkSession
    with replacing(spark, path, overwrite) as folder:
        for name, content in files.items():
            write_bytes(spark, f"{folder}/{name}", content)


def _entry(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode()
