"""Bundles against ``transform`` and plain PyTorch: differences of every network and learner, and LeNet's speed.

Part one takes each registered network for pictures, trained for twenty steps (deep ones begin with outputs beyond
float32's digits), and each learner of Spark that can go along and each recipe for tables, fitted on rows with missing
values, extremes and unseen categories. The same rows go through ``transform`` and through the exported bundle; the
table has the rows whose predictions differ, the largest difference of a probability, and that of any other number
(relative to those above 1). Part two is LeNet on 28 x 28 pixels: milliseconds for one row, rows a second in batches on
all cores, the bundle's bytes, and the seconds to load it.

    python benchmarks/bench_bundle.py [--rows 10000] [--rounds 5] [--only networks|learners|speed]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from pyspark.ml import Pipeline
from pyspark.ml import classification as C
from pyspark.ml import clustering as K
from pyspark.ml import feature as P
from pyspark.ml import regression as R
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import SparkSession
from sessions import start_spark

from sparkwater.bundle import Bundle, export_bundle
from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.gpu.networks.inference import BATCH_ROWS, load_network
from sparkwater.ml import AutoEncoder, DeepLearningClassifier, DeepLearningRegressor, ImageClassifier

if TYPE_CHECKING:
    from pyspark.ml import Transformer
    from pyspark.sql import DataFrame

#: Networks for pictures, and the height, width and channels of the rows.
NETWORKS = {
    "lenet": (28, 28, 1),
    "mlp": (28, 28, 1),
    "convnet": (28, 28, 1),
    "alexnet": (32, 32, 3),
    "vgg11": (32, 32, 3),
    "vgg16": (32, 32, 3),
    "googlenet": (32, 32, 3),
    "inception_bn": (32, 32, 3),
    "resnet18": (32, 32, 3),
    "resnet34": (32, 32, 3),
    "resnet50": (32, 32, 3),
    "mobilenet_v3_small": (32, 32, 3),
    "autoencoder": (28, 28, 1),
    "conv_autoencoder": (28, 28, 1),
}

#: Recipes for tables, and the raw columns that they take.
COLUMNS, RECIPES = ["a", "b", "f", "n", "color"], ("realmlp", "tabm", "mlp", "h2o")

HEADER = (
    "| {} | rows | seconds to export | MB | other predictions | difference of probabilities | of other numbers |\n"
    "|---|---|---|---|---|---|---|"
)


def main() -> None:
    arguments = parse_arguments()
    spark = start_spark()
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    if arguments.only in ("", "learners"):
        compare_learners(spark, arguments.rows)
    if arguments.only in ("", "networks"):
        compare_networks(spark, arguments.rows)
    if arguments.only in ("", "speed"):
        measure_lenet(spark, arguments.rows, arguments.rounds)
    spark.stop()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", choices=["", "networks", "learners", "speed"])
    return parser.parse_args()


def compare_networks(spark: SparkSession, rows: int) -> None:
    print(HEADER.format("network"))
    for name, shape in NETWORKS.items():
        frame = pixel_frame(spark, rows, shape)
        learner: Any = AutoEncoder if "autoencoder" in name else ImageClassifier
        model = learner(network=name, epochs=20, batchSize=64, learningRate=0.01).fit(frame.limit(256))
        line(name, model, frame)


def compare_learners(spark: SparkSession, rows: int) -> None:
    frame, unseen = table(spark, rows)
    print(HEADER.format("learner"))
    for name, learner in learners():
        model = Pipeline(stages=[*features(), learner]).fit(frame)
        line(name, model, unseen)


def line(name: str, model: Transformer, frame: DataFrame) -> None:
    """Print the row of a table: the same rows through ``transform`` and through the bundle."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/bundle"
        started = time.perf_counter()
        export_bundle(model, path, frame.limit(100))
        seconds = time.perf_counter() - started
        size = sum(file.stat().st_size for file in Path(path).iterdir()) / 1e6
        bundle = Bundle.load(path)
        expected = transformed(model, frame)
        found = bundle.predict(expected[[each.name for each in bundle.signature.inputs]])
    differ, chances, others = compared(found, expected)
    figures = f"{seconds:.1f} | {size:.1f} | {differ} | {chances:.2g} | {others:.2g}"
    print(f"| {name} | {len(expected):,} | {figures} |", flush=True)


def transformed(model: Transformer, frame: DataFrame) -> pd.DataFrame:
    """Return the rows with the outputs of ``transform``; vectors are lists."""
    scored = model.transform(frame)
    vectors = [each.name for each in scored.schema if isinstance(each.dataType, VectorUDT)]
    return scored.withColumns({name: vector_to_array(name) for name in vectors}).toPandas()


def compared(found: dict[str, Any], expected: pd.DataFrame) -> tuple[int, float, float]:
    """Return the rows with another prediction, and the largest difference of a probability and of any other number.

    A row whose two largest probabilities are equal in float32 may have either class.
    """
    differ, chances, others = 0, 0.0, 0.0
    for name, values in found.items():
        wanted = np.stack([np.asarray(value) for value in expected[name]])
        if name.startswith("prediction") and values.ndim == 1:
            differ += int((np.abs(values - wanted) > 1e-5 * np.maximum(1, np.abs(wanted))).sum())
        if values.dtype.kind == "f" and not (name.startswith("prediction") and "probability" in found):
            away = float(np.nanmax(np.abs(values - wanted) / np.maximum(1.0, np.abs(wanted)), initial=0.0))
            if name.startswith("probability"):
                chances = max(chances, away)
            else:
                others = max(others, away)
    return differ, chances, others


def pixel_frame(spark: SparkSession, rows: int, shape: tuple[int, int, int]) -> DataFrame:
    """Return drawn pixels, of which some are all black and some all white, and labels from 0 to 9."""
    height, width, channels = shape
    drawn = np.random.default_rng(0).integers(0, 256, (rows, channels, height, width), np.uint8)
    drawn[0], drawn[1 % rows] = 0, 255
    data = [(bytearray(picture.tobytes()), place % 10) for place, picture in enumerate(drawn)]
    frame = spark.createDataFrame(data, "features binary, label int")
    return with_tensor_spec(frame, "features", TensorSpec("uint8", (channels, height, width)))


def table(spark: SparkSession, rows: int) -> tuple[DataFrame, DataFrame]:
    """Return rows to fit on, and as many others: on their numbers, far away, without values, and of a new color."""
    draw = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "a": draw.integers(0, 500, rows) / 100,
            "b": draw.choice([0.1, 0.3, 0.7, 1.1, 2.3], rows),
            "f": draw.random(rows).astype(np.float32),
            "n": draw.integers(0, 10, rows),
            "color": draw.choice(["red", "teal", "blue", "black"], rows),
        }
    )
    frame["y"] = frame.a * 0.2 + frame.b * frame.f + frame.n * 0.01 + 0.1
    frame["two"], frame["three"] = (frame.y > frame.y.median()).astype(float), np.floor(frame.a * 2) % 3
    hard = frame.sample(frac=1.0, random_state=2).reset_index(drop=True)
    hard.loc[hard.index % 10 == 0, "a"] = np.nan
    hard.loc[hard.index % 10 == 1, "a"] = draw.choice([-1e6, 1e6, 0.0, -0.0, 1e-300])
    hard.loc[hard.index % 10 == 2, "color"] = "new"
    hard.loc[hard.index % 10 == 3, "color"] = None
    return spark.createDataFrame(frame).persist(), spark.createDataFrame(hard).persist()


def features() -> list[Any]:
    """Return the stages before each learner; they take missing and new values."""
    keep = {"handleInvalid": "keep"}
    return [
        P.StringIndexer(inputCol="color", outputCol="color_at", **keep),
        P.OneHotEncoder(inputCol="color_at", outputCol="color_hot", **keep),
        P.Imputer(inputCols=["a"], outputCols=["a_full"]),
        P.Bucketizer(splits=[-np.inf, 0.0, 1.0, 2.5, np.inf], inputCol="a", outputCol="bucket", **keep),
        P.VectorAssembler(inputCols=["a_full", "b", "f", "n", "color_at"], outputCol="features", **keep),
        P.VectorAssembler(inputCols=["bucket", "color_hot", "n"], outputCol="counts", **keep),
        P.StandardScaler(inputCol="features", outputCol="scaled", withMean=True),
    ]


def learners() -> Iterator[tuple[str, Any]]:
    """Yield each learner of Spark that can go along, and each recipe for tables."""
    two, three, number = {"labelCol": "two"}, {"labelCol": "three"}, {"labelCol": "y"}
    trees = {"maxDepth": 6, "seed": 5}
    yield "LogisticRegression, two classes", C.LogisticRegression(regParam=0.01, **two)
    yield "LogisticRegression, three classes", C.LogisticRegression(regParam=0.01, **three)
    yield "NaiveBayes", C.NaiveBayes(featuresCol="counts", **three)
    yield (
        "MultilayerPerceptronClassifier",
        C.MultilayerPerceptronClassifier(featuresCol="scaled", layers=[5, 8, 3], seed=5, **three),
    )
    yield "DecisionTreeClassifier", C.DecisionTreeClassifier(**trees, **three)
    yield "RandomForestClassifier, 100 trees", C.RandomForestClassifier(numTrees=100, **trees, **three)
    yield "GBTClassifier", C.GBTClassifier(maxIter=20, **trees, **two)
    yield "LinearRegression", R.LinearRegression(**number)
    yield "GeneralizedLinearRegression", R.GeneralizedLinearRegression(featuresCol="scaled", **number)
    yield "DecisionTreeRegressor", R.DecisionTreeRegressor(**trees, **number)
    yield "RandomForestRegressor, 100 trees", R.RandomForestRegressor(numTrees=100, **trees, **number)
    yield "GBTRegressor", R.GBTRegressor(maxIter=20, **trees, **number)
    yield "KMeans", K.KMeans(k=5, seed=5, featuresCol="scaled")
    short = {"inputCols": COLUMNS, "epochs": 2}
    for recipe in RECIPES:
        yield f"DeepLearningClassifier, {recipe}", DeepLearningClassifier(recipe=recipe, **short, **three)
    yield "DeepLearningRegressor, realmlp", DeepLearningRegressor(**short, **number)
    yield "AutoEncoder", AutoEncoder(**short)


def measure_lenet(spark: SparkSession, rows: int, rounds: int) -> None:
    """Print LeNet's times: bundle, ``transform`` and plain PyTorch, in turns in one run."""
    frame = pixel_frame(spark, rows, (28, 28, 1)).repartition(os.cpu_count() or 1).persist()
    model: Any = ImageClassifier(network="lenet", epochs=0).fit(frame)
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 1, 28, 28), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        export_bundle(model, f"{folder}/bundle", frame.limit(100))
        size = sum(file.stat().st_size for file in Path(f"{folder}/bundle").iterdir())
        loads = [seconds_of(lambda: Bundle.load(f"{folder}/bundle")) for _ in range(rounds)]
        bundle, single = Bundle.load(f"{folder}/bundle"), Bundle.load(f"{folder}/bundle", threads=1)
    ones = [
        seconds_of(lambda place=place: single.predict({"features": pixels[place : place + 1]})) for place in range(1000)
    ]
    ways: dict[str, Callable[[], Any]] = {
        "bundle": lambda: bundle.predict({"features": pixels}),
        "plain PyTorch": lambda: plain(model, torch.from_numpy(pixels)),
        "transform": lambda: model.transform(frame).write.format("noop").mode("overwrite").save(),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, work in ways.items():
            taken = seconds_of(work)
            if turn:  # the first is a warm-up
                seconds[name].append(taken)
    milliseconds = sorted(1000 * each for each in ones)
    print(f"one row: median {statistics.median(milliseconds):.2f} ms, 99th percentile {milliseconds[989]:.2f} ms")
    print(f"bundle: {size / 1e6:.2f} MB, loaded and verified in {statistics.median(loads):.2f} s")
    fastest = statistics.median(seconds["plain PyTorch"])
    for name, taken in seconds.items():
        median = statistics.median(taken)
        print(f"{name}: {rows / median:,.0f} rows a second, {fastest / median:.2f} of plain PyTorch")


def plain(model: Any, rows: torch.Tensor) -> None:
    trained = model.fitted.trained
    network = load_network(trained)
    with torch.inference_mode():
        for block in torch.split(rows, BATCH_ROWS):
            network(trained.scaling.apply(block)).double().softmax(dim=1)


def seconds_of(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
