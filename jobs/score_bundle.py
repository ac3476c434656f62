"""Rows scored by a bundle on Spark's executors, written as Parquet; no torch is needed there.

ROWS is Parquet, a CSV file with a header (name.csv), or with --images a folder of pictures. The bundle's folder must
be readable under its path on all executors. One row each: the columns of --keep, and the bundle's outputs; vectors and
tensors are flat arrays.

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/score_bundle.py --bundle build/lenet_bundle --rows build/mnist_png/testing --images --keep path \\
        --output build/bundle_scores

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sparkwater.bundle import Bundle
from sparkwater.conversions import read_images
from sparkwater.errors import SchemaError
from sparkwater.program import run_job

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

#: Spark's types of outputs, by dtype.
TYPES = {"bool": "boolean", "string": "string", "float64": "double", "float32": "float"}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", required=True, help="the bundle's folder")
    parser.add_argument("--rows", required=True, help="the rows to score")
    parser.add_argument("--images", action="store_true", help="ROWS is a folder of pictures")
    parser.add_argument("--null", default="", help="how CSV writes a missing value (an empty field)")
    parser.add_argument("--keep", nargs="*", default=[], metavar="COLUMN", help="columns to write beside the outputs")
    parser.add_argument("--output", required=True, help="folder to write; it must not exist")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_job("score_bundle", lambda spark: score(spark, arguments))


def score(spark: SparkSession, arguments: argparse.Namespace) -> str:
    rows, bundle = read(spark, arguments), Bundle.load(arguments.bundle)
    needed = [each.name for each in bundle.signature.inputs]
    missing = [name for name in (*needed, *arguments.keep) if name not in rows.columns]
    if missing:
        raise SchemaError(f"there is no column {missing[0]!r}; the columns are {', '.join(rows.columns)}")
    given = rows.select(*(f"`{name}`" for name in dict.fromkeys((*needed, *arguments.keep))))
    kept = [f"`{name}` {rows.schema[name].dataType.simpleString()}" for name in arguments.keep]
    outputs = [f"`{each.name}` {spark_type(each)}" for each in bundle.signature.outputs]
    scored = given.mapInArrow(scorer(arguments.bundle, arguments.keep), ", ".join([*kept, *outputs]))
    scored.write.parquet(arguments.output)
    return f"wrote {spark.read.parquet(arguments.output).count():,} rows to {arguments.output}"


def read(spark: SparkSession, arguments: argparse.Namespace) -> DataFrame:
    if arguments.images:
        return read_images(spark, arguments.rows)
    if arguments.rows.endswith((".csv", ".csv.gz")):
        return spark.read.csv(arguments.rows, header=True, inferSchema=True, nullValue=arguments.null)
    return spark.read.parquet(arguments.rows)


def spark_type(output: Any) -> str:
    known = TYPES.get(output.dtype, "bigint")
    return f"array<{known}>" if output.shape else known


def scorer(path: str, keep: list[str]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        bundle = Bundle.load(path, threads=1)  # a task has one core
        for batch in batches:
            found = bundle.predict(batch)
            flat = {
                name: values.reshape(len(values), -1) if values.ndim > 1 else values for name, values in found.items()
            }
            arrays = [pa.array(list(values)) for values in flat.values()]
            yield pa.RecordBatch.from_arrays([*(batch.column(name) for name in keep), *arrays], [*keep, *found])

    return run


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
