"""Errors on tables: this package's recipes by Spark with two workers, and other learners where they are installed.

Each table comes from a package's wheel: diamonds and intervals, three quantiles of the same prices, from plotnine,
randhie from statsmodels, shuttle from river, digits from scikit-learn. What isn't installed is said, and left out;
so are pytabkit, XGBoost and H2O as references. The recipe h2o-wide, three layers of 256 for 50 epochs, is run where it
is asked for: H2O is, too. For each learner a line gives its errors on the test rows, what they are as ratios to those
of the first learner, and the seconds of processors that its training and scoring took, of all processes together.

    python benchmarks/bench_tables.py [--tables diamonds digits] [--recipes realmlp tabm] [--seeds 42 1 2] [--no-peers]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F
from reference_learners import peers
from reference_tables import QUANTILES, TABLES, Floats, ReferenceTable, read_table
from sessions import processor_seconds, start_spark

from sparkwater.ml import DeepLearningClassifier, DeepLearningRegressor

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

WORKERS = 2

#: Params by the recipe's name; h2o-wide are those by which H2O does best of what was tried: see `reference_learners`.
RECIPES: dict[str, dict[str, Any]] = {
    **{name: {"recipe": name} for name in ("realmlp", "tabm", "mlp", "h2o")},
    "h2o-wide": {"recipe": "h2o", "hidden": [256, 256, 256], "epochs": 50.0, "stoppingRounds": 0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES)[:-1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--epochs", type=float, help="in place of each recipe's")
    parser.add_argument("--no-peers", action="store_true", help="leave the other learners out")
    arguments = parser.parse_args()
    spark = start_spark(WORKERS, memory="4g", spark__sql__shuffle__partitions=str(WORKERS))
    for name in arguments.tables:
        table = read_table(name)
        if isinstance(table, str):
            print(table, flush=True)
            continue
        settings = {} if arguments.epochs is None else {"epochs": arguments.epochs}
        learners: dict[str, Callable[[ReferenceTable], Floats]] = {
            f"{recipe}, seed {seed}": partial(package_predictions, spark, recipe=recipe, seed=seed, **settings)
            for recipe in arguments.recipes
            for seed in arguments.seeds
        }
        compare(table, learners | ({} if arguments.no_peers else peers(table.kind)))
    spark.stop()


def compare(table: ReferenceTable, learners: dict[str, Callable[[ReferenceTable], Floats]]) -> None:
    """Print a line for each learner."""
    rows = f"{len(table.training)} rows to train on, {len(table.validation)} to validate, {len(table.test)} to test"
    print(f"{table.name}: {rows}", flush=True)
    first: tuple[dict[str, float], float] | None = None
    for name, learner in learners.items():
        started, before = time.perf_counter(), processor_seconds()
        try:
            errors = table.errors(learner(table))
        except ImportError as missing:  # of a reference that is there without what it needs
            print(f"  {name}: {missing}", flush=True)
            continue
        spent, seconds = processor_seconds() - before, time.perf_counter() - started
        first = first or (errors, spent)
        each = ", ".join(f"{error} {value:.4f} ({_ratio(value, first[0][error])})" for error, value in errors.items())
        print(f"  {name}: {each}; {spent:.0f} CPU-s ({_ratio(spent, first[1])}), {seconds:.0f} s", flush=True)


def _ratio(value: float, first: float) -> str:
    return f"{value / first:.2f}" if first else "-"


def package_predictions(spark: SparkSession, table: ReferenceTable, recipe: str, seed: int, **settings: Any) -> Floats:
    """Return what a recipe of this package predicts for the test rows, in their order."""
    training, test = frames(spark, table)
    settings = {**RECIPES[recipe], **settings, "seed": seed, "numWorkers": WORKERS, "validationIndicatorCol": "later"}
    settings.update(labelCol="the_label", ignoredCols=["place"])
    if table.kind == "classes":
        model = DeepLearningClassifier(**settings).fit(training)
        answer = vector_to_array("probability")
    elif table.kind == "quantiles":
        settings.update(distribution="quantile", quantiles=list(QUANTILES))
        model = DeepLearningRegressor(**settings).fit(training)
        answer = vector_to_array("quantiles")
    else:
        distribution = {"numbers": "gaussian", "counts": "poisson"}[table.kind]
        model = DeepLearningRegressor(distribution=distribution, **settings).fit(training)
        answer = F.array("prediction")
    scored = model.transform(test).select("place", answer.alias("answer")).toPandas().sort_values("place")
    return np.array(scored["answer"].tolist())


def frames(spark: SparkSession, table: ReferenceTable) -> tuple[DataFrame, DataFrame]:
    """Return the rows to train on, those to validate flagged, and the rows to test, numbered in their order."""
    whole = table.columns.assign(the_label=table.labels, later=False)
    whole.loc[table.validation, "later"] = True
    training = whole.iloc[np.concatenate([table.training, table.validation])].assign(place=-1)
    test = whole.iloc[table.test].drop(columns="later").assign(place=np.arange(len(table.test)))
    return spark.createDataFrame(training), spark.createDataFrame(test)


if __name__ == "__main__":
    main()
