"""A model of a table, from a CSV file or Parquet: training, test, and the saved model.

Run it with spark-submit; --py-files takes the package where it isn't installed:

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/train_table.py --data data/penguins.csv --null NA --label species --workers 2

Labels that are strings or booleans are classes, numbers are predicted as numbers; --task says it where that is
meant otherwise. A part of the rows, by a hash of their content, tests the model. --param sets any Param of the
learner, such as --param epochs=20 or --param 'inputCols=["year", "sex"]'.

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sparkwater.ml import DeepLearningClassifier, DeepLearningRegressor, confusion_matrix
from sparkwater.program import named_value, read_table, run_program, split_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LEARNERS = {"classification": DeepLearningClassifier, "regression": DeepLearningRegressor}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a CSV file with a header (name.csv), or Parquet")
    parser.add_argument("--test", help="other rows to test on; without it a part of DATA")
    parser.add_argument("--test-fraction", type=float, default=0.2, help="that part (%(default)s)")
    parser.add_argument("--null", default="", help="how CSV writes a missing value (an empty field)")
    parser.add_argument("--label", required=True, help="the column to predict")
    parser.add_argument("--task", choices=sorted(LEARNERS), help="without it by the type of the label")
    parser.add_argument("--recipe", help="realmlp, tabm, h2o or mlp (the learner's default)")
    parser.add_argument("--workers", type=int, default=2, help="ranks, all running at the same time (%(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="(%(default)s)")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="another Param; the value as JSON, or text"
    )
    parser.add_argument("--save", metavar="FOLDER", help="where to save the model; replaced if it exists")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_program("train_table", lambda spark: train(spark, arguments))


def train(spark: SparkSession, arguments: argparse.Namespace) -> str:
    training, testing = split(spark, arguments)
    task = arguments.task or task_of(training, arguments.label)
    given = dict(named_value(text) for text in arguments.param)
    learner = LEARNERS[task](labelCol=arguments.label, numWorkers=arguments.workers, seed=arguments.seed)
    learner.setParams(**({"recipe": arguments.recipe} if arguments.recipe else {}), **given)
    model = learner.fit(training)
    print(f"\n{model.summary}\n")
    scored = model.transform(testing)
    result = (test_classes if task == "classification" else test_numbers)(scored, arguments.label)
    if arguments.save:
        model.write().overwrite().save(arguments.save)
        print(f"saved the model to {arguments.save}")
    return result


def split(spark: SparkSession, arguments: argparse.Namespace) -> tuple[DataFrame, DataFrame]:
    """Return the rows to train on and to test on."""
    rows = read_table(spark, arguments.data, arguments.null)
    if arguments.test:
        return rows, read_table(spark, arguments.test, arguments.null)
    return split_rows(rows, arguments.test_fraction, arguments.seed)


def task_of(rows: DataFrame, label: str) -> str:
    from pyspark.sql import types as T

    is_number = label in rows.columns and isinstance(rows.schema[label].dataType, T.NumericType)
    return "regression" if is_number else "classification"


def test_classes(scored: DataFrame, label: str) -> str:
    matrix = confusion_matrix(scored, label, "predictedLabel" if "predictedLabel" in scored.columns else "prediction")
    print(matrix, end="\n\n")
    return f"test error {100 * matrix.error:.2f} % ({matrix.errors:,} of {matrix.rows:,} rows)"


def test_numbers(scored: DataFrame, label: str) -> str:
    from pyspark.ml.evaluation import RegressionEvaluator

    evaluator = RegressionEvaluator(labelCol=label)
    usable = scored.where(f"`{label}` is not null").cache()
    found = {name: evaluator.setMetricName(name).evaluate(usable) for name in ("rmse", "mae", "r2")}
    return f"test {', '.join(f'{name} {value:.4g}' for name, value in found.items())} ({usable.count():,} rows)"


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
