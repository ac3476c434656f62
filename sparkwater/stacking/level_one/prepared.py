"""The rows of all fits: with key and fold, evaluated once, and what a fit reads of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import combinations
from operator import or_
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from sparkwater.stacking.folds import time_value
from sparkwater.stacking.level_one.deviance import SQUARED, Deviance
from sparkwater.stacking.level_one.learners import CLASSIFICATION
from sparkwater.stacking.row_keys import ROW, Fingerprint

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: The column with a row's fold, beside its key.
FOLD = "__sparkwater_fold"

#: Up to so many rows are read as one partition: fits then cost fewer tasks, and what follows them no shuffles.
SMALL_ROWS = 20_000


def are_few(rows: int) -> bool:
    """Return whether so many rows are read as one partition."""
    return rows <= SMALL_ROWS


@dataclass(frozen=True)
class LevelOneTask:
    """The learning task: kind and classes.

    Attributes
    ----------
    kind : {"classification", "regression"}
        The kind of the learners.
    classes : tuple of float, of str or of bool
        The labels, sorted; empty for regression.
    deviance : Deviance
        Loss of a regression's rows.
    """

    kind: str
    classes: tuple[Any, ...] = ()
    deviance: Deviance = SQUARED

    @property
    def named(self) -> bool:
        """True for strings and booleans, which are numbered for the learners."""
        return bool(self.classes) and not isinstance(self.classes[0], float)

    @property
    def size(self) -> int:
        """The length of a probability vector; 1 for regression."""
        if self.kind != CLASSIFICATION:
            return 1
        return len(self.classes) if self.named else max(2, int(max(self.classes)) + 1)

    @property
    def width(self) -> int:
        """The numbers that a learner gives for a row: one for two classes and for regression."""
        return 1 if self.size == 2 else self.size

    def label(self, name: str) -> Column:
        """Return the label as a double."""
        column = F.col(f"`{name}`")
        if not self.named:
            return column.cast("double")
        return (F.array_position(F.array(*map(F.lit, self.classes)), column) - 1).cast("double")


@dataclass(frozen=True)
class FoldRows:
    """One fold, or two that are left out together.

    Attributes
    ----------
    value : object
        Its value in the column of folds; for two, text with both values.
    rows : Fingerprint
        Fingerprint of its rows.
    start, end : float or None
        The span of time that they cover; None without a column of time, and for two folds.
    both : tuple of FoldRows
        The two folds; empty for one.
    """

    value: Any
    rows: Fingerprint
    start: float | None = None
    end: float | None = None
    both: tuple[FoldRows, ...] = ()

    @property
    def alone(self) -> tuple[FoldRows, ...]:
        """Its folds, one or two."""
        return self.both or (self,)

    def beside(self, other: FoldRows) -> FoldRows:
        """Return this fold and another one, to be left out together."""
        rows = Fingerprint.over((self.rows, other.rows))
        return FoldRows(f"{self.value!r} and {other.value!r}", rows, both=(self, other))


@dataclass(frozen=True)
class Prepared:
    """The rows, evaluated once.

    Attributes
    ----------
    frame : pyspark.sql.DataFrame
        The user's columns, the fold and the row's key.
    columns : tuple of str
        The user's columns.
    task : LevelOneTask
        The learning task.
    labelCol, foldCol, weightCol : str
        Columns of ``frame``; no weight is None.
    folds : tuple of FoldRows
        Sorted by value.
    labels : Fingerprint
        Fingerprint of rows and labels.
    timeCol, embargo
        As in `Folds`.
    unitCol : str or None
        Column whose equal values share a fold, of groups or ids; None where equal rows do.
    ordered : bool
        Whether ``frame`` is one partition in order of the keys.
    """

    frame: DataFrame
    columns: tuple[str, ...]
    task: LevelOneTask
    labelCol: str
    foldCol: str
    weightCol: str | None
    folds: tuple[FoldRows, ...]
    labels: Fingerprint
    timeCol: str | None = None
    embargo: float = 0.0
    unitCol: str | None = None
    ordered: bool = False

    @property
    def rows(self) -> Fingerprint:
        """Fingerprint of rows and folds."""
        return Fingerprint.over(fold.rows for fold in self.single)

    @property
    def single(self) -> tuple[FoldRows, ...]:
        """The folds that a row can be in, each once."""
        return tuple({one.value: one for fold in self.folds for one in fold.alone}.values())

    @property
    def small(self) -> bool:
        """True for rows that are read as one partition."""
        return are_few(self.rows.rows)

    @property
    def parts(self) -> int:
        """Partitions for sums over the rows: they follow from their number alone, so that the sums do."""
        return -(-self.rows.rows // SMALL_ROWS)

    @cached_property
    def _read(self) -> DataFrame:
        # In order of their keys, whatever the number of partitions before.
        few = self.small and not self.ordered
        return self.frame.coalesce(1).sortWithinPartitions(ROW) if few else self.frame

    @cached_property
    def _trainings(self) -> dict[FoldRows, DataFrame]:
        """The rows outside of each fold that was asked for: one plan serves all learners."""
        return {}

    def in_pairs(self) -> Prepared:
        """Return the same rows with all pairs of folds in place of the folds, each to be left out and scored together.

        There must be no embargo, which has no span of two folds.
        """
        return replace(self, folds=tuple(one.beside(other) for one, other in combinations(self.folds, 2)))

    def join(self, columns: Sequence[Column], values: DataFrame) -> DataFrame:
        """Return columns of the rows beside values of the same keys; for few rows nothing is shuffled."""
        rows = self._read.select(ROW, *columns)
        return rows.join(self.gather(values).hint("merge"), ROW) if self.small else rows.join(values, ROW)

    def gather(self, frame: DataFrame) -> DataFrame:
        """Return a row or less for each of the rows as one partition, where they are few."""
        return frame.coalesce(1) if self.small else frame

    def all_rows(self) -> DataFrame:
        """Return the rows as learners get them: the user's columns, labels numbered where they are strings."""
        return self._visible(self._read)

    def training(self, fold: FoldRows) -> DataFrame:
        """Return the rows outside of a fold as learners get them."""
        found = self._trainings.get(fold)
        if found is None:
            found = self._visible(self._read.where(~self._in_fold(fold) & ~self._is_near(fold)))
            # Fits are begun in threads: the first of those that ask at the same time is everyone's.
            found = self._trainings.setdefault(fold, found)
        return found

    def divided(self, fold: FoldRows) -> DataFrame:
        """Return the rows of `training` and of `scorable` together, with key and fold."""
        rows = self.frame.where(self._in_fold(fold) | ~self._is_near(fold)) if self.timeCol else self.frame
        return self._visible(rows, F.col(ROW), F.col(f"`{self.foldCol}`").alias(FOLD))

    def scorable(self, fold: FoldRows | None = None) -> DataFrame:
        """Return the rows of a fold, or all of them, with key and fold."""
        rows = self._read if fold is None else self._read.where(self._in_fold(fold))
        return self._visible(rows, F.col(ROW), F.col(f"`{self.foldCol}`").alias(FOLD))

    def _is_near(self, fold: FoldRows) -> Column:
        if not self.timeCol or fold.start is None or fold.end is None:
            return F.lit(False)
        time = time_value(self.frame.schema, self.timeCol)
        return time.between(fold.start - self.embargo, fold.end + self.embargo)

    def _in_fold(self, fold: FoldRows) -> Column:
        own = F.col(f"`{self.foldCol}`")
        return reduce(or_, (own.eqNullSafe(F.lit(one.value)) for one in fold.alone))

    def _visible(self, frame: DataFrame, *others: Column) -> DataFrame:
        columns = [F.col(f"`{name}`") for name in self.columns if name != self.labelCol]
        label = self.task.label(self.labelCol) if self.task.named else F.col(f"`{self.labelCol}`")
        return frame.select(*columns, label.alias(self.labelCol, metadata=self._label_metadata), *others)

    @property
    def _label_metadata(self) -> dict[str, Any]:
        """The label's metadata; Spark's classifiers look there for the number of classes before they run a job."""
        own: dict[str, Any] = self.frame.schema[self.labelCol].metadata
        if self.task.kind != CLASSIFICATION or "ml_attr" in own:
            return own
        return {**own, "ml_attr": {"type": "nominal", "num_vals": self.task.size}}
