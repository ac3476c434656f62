"""Use an installed sparkwater as a new user does: import all public names, train a tiny network, and score."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np

import sparkwater


def main() -> None:
    home = Path(sparkwater.__file__)
    assert home.is_relative_to(sys.prefix), f"this is not the installed package: {home}"
    assert version("sparkwater") == sparkwater.__version__
    assert files("sparkwater").joinpath("py.typed").is_file(), "py.typed is missing: nobody sees the type hints"
    names = [name for package in ("conversions", "ml", "stacking") for name in public_names(package)]
    rows = train_and_score()
    print(
        f"smoke: sparkwater {sparkwater.__version__} has {len(names)} public names, trained on and scored {rows} rows"
    )


def public_names(package: str) -> list[str]:
    """Return the public names of a package, each of which can be imported."""
    module = import_module(f"sparkwater.{package}")
    for name in module.__all__:
        getattr(module, name)
    return list(module.__all__)


def train_and_score() -> int:
    """Train on one worker, which needs no Horovod; return how many rows got a prediction."""
    from pyspark.sql import SparkSession

    from sparkwater.conversions import from_numpy
    from sparkwater.ml import ImageClassifier

    builder = SparkSession.builder.master("local[2]").config("spark.log.level", "ERROR")
    for name in ("spark.ui.enabled", "spark.ui.showConsoleProgress"):
        builder = builder.config(name, "false")
    spark = builder.getOrCreate()
    labels = np.arange(20) % 2
    pictures = np.full((20, 1, 16, 16), 60, np.uint8) + 120 * labels[:, None, None, None].astype(np.uint8)
    frame = from_numpy(spark, {"features": pictures, "label": labels})
    scored = ImageClassifier(epochs=1, batchSize=10).fit(frame).transform(frame)
    rows = scored.where("prediction is not null").count()
    spark.stop()
    assert rows == len(labels), f"{rows} of {len(labels)} rows were scored"
    return rows


if __name__ == "__main__":
    main()
