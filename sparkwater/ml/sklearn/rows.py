"""Rows of one task: Arrow batches as what scikit-learn reads, in the order of their content. Free of pyspark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sparkwater.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: Columns of a task's rows, beside those of the features.
FEATURES, LABEL, WEIGHT, KEY = "features", "label", "weight", "key"


@dataclass(frozen=True)
class Layout:
    """Layout of a task's rows.

    Attributes
    ----------
    names : tuple of str
        Names of the columns of a pandas DataFrame; empty for one matrix.
    label : str
        The user's label column, for messages; empty for rows without labels.
    weighted : bool
        Whether rows have weights.
    """

    names: tuple[str, ...]
    label: str = ""
    weighted: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The feature columns of the Arrow batches."""
        return tuple(f"input{place}" for place in range(len(self.names))) or (FEATURES,)


@dataclass(frozen=True)
class Rows:
    """Rows of a task.

    Attributes
    ----------
    features : numpy.ndarray of float64, shape (rows, features), or pandas.DataFrame
        What the estimator reads.
    columns : mapping of str to numpy.ndarray, shape (rows,)
        The other columns: labels, weights, keys.
    """

    features: Any
    columns: Mapping[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.features)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Rows:
        """Return some of the rows, in their order."""
        features = self.features[chosen]
        return Rows(features, {name: values[chosen] for name, values in self.columns.items()})


def read_rows(batches: Iterable[pa.RecordBatch], layout: Layout, most: int) -> Rows:
    """Return all rows of a task, in the order of their keys, whichever way they came.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        The layout's feature columns, ``key`` (int64), and any others.
    layout : Layout
        Layout of the rows.
    most : int
        The most rows that are held; others are counted.

    Raises
    ------
    ConfigurationError
        If there are more rows.
    DataError
        If there are none, or rows can't be used.
    """
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        if rows > most:
            held.clear()
        elif batch.num_rows:
            held.append(batch)
    check_bound(rows, most)
    if not rows:
        raise DataError("the DataFrame has no rows to train on")
    columns = {
        name: np.concatenate([batch.column(name).to_numpy(zero_copy_only=False) for batch in held])
        for name in held[0].schema.names
        if name not in layout.columns
    }
    order = np.argsort(columns[KEY], kind="stable")
    if layout.label:
        _check_labels(columns[LABEL], layout.label)
    if layout.weighted:
        _check_weights(columns[WEIGHT])
    features = read_features(held, layout)
    taken = features.take(order) if layout.names else features[order]
    return Rows(taken, {name: values[order] for name, values in columns.items()})


def check_bound(rows: int, most: int) -> None:
    """Refuse more rows than one task may hold.

    Raises
    ------
    ConfigurationError
        With both numbers.
    """
    if rows > most:
        raise ConfigurationError(
            f"there are {rows:,} rows and maxRows={most:,}: one task holds them all; raise maxRows if its memory is "
            "enough, train on fewer rows, or take a learner that Spark distributes"
        )


def read_features(batches: Iterable[pa.RecordBatch], layout: Layout) -> Any:
    """Return the features of Arrow batches: a matrix, or a pandas DataFrame.

    Raises
    ------
    DataError
        If vectors are null, or not of one length.
    """
    held = list(batches)
    if not layout.names:
        parts = [matrix(batch.column(FEATURES)) for batch in held]
        _check_widths({part.shape[1] for part in parts})
        return np.concatenate(parts)
    import pandas as pd

    columns = {
        name: np.concatenate([batch.column(column).to_numpy(zero_copy_only=False) for batch in held])
        for name, column in zip(layout.names, layout.columns, strict=True)
    }
    return with_plain_texts(pd.DataFrame(columns))


def with_plain_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose texts are objects, and missing ones None: pandas 3 has NaN in a type of its own.

    Encoders of scikit-learn take None and NaN for different categories.
    """
    texts = [name for name in frame.columns if not hasattr(frame[name].dtype, "kind") or frame[name].dtype.kind == "O"]
    return frame.assign(**{name: frame[name].astype(object).where(frame[name].notna(), None) for name in texts})


def matrix(column: pa.Array) -> npt.NDArray[np.float64]:
    """Return a column of lists of doubles as a matrix; it may have no rows.

    Raises
    ------
    DataError
        If lists are null, or not of one length.
    """
    if column.null_count:
        raise DataError(f"{column.null_count} rows have no features (null)")
    widths = np.unique(np.diff(column.offsets.to_numpy()))
    _check_widths(set(widths.tolist()))
    values = column.flatten()
    if values.null_count:
        raise DataError("features hold nulls")
    return values.to_numpy().reshape(len(column), int(widths[0]) if len(widths) else 0)


def _check_widths(widths: set[int]) -> None:
    if len(widths) > 1:
        raise DataError(f"features have {min(widths)} and {max(widths)} numbers; all rows need the same")


def _check_labels(labels: npt.NDArray[Any], name: str) -> None:
    named = labels.dtype == object
    unusable = int(sum(label is None for label in labels) if named else np.count_nonzero(~np.isfinite(labels)))
    if unusable:
        raise DataError(f"labelCol={name!r}: {unusable} rows have no usable label (null, NaN or infinite)")


def _check_weights(weights: npt.NDArray[np.float64]) -> None:
    unusable = np.count_nonzero(~(np.isfinite(weights) & (weights >= 0)))
    if unusable:
        raise DataError(f"{unusable} rows have a weight that is null, negative or not finite")
