"""Output columns of a network, computed on Arrow batches on the executors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.conversions.sessions.session import Value, session_of
from sparkwater.conversions.stages.columns import METADATA_KEY, nested_arrow
from sparkwater.conversions.stages.executor_functions import arrow_frame, executor_function
from sparkwater.conversions.stages.invalid import resolve_invalid
from sparkwater.conversions.stages.spark_types import array_type
from sparkwater.conversions.tensors.arrow import tensors_to_arrow, usable_tensors
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.ml.columns.features import FeatureColumn, checked_features, feature_names
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.launch.python_worker import exempt_modules

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from sparkwater.ml.params.learner import ScoringParams

Values = npt.NDArray[np.generic]

_SCORES, _CHECKED, _PROBLEM = "__sparkwater_scores", "__sparkwater_checked", "__sparkwater_problem"


@dataclass(frozen=True)
class Output:
    """A column that scoring adds.

    Attributes
    ----------
    name : str
        Name of the column.
    kind : {"vector", "tensor", "number", "label", "members"}
        An ML vector, tensor bytes, a double, the string at a position, or an array of the positions that are true:
        doubles, or the strings at them.
    spec : TensorSpec
        Spec of a row's values.
    labels : tuple of str
        The strings of a ``label``, and of ``members``.
    """

    name: str
    kind: str
    spec: TensorSpec
    labels: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the column's field: the size of a vector, the spec of a tensor."""
        if self.kind == "vector":
            return {"ml_attr": {"num_attrs": self.spec.size}}
        return {METADATA_KEY: self.spec.to_json()} if self.kind == "tensor" else {}

    @property
    def computed_type(self) -> T.DataType:
        """The Spark type in which the values leave Python."""
        if self.kind == "tensor":
            return T.BinaryType()
        if self.kind == "members":
            return T.ArrayType(T.DoubleType())
        return array_type(self.spec.dtype, 1 if self.kind == "vector" else 0)

    def to_arrow(self, values: Values, valid: npt.NDArray[np.bool_]) -> pa.Array:
        """Return the values of the valid rows, with nulls for the others."""
        if self.kind == "tensor":
            return tensors_to_arrow(values, valid)
        if self.kind == "members":
            return _members(values, valid)
        shape = (self.spec.size,) if self.kind == "vector" else ()
        return nested_arrow(values.reshape(-1), valid, TensorSpec(self.spec.dtype, shape))

    def column(self, computed: Column) -> Column:
        """Return the column, from the values that left Python."""
        if self.kind == "vector":
            return F.when(computed.isNotNull(), array_to_vector(computed.cast("array<double>")))
        if self.kind == "label":
            return F.get(self._names, computed.cast("int"))
        if self.kind == "members" and self.labels:
            return F.transform(computed, lambda position: F.get(self._names, position.cast("int")))
        return computed

    @property
    def _names(self) -> Column:
        return F.array(*(F.lit(label) for label in self.labels))


def add_outputs(
    frame: DataFrame,
    features: FeatureColumn,
    outputs: Sequence[Output],
    compute: Callable[..., Sequence[Values]],
    params: ScoringParams,
    roles: RowColumns | None = None,
) -> DataFrame:
    """Return the DataFrame with columns that are computed from its features; rows, their order and columns stay.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        The rows, with the features columns.
    features : FeatureColumn
        The features columns.
    outputs : sequence of Output
        The columns to add.
    compute : callable
        Function of the tensors of some rows, at least one, and of their offsets where there are some, that gives the
        values of each output; it runs on the executors.
    params : ScoringParams
        Treatment and names of rows that can't be used.
    roles : RowColumns, optional
        The column of offsets, where there is one.

    Raises
    ------
    SchemaError
        If there is a column of an output's name already.
    ConfigurationError
        If two outputs have one name.
    """
    _check_names(frame, [output.name for output in outputs])
    session = session_of(frame.sparkSession)
    name = feature_names(frame, features, params.getIdCol())
    scored = frame.withColumn(_CHECKED, checked_features(frame, features))
    tensor, problem = F.col(_CHECKED)["tensor"], F.col(_CHECKED)["problem"]
    given, takes = tensor, cast(type[Any], pd.Series)
    if roles is not None and roles.offset is not None:
        unfit = roles.problem()
        given = F.struct(F.when(unfit.isNull(), tensor).alias("tensor"), roles.offset_value().alias("offset"))
        problem, takes = F.coalesce(problem, unfit), pd.DataFrame
    scored = scored.withColumn(_SCORES, _scorer(features.spec, outputs, session.ship(compute), takes)(given))
    scores = F.col(_SCORES)
    results = {
        output.name: output.column(scores[_field(position)]).alias(output.name, metadata=output.metadata)
        for position, output in enumerate(outputs)
    }
    results_and_problem = {**results, _PROBLEM: F.coalesce(problem, scores["problem"]).alias(_PROBLEM)}
    scored = session.with_columns(scored, results_and_problem).drop(_SCORES, _CHECKED)
    return resolve_invalid(scored, list(results), _PROBLEM, name, params.getHandleInvalid())


def _check_names(frame: DataFrame, names: Sequence[str]) -> None:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigurationError(f"two output columns are named {twice[0]!r}; accepted: a name of its own for each")
    taken = [name for name in names if name in frame.columns]
    if taken:
        raise SchemaError(f"there is a column {taken[0]!r} already; drop it or name another output column")


def _field(position: int) -> str:
    return f"output{position}"


def _scorer(
    spec: TensorSpec, outputs: Sequence[Output], compute: Value, takes: type[Any]
) -> Callable[[Column], Column]:
    """Return the scoring function; being of the same kind as the decoding, it runs in the same Python worker.

    It takes a Series of tensors, or a DataFrame of tensors and offsets.
    """
    fields = [T.StructField(_field(position), output.computed_type) for position, output in enumerate(outputs)]
    returns = T.StructType([*fields, T.StructField("problem", T.StringType())])

    def score(batch: Any) -> pd.DataFrame:
        given = batch if takes is pd.Series else batch["tensor"]
        tensors = usable_tensors(pa.array(given, type=pa.binary(), from_pandas=True), spec)
        if len(tensors.values):
            offsets = () if takes is pd.Series else (batch["offset"].to_numpy(np.float64)[tensors.valid],)
            values = compute.get()(tensors.values, *offsets)
            exempt_modules()  # which the first call has loaded
        else:
            values = [_nothing(output.spec) for output in outputs]
        columns = {
            _field(position): output.to_arrow(given, tensors.valid)
            for position, (output, given) in enumerate(zip(outputs, values, strict=True))
        }
        return arrow_frame({**columns, "problem": _texts(tensors.problems, len(batch))})

    # As ML vectors hold them, whatever the dtype: a batch passes the JVM as well.
    row_bytes = sum(8 * output.spec.size for output in outputs)
    return executor_function(score, returns, takes, row_bytes)


def _members(values: Values, valid: npt.NDArray[np.bool_]) -> pa.Array:
    """Return the positions that are true as lists of doubles, with nulls for the rows that aren't valid."""
    counts = np.zeros(len(valid), np.int64)
    counts[valid] = values.sum(axis=1)
    positions = np.nonzero(values)[1].astype(np.float64)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(positions), mask=pa.array(~valid))


def _nothing(spec: TensorSpec) -> Values:
    return np.empty((0, *spec.shape), spec.numpy_dtype)


def _texts(problems: Mapping[int, str], length: int) -> pa.Array:
    if not problems:
        return pa.nulls(length, pa.string())
    return pa.array([problems.get(row) for row in range(length)], pa.string())
