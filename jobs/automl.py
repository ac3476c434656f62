"""The best model of a table that AutoML finds within some seconds: leaderboard, test, and the saved model.

Run it with spark-submit; --py-files takes the package where it isn't installed:

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/automl.py --data data/penguins.csv --null NA --label species --seconds 120

Labels that are strings, booleans or few whole numbers are classes, others are predicted as numbers; --param task=...
says it where that is meant otherwise. A part of the rows, by a hash of their content, tests the model. --param sets
any Param of AutoML, such as --param maxModels=4 or --param 'exclude=["tabm"]'.

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from sparkwater.program import named_value, read_table, run_program, split_rows
from sparkwater.stacking import AutoML

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="a CSV file with a header (name.csv), or Parquet")
    parser.add_argument("--test", help="other rows to test on; without it a part of DATA")
    parser.add_argument("--test-fraction", type=float, default=0.2, help="that part (%(default)s)")
    parser.add_argument("--null", default="", help="how CSV writes a missing value (an empty field)")
    parser.add_argument("--label", required=True, help="the column to predict")
    parser.add_argument("--seconds", type=float, default=300, help="for everything; 0 for no limit (%(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="(%(default)s)")
    parser.add_argument(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="another Param; the value as JSON, or text"
    )
    parser.add_argument("--save", metavar="FOLDER", help="where to save the model; replaced if it exists")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_program("automl", lambda spark: find(spark, arguments))


def find(spark: SparkSession, arguments: argparse.Namespace) -> str:
    training, testing = split(spark, arguments)
    given = dict(named_value(text) for text in arguments.param)
    search = AutoML(labelCol=arguments.label, maxRuntimeSecs=arguments.seconds, seed=arguments.seed)
    model = search.setParams(keepLevelOne=False, **given).fit(training.where(f"`{arguments.label}` is not null"))
    print(f"\n{model.summary}\n")
    scored = model.transform(testing)
    result = test_error(scored, arguments.label, model.summary.task)
    if arguments.save:
        model.write().overwrite().save(arguments.save)
        print(f"saved the model to {arguments.save}")
    return f"{model.summary.chosen}: {result}"


def split(spark: SparkSession, arguments: argparse.Namespace) -> tuple[DataFrame, DataFrame]:
    """Return the rows to train on and to test on."""
    rows = read_table(spark, arguments.data, arguments.null)
    if arguments.test:
        return rows, read_table(spark, arguments.test, arguments.null)
    return split_rows(rows, arguments.test_fraction, arguments.seed)


def test_error(scored: DataFrame, label: str, task: str) -> str:
    """Return the error on rows with a label, in words."""
    from pyspark.sql import functions as F

    usable = scored.where(f"`{label}` is not null")
    if task == "classification":
        predicted = "predictedLabel" if "predictedLabel" in scored.columns else "prediction"
        wrong = F.avg((F.col(f"`{label}`").cast("string") != F.col(predicted).cast("string")).cast("double"))
        if predicted == "prediction":
            wrong = F.avg((F.col(f"`{label}`") != F.col(predicted)).cast("double"))
        found: Any = usable.agg(wrong.alias("error"), F.count(F.lit(1)).alias("rows")).first()
        return f"test error {100 * found['error']:.2f} % of {found['rows']:,} rows"
    difference = F.col("prediction") - F.col(f"`{label}`")
    found = usable.agg(
        F.sqrt(F.avg(difference * difference)).alias("rmse"), F.avg(F.abs(difference)).alias("mae"),
        F.count(F.lit(1)).alias("rows"),
    ).first()  # fmt: skip
    return f"test rmse {found['rmse']:.4g}, mae {found['mae']:.4g} ({found['rows']:,} rows)"


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
