"""Level one in blocks of rows: sums over them have the same bits whatever the partitions of the DataFrame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Numbers = npt.NDArray[np.float64]

#: Sums over the rows of a block.
Measure = Callable[["Block"], Numbers]

#: Numbers in a block, and the most that the driver holds: beyond it each pass is a Spark job.
BLOCK_NUMBERS, LOCAL_NUMBERS = 1 << 18, 1 << 23

#: Probabilities nearer to 0 have no smaller logarithm: one learner that is sure and wrong would decide alone.
SMALLEST = 1e-9

_SUMS = pa.schema([("block", pa.int32()), ("piece", pa.int32()), ("sums", pa.list_(pa.binary()))])


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
    """

    learners: int
    width: int
    classification: bool

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
    """

    outputs: Numbers
    label: Numbers
    weight: Numbers
    fold: npt.NDArray[np.int64]
    classification: bool

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
    """Blocks in the driver's memory."""

    blocks: Sequence[Block]

    def add_up(self, measures: Sequence[Measure]) -> list[Numbers]:
        """Return the sum of each measure over all blocks, added in the order of the blocks."""
        return _add([[measure(block) for measure in measures] for block in self.blocks])


@dataclass(frozen=True)
class SparkBlocks:
    """Blocks in Spark's cache; each `add_up` is a job."""

    frame: DataFrame
    layout: Layout

    def add_up(self, measures: Sequence[Measure]) -> list[Numbers]:
        """Return the sum of each measure over all blocks, added in the order of the blocks."""
        layout, schema, given = self.layout, _SUMS, tuple(measures)

        def sums(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for (number, piece), block in carve(batches, layout):
                parts = [measure(block).tobytes() for measure in given]
                arrays = [
                    pa.array(values, field.type)
                    for values, field in zip([[number], [piece], [parts]], schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        rows = self.frame.mapInArrow(sums, "block int, piece int, sums array<binary>").collect()
        rows.sort(key=lambda row: (row["block"], row["piece"]))
        return _add([[np.frombuffer(part) for part in row["sums"]] for row in rows])


def _add(parts: Sequence[Sequence[Numbers]]) -> list[Numbers]:
    totals = [part.copy() for part in parts[0]]
    for block in parts[1:]:
        for total, part in zip(totals, block, strict=True):
            total += part
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
        yield LocalBlocks([block for _, block in carve(batches, layout)])
        return
    partitions = max(2, min(count, 4 * frame.sparkSession.sparkContext.defaultParallelism))
    ordered = keyed.repartition(partitions, "block").sortWithinPartitions("block", "key").persist()
    try:
        yield SparkBlocks(ordered, layout)
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
    return Block(outputs, column("label"), column("weight"), column("fold").astype(np.int64), layout.classification)
