"""Level one in blocks of rows: sums over them have the same bits whatever the partitions of the DataFrame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkwater.conversions.sessions.session import session_of
from sparkwater.stacking.level_one.deviance import SQUARED, Deviance

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Numbers = npt.NDArray[np.float64]

#: Sums over the rows of a block.
Measure = Callable[["Block"], Numbers]

#: Numbers in a block, and the most that the driver holds: beyond it each pass is a Spark job.
BLOCK_NUMBERS, LOCAL_NUMBERS = 1 << 18, 1 << 23

#: Sums that a pass brings to the driver: those of neighbouring blocks are added before, where there are more blocks.
GROUPS = 64

#: Predictions further from zero are taken for it: the squares of their squares are numbers still.
LARGEST = 1e60

#: Probabilities nearer to 0 have no smaller logarithm: one learner that is sure and wrong would decide alone.
SMALLEST = 1e-9

_SUMS = pa.schema([("group", pa.int32()), ("sums", pa.list_(pa.binary()))])


@dataclass(frozen=True)
class Layout:
    """Layout of a row of level one.

    Attributes
    ----------
    learners : int
        Number of learners.
    width : int
        Numbers that each gives: one for two classes and for regression, else one a class.
    classification : bool
        Whether they are probabilities.
    deviance : Deviance
        Loss of a regression's rows.
    """

    learners: int
    width: int
    classification: bool
    deviance: Deviance = SQUARED

    @property
    def outputs(self) -> int:
        """Numbers of a prediction: one a class, or one for regression."""
        return 2 if self.classification and self.width == 1 else self.width


@dataclass(frozen=True)
class Block:
    """Some rows of level one.

    Attributes
    ----------
    outputs : numpy.ndarray of float64, shape (rows, learners, outputs)
        Probabilities of all classes, or predictions.
    label, weight : numpy.ndarray of float64, shape (rows,)
        Labels, classes as numbers; and weights of the rows.
    fold : numpy.ndarray of int64, shape (rows,)
        Numbers of the folds, from 0 up.
    classification : bool
        Whether the outputs are probabilities.
    deviance : Deviance
        Loss of a regression's rows.
    """

    outputs: Numbers
    label: Numbers
    weight: Numbers
    fold: npt.NDArray[np.int64]
    classification: bool
    deviance: Deviance = SQUARED

    @cached_property
    def logs(self) -> Numbers:
        """Logarithms of the outputs, which are probabilities."""
        return np.log(np.maximum(self.outputs, SMALLEST))

    @cached_property
    def right(self) -> Numbers:
        """Probabilities of each row's own class, shape (rows, learners)."""
        return self.outputs[np.arange(len(self.label)), :, self.label.astype(np.int64)]

    def weight_without(self, folds: Sequence[int]) -> Numbers:
        """Return the weights of the rows, zero in some folds."""
        return self.weight * ~np.isin(self.fold, folds)


class Blocks(Protocol):
    """All blocks of a level-one frame."""

    def add_up(self, measures: Sequence[Measure]) -> list[Numbers]:
        """Return the sum of each measure over all blocks, added in the order of the blocks."""


@dataclass(frozen=True)
class LocalBlocks:
    """Blocks in the driver's memory, and the numbers of their groups; without these each is one by itself."""

    blocks: Sequence[Block]
    groups: Sequence[int] = ()

    def add_up(self, measures: Sequence[Measure]) -> list[Numbers]:
        """Return the sum of each measure over all blocks, added in the order of the blocks."""
        numbered = zip(self.groups or range(len(self.blocks)), self.blocks, strict=True)
        return _add(sums for _, sums in _add_groups(numbered, measures))


@dataclass(frozen=True)
class SparkBlocks:
    """Blocks in Spark's cache; each `add_up` is a job.

    Attributes
    ----------
    frame : pyspark.sql.DataFrame
        The rows. A group of blocks is in one partition, its blocks in their order.
    layout : Layout
        Layout of their values.
    count : int
        Number of blocks.
    """

    frame: DataFrame
    layout: Layout
    count: int

    def add_up(self, measures: Sequence[Measure]) -> list[Numbers]:
        """Return the sum of each measure over all blocks, added in the order of the blocks."""
        rows = sorted(self.sums(measures).collect(), key=lambda row: row["group"])
        return _add([np.frombuffer(part) for part in row["sums"]] for row in rows)

    def sums(self, measures: Sequence[Measure]) -> DataFrame:
        """Return the sums of each group of blocks, which the executors compute: at most `GROUPS` rows."""
        layout, schema, given, count, groups = self.layout, _SUMS, tuple(measures), self.count, GROUPS

        def add(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            numbered = ((group_of(number, count, groups), block) for (number, _), block in carve(batches, layout))
            for group, sums in _add_groups(numbered, given):
                values = [[group], [[part.tobytes() for part in sums]]]
                arrays = [pa.array(column, field.type) for column, field in zip(values, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        return self.frame.mapInArrow(add, "group int, sums array<binary>")


def group_of(block: int, count: int, groups: int) -> int:
    """Return the group of a block: neighbours share one where there are more blocks than groups."""
    return block * groups // count if count > groups else block


def _add_groups(
    numbered: Iterable[tuple[int, Block]], measures: Sequence[Measure]
) -> Iterator[tuple[int, list[Numbers]]]:
    """Yield the sums of each group of neighbouring blocks; one group's are held at a time."""
    for group, blocks in groupby(numbered, key=itemgetter(0)):
        yield group, _add([measure(block) for measure in measures] for _, block in blocks)


def _add(parts: Iterable[Sequence[Numbers]]) -> list[Numbers]:
    totals: list[Numbers] = []
    for part in parts:
        if not totals:
            totals = [sums.copy() for sums in part]
            continue
        for total, sums in zip(totals, part, strict=True):
            total += sums
    return totals


@contextmanager
def open_blocks(frame: DataFrame, layout: Layout, rows: int, local_numbers: int = LOCAL_NUMBERS) -> Iterator[Blocks]:
    """Open the blocks of a level-one frame.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        ``values`` (array of double, all learners' one after the other), ``label`` and ``weight`` (double), and
        ``fold`` (int).
    layout : Layout
        Layout of the values.
    rows : int
        Number of rows, 1 at least.
    local_numbers : int
        Up to so many numbers are held by the driver.
    """
    from pyspark.sql import functions as F

    numbers = rows * layout.learners * layout.width
    count = max(1, math.ceil(numbers / BLOCK_NUMBERS))
    # Rows of one hash are equal, so their order makes no difference.
    key = F.xxhash64("values", "label", "weight", "fold")
    keyed = frame.select("values", "label", "weight", "fold", key.alias("key"))
    keyed = keyed.withColumn("block", F.pmod("key", F.lit(count)).cast("int"))
    if numbers <= local_numbers:
        batches = keyed.orderBy("block", "key").toArrow().to_batches()
        carved = list(carve(batches, layout))
        numbers_of_groups = [group_of(number, count, GROUPS) for (number, _), _ in carved]
        yield LocalBlocks([block for _, block in carved], numbers_of_groups)
        return
    partitions = max(2, min(count, GROUPS, 4 * session_of(frame.sparkSession).default_parallelism))
    group = F.expr(f"cast(block as bigint) * {GROUPS} div {count}") if count > GROUPS else F.col("block")
    ordered = keyed.repartition(partitions, group).sortWithinPartitions("block", "key").persist()
    try:
        yield SparkBlocks(ordered, layout, count)
    finally:
        ordered.unpersist()


def carve(batches: Iterable[pa.RecordBatch], layout: Layout) -> Iterator[tuple[tuple[int, int], Block]]:
    """Cut sorted Arrow batches into blocks, and blocks of many equal rows into pieces of bounded size.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Sorted by ``block``; a block may reach over several of them.
    layout : Layout
        Layout of their values.

    Yields
    ------
    tuple of (int, int) and Block
        Numbers of block and piece, and the rows.
    """
    most = max(1, 2 * BLOCK_NUMBERS // (layout.learners * layout.width))
    held: list[pa.RecordBatch] = []
    number, piece, rows = -1, 0, 0
    for batch in batches:
        numbers, start = batch.column("block").to_numpy(), 0
        while start < len(numbers):
            if rows == most or numbers[start] != number:
                if held:
                    yield (number, piece), _block(held, layout)
                piece = piece + 1 if numbers[start] == number else 0
                number, held, rows = int(numbers[start]), [], 0
            end = min(int(np.searchsorted(numbers, number, "right")), start + most - rows)
            held.append(batch.slice(start, end - start))
            rows, start = rows + end - start, end
    if held:
        yield (number, piece), _block(held, layout)


def _block(batches: Sequence[pa.RecordBatch], layout: Layout) -> Block:
    def column(name: str) -> Any:
        return np.concatenate([batch.column(name).to_numpy() for batch in batches])

    numbers = np.concatenate([batch.column("values").flatten().to_numpy() for batch in batches])
    outputs = numbers.reshape(-1, layout.learners, layout.width)
    if layout.outputs != layout.width:
        outputs = np.concatenate([1.0 - outputs, outputs], axis=2)
    if not layout.classification:
        outputs = np.clip(outputs, -LARGEST, LARGEST)
    label, weight, fold = column("label"), column("weight"), column("fold").astype(np.int64)
    return Block(outputs, label, weight, fold, layout.classification, layout.deviance)
