"""Predictions of a saved pipeline for a folder to which files are added, written as Parquet.

MODEL is a saved pipeline or model. Each new file of the folder is scored once: a picture, or a file of rows in the
format and with the columns of --schema. The checkpoint remembers the files
that were scored, so a stopped program goes on where it was. Without --forever it ends when all files are scored.

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/score_stream.py --model build/lenet --input build/inbox --output build/scores --checkpoint build/marks

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sparkwater.conversions import stream_images
from sparkwater.program import run_program

if TYPE_CHECKING:
    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame, SparkSession

PICTURES = "binaryFile"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of a saved pipeline or model")
    parser.add_argument("--input", required=True, help="folder to watch; its sub-folders are read too")
    parser.add_argument("--output", required=True, help="folder of the predictions")
    parser.add_argument("--checkpoint", required=True, help="folder of what was scored already")
    parser.add_argument("--format", default=PICTURES, help="binaryFile, parquet, csv or json (%(default)s)")
    parser.add_argument("--schema", help="columns of tables, such as 'id long, carat double, cut string'")
    parser.add_argument("--keep", nargs="*", default=["path", "id"], help="columns to write beside the predictions")
    parser.add_argument(
        "--handle-invalid",
        choices=("error", "skip", "keep"),
        help="bad rows in the stages of this package, not in Spark's: error, skip or keep (nulls); default: as saved",
    )
    parser.add_argument("--forever", action="store_true", help="wait for further files until it is stopped")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_program("score_stream", lambda spark: score(spark, arguments))


def score(spark: SparkSession, arguments: argparse.Namespace) -> str:
    from pyspark.ml.util import DefaultParamsReader

    model = DefaultParamsReader.loadParamsInstance(arguments.model, spark)
    if arguments.handle_invalid:
        for stage in own_stages(model):
            if stage.hasParam("handleInvalid"):
                stage.set(stage.handleInvalid, arguments.handle_invalid)
    rows = read_stream(spark, arguments)
    scored = model.transform(rows)
    kept = [name for name in scored.columns if name in arguments.keep or name not in rows.columns]
    wanted = [name for name in kept if name != "features"]
    writer = scored.select(wanted).writeStream.format("parquet").option("path", arguments.output)
    writer = writer.option("checkpointLocation", arguments.checkpoint)
    if not arguments.forever:
        writer = writer.trigger(availableNow=True)
    query = writer.start()
    query.awaitTermination()
    read = sum(progress.numInputRows for progress in query.recentProgress)
    return f"scored {read:,} new rows; predictions are in {arguments.output}"


def own_stages(model: Transformer) -> list[Transformer]:
    """Return the stages that are this package's; Spark's change the values of good rows by their handleInvalid."""
    from pyspark.ml import PipelineModel

    if isinstance(model, PipelineModel):
        return [own for stage in model.stages for own in own_stages(stage)]
    return [model] if type(model).__module__.startswith("sparkwater.") else []


def read_stream(spark: SparkSession, arguments: argparse.Namespace) -> DataFrame:
    """Return the folder's files as a stream of rows."""
    if arguments.format == PICTURES:
        return stream_images(spark, arguments.input)
    if not arguments.schema:
        raise ValueError(f"--format {arguments.format} needs --schema: streams don't look into files for columns")
    reader = spark.readStream.format(arguments.format).schema(arguments.schema).option("header", "true")
    return reader.option("recursiveFileLookup", "true").load(arguments.input)


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
