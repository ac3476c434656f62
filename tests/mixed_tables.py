"""A small table of columns of all kinds, with nulls, that a network learns in a second."""

from __future__ import annotations

import datetime
import math

import numpy as np
from pyspark.sql import DataFrame, SparkSession

SCHEMA = "id int, size double, count int, colour string, flag boolean, day date, kind string, price double"
INPUTS = ["size", "count", "colour", "flag", "day"]
_DAY = datetime.date(2024, 1, 1)


def mixed_rows(rows: int, seed: int = 0, colours: tuple[str, ...] = ("red", "green", "blue")) -> list[tuple]:
    """Return rows of `SCHEMA`: kind and price follow from size and colour; each column has nulls."""
    generator = np.random.default_rng(seed)
    made = []
    for place in range(rows):
        size, colour = float(generator.normal(10, 3)), colours[int(generator.integers(len(colours)))]
        kind = "big" if size + 3 * (colour == "red") > 11 else "small"
        price = 2 * size + 5 * (colour == "red") + float(generator.normal(0, 0.2))
        row = [size, int(generator.poisson(4)), colour, bool(generator.random() < 0.5)]
        row += [_DAY + datetime.timedelta(days=int(generator.integers(400)))]
        missing = generator.random(len(row)) < 0.05
        made.append((place, *(None if gone else value for value, gone in zip(row, missing, strict=True)), kind, price))
    assert all(math.isfinite(row[-1]) for row in made)
    return made


def mixed_frame(spark: SparkSession, rows: int, seed: int = 0, **others: tuple[str, ...]) -> DataFrame:
    """Return `mixed_rows` as a DataFrame."""
    return spark.createDataFrame(mixed_rows(rows, seed, **others), SCHEMA)
