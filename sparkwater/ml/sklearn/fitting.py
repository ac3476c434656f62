"""One fit in one task: rows come as Arrow, and what was learned goes back as Arrow. Free of pyspark."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from sparkwater.errors import MISTAKES, ConfigurationError, SparkwaterError
from sparkwater.ml.launch.python_worker import exempt_modules
from sparkwater.ml.sklearn.files import dump_estimator
from sparkwater.ml.sklearn.predictions import ClassVector, predicted
from sparkwater.ml.sklearn.rows import LABEL, WEIGHT, Layout, Rows, read_rows

#: Columns of rows in folds: the row's key, and the number of its fold.
ROW, FOLD = "row", "fold"

#: What a task gives back: its report, then the fitted estimator in pieces, then the scored rows.
RESULTS = "fit int, report string, content binary, row bigint, fold int, values array<double>"
_SCHEMA = pa.schema(
    [
        ("fit", pa.int32()),
        ("report", pa.string()),
        ("content", pa.binary()),
        ("row", pa.int64()),
        ("fold", pa.int32()),
        ("values", pa.list_(pa.float64())),
    ]
)
_PIECE_BYTES, _BATCH_ROWS = 64 * 1024 * 1024, 10_000


@dataclass(frozen=True)
class SklearnFit:
    """A fit of one estimator.

    Attributes
    ----------
    name : str
        Its name in messages.
    estimator : object
        The estimator, not fitted.
    vector : ClassVector or None
        The classes, and their places in the vector of probabilities; None for regression.
    layout : Layout
        Layout of the rows.
    most : int
        The most rows that the task may hold.
    weights : str
        The argument of ``fit`` for the rows' weights; empty for none.
    number : int
        Number of the fit, where a job has several.
    folds : tuple of int
        Numbers of the folds to leave out and to score; empty to learn from all rows.
    keep : bool
        Whether to give back the fitted estimator.
    """

    name: str
    estimator: Any
    vector: ClassVector | None
    layout: Layout
    most: int
    weights: str = ""
    number: int = 0
    folds: tuple[int, ...] = ()
    keep: bool = True


def run_fit(batches: Iterable[pa.RecordBatch], fit: SklearnFit) -> Iterator[pa.RecordBatch]:
    """Fit an estimator on a task's rows, and score the fold that is left out; executor side.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        The rows, as `sparkwater.ml.sklearn.rows.read_rows` takes them; with ``row`` and ``fold`` where there are folds.
    fit : SklearnFit
        The fit.

    Yields
    ------
    pyarrow.RecordBatch
        `RESULTS`. A mistake of the user's is in the report, not raised: Spark would try the task again.
    """
    started = time.monotonic()
    try:
        rows = read_rows(batches, fit.layout, fit.most)
        inside = np.isin(rows.columns[FOLD], fit.folds) if fit.folds else np.zeros(len(rows), bool)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            fitted = _fitted(fit, rows.where(~inside))
            done = time.monotonic()
            scored = _score(fit, fitted, rows.where(inside)) if inside.any() else []
        content = dump_estimator(fitted) if fit.keep else b""
    except SparkwaterError as error:
        yield _piece(fit, report=json.dumps({"failure": [type(error).__name__, str(error)]}))
        return
    report = {
        "rows": int(np.count_nonzero(~inside)),
        "fitSeconds": done - started,
        "scoreSeconds": time.monotonic() - done,
        "warnings": sorted({f"{one.category.__name__}: {_first_line(one.message)}" for one in caught}),
    }
    yield _piece(fit, report=json.dumps(report))
    for start in range(0, len(content), _PIECE_BYTES):
        yield _piece(fit, content=content[start : start + _PIECE_BYTES])
    yield from scored
    exempt_modules()  # which the fit has loaded


def read_report(text: str) -> dict[str, Any]:
    """Return a fit's report: ``rows`` that it learned from, ``fitSeconds``, ``scoreSeconds``, and its ``warnings``.

    Raises
    ------
    SparkwaterError
        The mistake that it tells of.
    """
    report: dict[str, Any] = json.loads(text)
    if "failure" in report:
        kind, message = report["failure"]
        raise MISTAKES[kind](message)
    return report


def _fitted(fit: SklearnFit, rows: Rows) -> Any:
    labels = rows.columns[LABEL] if fit.vector is None else fit.vector.number(rows.columns[LABEL])
    arguments = {fit.weights: rows.columns[WEIGHT]} if fit.weights else {}
    try:
        return fit.estimator.fit(rows.features, labels, **arguments)
    except Exception as error:  # it is the user's, or another library's
        raise _failed(fit, "can't learn these rows", error) from error


def _score(fit: SklearnFit, fitted: Any, rows: Rows) -> list[pa.RecordBatch]:
    try:
        values = predicted(fitted, rows.features, fit.vector)
    except Exception as error:
        raise _failed(fit, "can't score these rows", error) from error
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    lists = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.reshape(-1)))
    given = {
        "fit": pa.array(np.full(len(values), fit.number, np.int32)),
        ROW: pa.array(rows.columns[ROW]),
        FOLD: pa.array(rows.columns[FOLD].astype(np.int32)),
        "values": lists,
    }
    arrays = [given.get(field.name, pa.nulls(len(values), field.type)) for field in _SCHEMA]
    batch = pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)
    return [batch.slice(start, _BATCH_ROWS) for start in range(0, len(values), _BATCH_ROWS)]


def _failed(fit: SklearnFit, what: str, error: Exception) -> ConfigurationError:
    estimator = type(fit.estimator).__name__
    return ConfigurationError(f"{fit.name}: {estimator} {what}: {type(error).__name__}: {_first_line(error)}")


def _first_line(message: object) -> str:
    return (str(message).strip().splitlines() or [""])[0]


def _piece(fit: SklearnFit, **values: Any) -> pa.RecordBatch:
    given = {"fit": fit.number, **values}
    arrays = [pa.array([given.get(field.name)], field.type) for field in _SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)
