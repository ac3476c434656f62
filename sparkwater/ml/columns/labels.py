"""Label columns, whatever is learned: findings on them, and their values as the ranks read them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from sparkwater.errors import ConfigurationError
from sparkwater.ml.columns.roles import RowColumns

if TYPE_CHECKING:
    from pyspark.sql import Column

    from sparkwater.gpu.tasks import Task


@dataclass(frozen=True)
class LabelColumn(ABC):
    """Findings on all labels of a fit, from which a task is made.

    Attributes
    ----------
    rows : int
        All rows, those without a label included.
    """

    rows: int

    @abstractmethod
    def kept(self, before: Task, source: str) -> LabelColumn:
        """Return the findings for a warm start: with the classes or units that the network has.

        Parameters
        ----------
        before : Task
            The network's task.
        source : str
            The origin of the network, for messages.

        Raises
        ------
        ConfigurationError
            If the labels don't fit the network's task.
        """


def check_kind(before: Task, kind: str, source: str) -> None:
    """Refuse to go on from a network that learned another kind of task.

    Parameters
    ----------
    before : Task
        The task that the network learned.
    kind : str
        The kind of the task to learn.
    source : str
        The origin of the network, for messages.

    Raises
    ------
    ConfigurationError
        With both kinds.
    """
    if before.kind != kind:
        raise ConfigurationError(
            f"{source} learned {before.kind}, and the label is to be learned as {kind}; a warm start keeps what its "
            "outputs mean: train anew with weights=... and another head"
        )


def label_values(frame: DataFrame, name: str) -> Column:
    """Return the label column as the ranks read it: strings or doubles, or arrays of these."""
    column, kind = F.col(f"`{name}`"), frame.schema[name].dataType
    # Adding makes -0.0 the 0.0 that Spark counts it as.
    if isinstance(kind, T.ArrayType):
        strings = isinstance(kind.elementType, T.StringType)
        return column if strings else F.transform(column.cast("array<double>"), lambda label: label + F.lit(0.0))
    return column if isinstance(kind, T.StringType) else column.cast("double") + F.lit(0.0)


def labelled_rows(parts: Sequence[tuple[DataFrame, RowColumns]], name: str) -> DataFrame:
    """Return the labels and offsets of all rows, with the weights of those to train on."""
    labelled = (
        frame.select(
            label_values(frame, name).alias("label"),
            columns.training_weight().alias("weight"),
            columns.offset_value().alias("offset"),
        )
        for frame, columns in parts
    )
    return reduce(DataFrame.unionAll, labelled)
