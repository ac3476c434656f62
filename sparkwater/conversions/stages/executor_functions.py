"""Functions of pandas batches as functions of a column, with batches cut to a bounded size.

They are made on the driver and run on the executors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from pyspark.sql import types as T
from pyspark.sql.pandas.functions import pandas_udf

if TYPE_CHECKING:
    from pyspark.sql import Column

#: Executor functions work on as many rows at a time as give about this many bytes: far below
#: Arrow's 2 GiB, enough that the cost of a batch doesn't show, and little enough that the C library
#: keeps the memory from batch to batch. Blocks above 32 MiB come from the kernel each time.
BATCH_BYTES = 16 * 1024 * 1024


def executor_function(
    function: Callable[[Any], Any], returns: T.DataType, takes: type[Any] = pd.Series, row_bytes: int = 0
) -> Callable[[Column], Column]:
    """Return a function of one pandas batch as a function of a column; it runs on the executors.

    Parameters
    ----------
    function : callable
        From a batch, a Series, to as many rows: a DataFrame where ``returns`` is a struct, else a Series.
    returns : pyspark.sql.types.DataType
        The Spark type of its result.
    takes : type
        ``pandas.DataFrame`` for a column of structs.
    row_bytes : int
        The bytes that a row of the result, or the work on it, takes: batches are cut so that they
        take `BATCH_BYTES` together, or hold one row.
    """
    gives = pd.DataFrame if isinstance(returns, T.StructType) else pd.Series
    rows = max(1, BATCH_BYTES // row_bytes) if row_bytes else None

    def run(batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            for start in range(0, len(batch), rows or max(1, len(batch))):
                piece = batch if rows is None else batch.iloc[start : start + rows].reset_index(drop=True)
                yield function(piece)

    # Spark reads the kind of function from its annotations, and doesn't take the typed pd.Series[Any].
    run.__annotations__ = {"batches": Iterator[takes], "return": Iterator[gives]}  # type: ignore[valid-type]
    # Spark pushes filters through deterministic functions and so evaluates them twice.
    as_udf: Any = pandas_udf  # its type knows annotated functions only
    called: Callable[[Column], Column] = as_udf(run, returns).asNondeterministic()
    return called


class _ArrowSeries(pd.Series):  # type: ignore[type-arg]
    """A Series that goes back to Spark as the Arrow array it is.

    Spark makes a Python list of each array in a Series, by ``apply``, before pyarrow takes the
    whole. That costs more than all the rest, and there is nothing to do on an Arrow array.
    """

    @property
    def _constructor(self) -> type[_ArrowSeries]:
        return _ArrowSeries  # Spark renames the columns of a frame

    def apply(self, *args: Any, **kwargs: Any) -> Any:
        """Return the Series as it is."""
        del args, kwargs
        return self


class _ArrowFrame(pd.DataFrame):
    """A DataFrame whose columns go back to Spark as the Arrow arrays they are."""

    @property
    def _constructor(self) -> type[_ArrowFrame]:
        return _ArrowFrame

    @property
    def _constructor_sliced(self) -> type[_ArrowSeries]:
        return _ArrowSeries


def arrow_series(array: pa.Array) -> pd.Series[Any]:
    """Return an Arrow array as a pandas Series over the same memory; it goes back to Spark as it is."""
    return _ArrowSeries(pd.arrays.ArrowExtensionArray(array))  # type: ignore[attr-defined]


def arrow_frame(columns: Mapping[str, pa.Array]) -> pd.DataFrame:
    """Return Arrow arrays as a pandas DataFrame over the same memory; they go back to Spark as they are."""
    return _ArrowFrame({name: arrow_series(array) for name, array in columns.items()})
