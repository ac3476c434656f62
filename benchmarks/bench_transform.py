"""ImageClassifierModel.transform against plain PyTorch on all cores, and against Spark's predict_batch_udf.

60,000 digits (the shipped ones, five times) and the same LeNet. sparkwater and predict_batch_udf read
Parquet on ``local[cores]`` and end in Spark's ``noop`` sink: the first a tensor column, the second arrays
of float, as its documentation has it. Plain PyTorch has all rows in memory, in one process with all
cores, as it comes and with channels last. In turns, in one run, after a warm-up; medians.

    python benchmarks/bench_transform.py [--rows 60000] [--rounds 5] [--data build/mnist_png]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import torch
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from sessions import check_digits, start_spark

from sparkwater.conversions import ImageToTensor, TensorSpec, from_tensor_column, read_image_folder, with_tensor_spec
from sparkwater.conversions.tensors.arrow import as_torch, tensor_view
from sparkwater.gpu.networks import build_network
from sparkwater.gpu.networks.inference import BATCH_ROWS, TrainedNetwork, load_network
from sparkwater.ml import ImageClassifier, ImageClassifierModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SPEC = TensorSpec("uint8", (1, 28, 28))


def main() -> None:
    arguments = parse_arguments(__doc__)
    spark = start_spark()
    model = untrained_lenet(spark)
    with tempfile.TemporaryDirectory() as folder:
        write_digits(spark, arguments.data, arguments.rows, folder)
        frame = with_tensor_spec(spark.read.parquet(folder), "features", SPEC)
        resident = all_rows(folder)
        udf = batch_udf(model.fitted.trained)
        medians = in_turns(
            {
                "sparkwater": lambda: run(model.transform(frame.drop("pixels"))),
                "plain PyTorch": lambda: plain(model, resident),
                "plain PyTorch, channels last": lambda: plain(model, resident, torch.channels_last),
                "predict_batch_udf": lambda: run(frame.select("id", udf("pixels").alias("probability"))),
            },
            arguments.rounds,
        )
    report(f"transform of {arguments.rows:,} digits by lenet", medians)
    spark.stop()


def parse_arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", default="build/mnist_png", help="folder of training/<label>/<picture> (%(default)s)")
    arguments = parser.parse_args()
    check_digits(arguments.data)
    return arguments


def untrained_lenet(spark: SparkSession) -> ImageClassifierModel:
    """Return a model with the weights that lenet begins with: they cost as much time as any."""
    rows = [(bytearray(os.urandom(SPEC.nbytes)), label) for label in range(10)]
    frame = with_tensor_spec(spark.createDataFrame(rows, "features binary, label int"), "features", SPEC)
    return ImageClassifier(network="lenet", epochs=0).fit(frame)


def write_digits(spark: SparkSession, data: str, rows: int, folder: str) -> None:
    """Write Parquet of id, features (tensor) and pixels (array of float), one file a core."""
    digits = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1]).transform(
        read_image_folder(spark, f"{data}/training")
    )
    digits = digits.select("features").persist()
    copies = spark.range(-(-rows // digits.count()))
    frame = digits.crossJoin(F.broadcast(copies)).select("features").limit(rows)
    pixels = from_tensor_column(F.col("features"), SPEC, flatten=True).cast(T.ArrayType(T.FloatType()))
    frame = frame.repartition(os.cpu_count() or 1).withColumns(
        {"id": F.monotonically_increasing_id(), "pixels": pixels}
    )
    frame.write.mode("overwrite").parquet(folder)
    digits.unpersist()


def all_rows(folder: str) -> torch.Tensor:
    """Return all tensors in memory."""
    return as_torch(tensor_view(pq.read_table(folder, columns=["features"])["features"].combine_chunks(), SPEC))


def run(frame: DataFrame) -> None:
    frame.write.format("noop").mode("overwrite").save()


def plain(model: ImageClassifierModel, rows: torch.Tensor, layout: torch.memory_format | None = None) -> None:
    trained = model.fitted.trained
    network = build_network(trained.entry, trained.shape, trained.task.outputs, 0).eval()
    if layout is not None:
        network = network.to(memory_format=layout)
    with torch.inference_mode():
        for block in torch.split(rows, BATCH_ROWS):
            network(trained.scaling.apply(block)).softmax(dim=1)


def batch_udf(trained: TrainedNetwork) -> Any:
    def make() -> Callable[[Any], Any]:
        network = load_network(trained)

        def predict(pixels: Any) -> Any:
            with torch.inference_mode():
                return network(trained.scaling.apply(torch.from_numpy(pixels))).softmax(dim=1).numpy()

        return predict

    returns = T.ArrayType(T.FloatType())
    return predict_batch_udf(make, return_type=returns, batch_size=BATCH_ROWS, input_tensor_shapes=[list(SPEC.shape)])


def in_turns(ways: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each way in each round; the first round, a warm-up, is left out."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, work in ways.items():
            started = time.perf_counter()
            work()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def report(title: str, seconds: Mapping[str, list[float]]) -> None:
    """Print medians, and the median over the rounds of each way's time to the first way's."""
    (ours, first), *others = seconds.items()
    print(f"{title}: {ours} {statistics.median(first):.2f} s", flush=True)
    for name, theirs in others:
        ratios = [their / our for their, our in zip(theirs, first, strict=True)]
        rounds = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(
            f"  against {name}, {statistics.median(theirs):.2f} s: speed ratio {statistics.median(ratios):.2f} "
            f"(rounds: {rounds})",
            flush=True,
        )


if __name__ == "__main__":
    main()
