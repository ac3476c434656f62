"""Trees of Spark's models, from the data that they save."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from sparkwater.conversions.files.session_files import files_of, read_bytes
from sparkwater.conversions.stages.stage_folders import save_stage
from sparkwater.errors import CheckpointError

if TYPE_CHECKING:
    Row = Mapping[str, Any]


@dataclass(frozen=True)
class SavedLeaf:
    """A leaf.

    Attributes
    ----------
    prediction : float
        Its prediction.
    statistics : tuple of float
        Of the training rows in it: for classes the weight of each, else their weight, and the sums of their labels and
        of the labels' squares.
    """

    prediction: float
    statistics: tuple[float, ...]


@dataclass(frozen=True)
class SavedSplit:
    """A split.

    Attributes
    ----------
    column : int
        Place in the vector of features.
    left, right : SavedLeaf or SavedSplit
        Branches.
    statistics : tuple of float
        As in `SavedLeaf`.
    threshold : float or None
        Values up to it go left, NaN goes right; None for categories.
    categories : tuple of float
        Categories that go one way; all other values, NaN too, go the other.
    listed_left : bool
        Whether the categories go left.
    """

    column: int
    left: SavedLeaf | SavedSplit
    right: SavedLeaf | SavedSplit
    statistics: tuple[float, ...]
    threshold: float | None = None
    categories: tuple[float, ...] = ()
    listed_left: bool = True


def saved_trees(model: Any) -> list[SavedLeaf | SavedSplit]:
    """Return a model's trees, in their order.

    Driver side. The model is saved to a folder that is deleted at once: in the machine's temporary folder, or, where
    Spark's filesystem is another, in the user's home there.

    Parameters
    ----------
    model : pyspark.ml.Model
        A tree, a forest or boosted trees.

    Raises
    ------
    CheckpointError
        If the executors' files don't reach the driver.
    """
    spark = SparkSession.active()
    with files_of(spark).temporary_folder() as folder:
        save_stage(model, folder)
        rows = [row for table in _tables(spark, f"{folder}/data") for row in table.to_pylist()]
    if not rows:
        raise CheckpointError(
            f"{folder} holds no trees, although they were saved there: executors and driver need a filesystem that "
            "they share; set spark.hadoop.fs.defaultFS"
        )
    by_tree: dict[int, dict[int, Row]] = {}
    for row in rows:
        # Forests have a tree's number beside its node.
        number, node = row.values() if len(row) == 2 else (0, row)
        by_tree.setdefault(number, {})[node["id"]] = node
    return [_read_node(by_tree[number], 0) for number in sorted(by_tree)]


def _tables(spark: SparkSession, path: str) -> Iterator[pa.Table]:
    """Yield the tables of a folder of Parquet files, in the order of their names."""
    for name in sorted(files_of(spark).list_files(path).values()):
        if name.endswith(".parquet"):
            yield pq.read_table(io.BytesIO(read_bytes(spark, name, CheckpointError)))


def _read_node(nodes: Mapping[int, Row], place: int) -> SavedLeaf | SavedSplit:
    node = nodes[place]
    statistics = tuple(node["impurityStats"])
    if node["leftChild"] < 0:
        return SavedLeaf(node["prediction"], statistics)
    split = node["split"]
    left, right = (_read_node(nodes, node[side]) for side in ("leftChild", "rightChild"))
    values: Sequence[float] = split["leftCategoriesOrThreshold"]
    if split["numCategories"] == -1:
        return SavedSplit(split["featureIndex"], left, right, statistics, threshold=values[0])
    # As in Spark the shorter list decides, and values that were never seen are in neither.
    if len(values) <= split["numCategories"] // 2:
        return SavedSplit(split["featureIndex"], left, right, statistics, categories=tuple(values))
    others = tuple(float(one) for one in range(split["numCategories"]) if one not in set(values))
    return SavedSplit(split["featureIndex"], left, right, statistics, categories=others, listed_left=False)
