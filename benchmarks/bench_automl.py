"""AutoML on three tables of scikit-learn, and H2O AutoML with the same seconds on the same split, where installed.

    python benchmarks/bench_automl.py --seconds 300
    python benchmarks/bench_automl.py --seconds 300 --h2o

Breast cancer has two classes, digits ten, diabetes numbers. A quarter of the rows, by a seed, tests the models:
logarithmic loss and error, or root mean squared and mean absolute error.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
from sessions import start_spark
from sklearn import datasets, metrics
from sklearn.model_selection import train_test_split

from sparkwater.stacking import AutoML

TABLES = ("breast_cancer", "digits", "diabetes")
LABEL = "label"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seconds", type=float, default=300, help="for each table (%(default)s)")
    parser.add_argument("--cores", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--h2o", action="store_true", help="H2O AutoML as well: pip install h2o")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    return parser.parse_args()


def split(name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows to train on and to test on, with columns named for their places."""
    data = getattr(datasets, f"load_{name}")()
    frame = pd.DataFrame(data.data).rename(columns=lambda place: f"c{place}")
    frame[LABEL] = data.target if name == "diabetes" else data.target.astype(int)
    return tuple(train_test_split(frame, test_size=0.25, random_state=seed))


def measure(truth: Any, predicted: Any) -> str:
    """Return the errors of numbers, or of a matrix of probabilities."""
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if predicted.ndim == 1:
        rmse = float(np.sqrt(metrics.mean_squared_error(truth, predicted)))
        return f"rmse {rmse:.4f}, mae {metrics.mean_absolute_error(truth, predicted):.4f}"
    predicted = predicted / predicted.sum(axis=1, keepdims=True)  # rounded on their way, H2O's have other sums
    loss = metrics.log_loss(truth, predicted, labels=list(range(predicted.shape[1])))
    return f"log loss {loss:.5f}, error {100 * float(np.mean(predicted.argmax(axis=1) != truth)):.2f} %"


def with_sparkwater(spark: Any, training: pd.DataFrame, testing: pd.DataFrame, arguments: argparse.Namespace) -> None:
    started = time.monotonic()
    search = AutoML(labelCol=LABEL, maxRuntimeSecs=arguments.seconds, seed=arguments.seed)
    model = search.fit(spark.createDataFrame(training))
    seconds = time.monotonic() - started
    print(model.summary)
    bases = model.bestModel.baseModels
    scored = model.transform(spark.createDataFrame(testing)).toPandas()
    found = scored["probability"].map(lambda one: one.toArray()) if "probability" in scored else scored["prediction"]
    predicted = np.stack(list(found)) if "probability" in scored else found.to_numpy()
    print(f"sparkwater ({seconds:.0f} s, {model.summary.chosen}): {measure(scored[LABEL], predicted)}")
    for name, (base, *_) in bases.items():
        alone = base.transform(spark.createDataFrame(testing)).toPandas()
        column = "probability" if "probability" in alone else "prediction"
        values = [one.toArray() for one in alone[column]] if column == "probability" else alone[column]
        print(f"  its learner {name} alone: {measure(alone[LABEL], np.stack(list(values)))}")
    model.levelOne.unpersist()


def with_h2o(training: pd.DataFrame, testing: pd.DataFrame, arguments: argparse.Namespace) -> None:
    import h2o
    from h2o.automl import H2OAutoML

    h2o.init(nthreads=arguments.cores, max_mem_size="3g")
    h2o.no_progress()
    numbers = training[LABEL].dtype.kind == "f"
    frames = [h2o.H2OFrame(one) for one in (training, testing)]
    if not numbers:
        for frame in frames:
            frame[LABEL] = frame[LABEL].asfactor()
    started = time.monotonic()
    found = H2OAutoML(max_runtime_secs=int(arguments.seconds), seed=arguments.seed)
    found.train(y=LABEL, training_frame=frames[0])
    seconds = time.monotonic() - started
    predicted = found.leader.predict(frames[1]).as_data_frame()
    values = predicted["predict"].to_numpy() if numbers else predicted.drop(columns="predict").to_numpy()
    print(f"H2O ({seconds:.0f} s, {found.leader.model_id}): {measure(testing[LABEL], values)}", flush=True)
    h2o.cluster().shutdown()  # it would keep its memory beside the next table's learners


def main() -> None:
    arguments = parse_arguments()
    spark = start_spark(arguments.cores)
    for name in arguments.tables:
        training, testing = split(name, arguments.seed)
        print(f"\n{name}: {len(training):,} rows to train on, {len(testing):,} to test on")
        with_sparkwater(spark, training, testing, arguments)
        if arguments.h2o:
            with_h2o(training, testing, arguments)
    spark.stop()


if __name__ == "__main__":
    main()
