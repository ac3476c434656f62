"""Trees of Spark's models, from the data that they save."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from sparkwater.bundle.graph.trees import Leaf, Split
from sparkwater.conversions.files.hadoop import files_of, read_bytes
from sparkwater.conversions.stages.stage_folders import save_stage
from sparkwater.errors import CheckpointError

if TYPE_CHECKING:
    Row = Mapping[str, Any]


def saved_trees(model: Any, classification: bool) -> list[Leaf | Split]:
    """Return a model's trees, in their order.

    Driver side. The model is saved to a folder that is deleted at once: in the machine's temporary folder, or, where
    Spark's filesystem is another, in the user's home there.

    Parameters
    ----------
    model : pyspark.ml.Model
        A tree, a forest or boosted trees.
    classification : bool
        Whether leaves hold the weights of the classes, or a prediction.

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
    return [_read_node(by_tree[number], 0, classification) for number in sorted(by_tree)]


def _tables(spark: SparkSession, path: str) -> Iterator[pa.Table]:
    """Yield the tables of a folder of Parquet files, in the order of their names."""
    for name in sorted(files_of(spark).list_files(path).values()):
        if name.endswith(".parquet"):
            yield pq.read_table(io.BytesIO(read_bytes(spark, name, CheckpointError)))


def _read_node(nodes: Mapping[int, Row], place: int, classification: bool) -> Leaf | Split:
    node = nodes[place]
    if node["leftChild"] < 0:
        return Leaf(tuple(node["impurityStats"]) if classification else (node["prediction"],))
    split = node["split"]
    left, right = (_read_node(nodes, node[side], classification) for side in ("leftChild", "rightChild"))
    values: Sequence[float] = split["leftCategoriesOrThreshold"]
    if split["numCategories"] == -1:
        return Split(split["featureIndex"], left, right, threshold=values[0])
    # As in Spark the shorter list decides, and values that were never seen are in neither.
    if len(values) <= split["numCategories"] // 2:
        return Split(split["featureIndex"], left, right, categories=tuple(values))
    others = tuple(float(one) for one in range(split["numCategories"]) if one not in set(values))
    return Split(split["featureIndex"], left, right, categories=others, listed_left=False)
