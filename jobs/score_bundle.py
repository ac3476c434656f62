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
from typing import TYPE_CHECKING

from pyspark.sql import types as T

from sparkwater.bundle import Bundle
from sparkwater.conversions import read_images
from sparkwater.errors import SchemaError
from sparkwater.program import read_table, run_program

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from sparkwater.bundle.scorer.signature import Output

#: Types of outputs in Spark and in Arrow, by dtype.
TYPES = {
    "bool": (T.BooleanType(), "bool"),
    "string": (T.StringType(), "string"),
    "float64": (T.DoubleType(), "float64"),
    "float32": (T.FloatType(), "float32"),
    "float16": (T.FloatType(), "float32"),
}
WHOLE = (T.LongType(), "int64")


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
    return run_program("score_bundle", lambda spark: score(spark, arguments))


def score(spark: SparkSession, arguments: argparse.Namespace) -> str:
    rows, bundle = read(spark, arguments), Bundle.load(arguments.bundle)
    needed = [each.name for each in bundle.signature.inputs]
    missing = [name for name in (*needed, *arguments.keep) if name not in rows.columns]
    if missing:
        raise SchemaError(f"there is no column {missing[0]!r}; the columns are {', '.join(rows.columns)}")
    given = rows.select(*(f"`{name}`" for name in dict.fromkeys((*needed, *arguments.keep))))
    schema = T.StructType([rows.schema[name] for name in arguments.keep])
    for output in bundle.signature.outputs:
        schema = schema.add(output.name, spark_type(output))
    scored = given.mapInArrow(scorer(arguments.bundle, arguments.keep), schema)
    scored.write.parquet(arguments.output)
    return f"wrote {spark.read.parquet(arguments.output).count():,} rows to {arguments.output}"


def read(spark: SparkSession, arguments: argparse.Namespace) -> DataFrame:
    if arguments.images:
        return read_images(spark, arguments.rows)
    return read_table(spark, arguments.rows, arguments.null)


def spark_type(output: Output) -> T.DataType:
    known, _ = TYPES.get(output.dtype, WHOLE)
    return T.ArrayType(known) if output.shape else known


def arrow_array(values: np.ndarray, output: Output) -> pa.Array:
    """Return an output of some rows; its type doesn't depend on them, as all of them may be skipped."""
    import pyarrow as pa

    _, known = TYPES.get(output.dtype, WHOLE)
    kind = pa.type_for_alias(known)
    numbers = values if known == "string" else values.astype(known)
    if not output.shape:
        return pa.array(list(numbers) if known == "string" else numbers, kind)
    return pa.array(list(numbers.reshape(len(numbers), -1)), pa.list_(kind))


def scorer(path: str, keep: list[str]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        bundle = Bundle.load(path, threads=1)  # a task has one core
        outputs = bundle.signature.outputs
        for batch in batches:
            found = bundle.predict(batch)
            arrays = [arrow_array(found[each.name], each) for each in outputs]
            names = [*keep, *(each.name for each in outputs)]
            yield pa.RecordBatch.from_arrays([*(batch.column(name) for name in keep), *arrays], names)

    return run


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
