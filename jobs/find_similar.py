"""The k nearest references of each query, written as Parquet.

QUERIES and REFERENCES are Parquet with an id column and a column of vectors: ML vectors, arrays of
numbers or tensors. One row a query and neighbour: queryId, rank, referenceId, value.

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/find_similar.py --queries build/new --references build/known --k 10 --measure cosine --output build/similar

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sparkwater.program import run_program

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", required=True, help="Parquet of the vectors to find neighbours of")
    parser.add_argument("--references", required=True, help="Parquet of the vectors to search")
    parser.add_argument("--output", required=True, help="folder to write; it must not exist")
    parser.add_argument("--k", type=int, default=10, help="neighbours of each query (%(default)s)")
    parser.add_argument("--measure", default="cosine", help="l1, l2, cosine, cosine_sq or inner (%(default)s)")
    parser.add_argument("--features-col", default="features", help="column of vectors (%(default)s)")
    parser.add_argument("--id-col", default="id", help="column of ids (%(default)s)")
    parser.add_argument(
        "--handle-invalid", default="error", help="null or NaN vectors: error, skip, keep (%(default)s)"
    )
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_program("find_similar", lambda spark: find(spark, arguments))


def find(spark: SparkSession, arguments: argparse.Namespace) -> str:
    from sparkwater.ml.similarity.search import k_nearest

    nearest = k_nearest(
        spark.read.parquet(arguments.queries),
        spark.read.parquet(arguments.references),
        arguments.k,
        arguments.measure,
        featuresCol=arguments.features_col,
        idCol=arguments.id_col,
        handleInvalid=arguments.handle_invalid,
    )
    nearest.write.parquet(arguments.output)
    written = spark.read.parquet(arguments.output)
    neighbors, queries = written.count(), written.select("queryId").distinct().count()
    return f"wrote {neighbors:,} rows for {queries:,} queries to {arguments.output}"


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
