"""A stack of networks, a forest and a regression on a folder of pictures: training, test, and saved ensemble.

DATA holds training/<label>/<picture> and testing/<label>/<picture>, on any filesystem that Spark
reads. With --checkpoint-dir a second call goes on where the first one stopped:

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/stack_images.py --data build/mnist_png --checkpoint-dir build/stack

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkwater.conversions import ImageToTensor, TensorToVector, read_image_folder
from sparkwater.conversions.images.idx import write_png_tree
from sparkwater.ml import ImageClassifier
from sparkwater.program import run_job
from sparkwater.stacking import StackedEnsemble
from sparkwater.stacking.ensemble import FINAL_MODELS
from sparkwater.stacking.meta_learner import TRANSFORMS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LEARNERS = ("lenet", "convnet", "forest", "regression")

#: Digits keep their meaning when they are moved and turned a little.
JITTER = [{"name": "shift", "pixels": 2}, {"name": "rotation", "degrees": 10}]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with training/<label>/ and testing/<label>/")
    parser.add_argument(
        "--from-idx", type=Path, metavar="FOLDER", help="first write the folder DATA from MNIST's four idx files here"
    )
    parser.add_argument("--save", metavar="FOLDER", help="where to save the ensemble; replaced if it exists")
    parser.add_argument("--checkpoint-dir", metavar="FOLDER", help="where finished fits are kept")
    parser.add_argument("--folds", type=int, default=5, help="(%(default)s)")
    parser.add_argument(
        "--learners", nargs="+", choices=LEARNERS, default=list(LEARNERS), help="which to stack (all of them)"
    )
    parser.add_argument("--workers", type=int, default=2, help="ranks of a network's fit on all rows (%(default)s)")
    parser.add_argument("--epochs", type=float, default=5, help="of both networks (%(default)s)")
    parser.add_argument("--trees", type=int, default=20, help="of the forest (%(default)s)")
    parser.add_argument("--iterations", type=int, default=30, help="of the regression (%(default)s)")
    parser.add_argument(
        "--jitter", action=argparse.BooleanOptionalAction, default=True,
        help="shift and turn pictures at random in the networks' training (yes)",
    )  # fmt: skip
    parser.add_argument(
        "--final-models", choices=FINAL_MODELS, default="refit",
        help="what scores: models refitted on all rows, or the average of the fold models (%(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--meta-transform", choices=TRANSFORMS, default="none",
        help="what is done to probabilities before the meta-learner (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (%(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="(%(default)s)")
    return parser.parse_args()


def main(arguments: argparse.Namespace) -> int:
    return run_job("stack_images", lambda spark: stack(spark, arguments))


def base_learners(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the learners that were chosen; those of Spark read pixels as vectors."""
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression, RandomForestClassifier

    def network(name: str, **params: Any) -> ImageClassifier:
        return ImageClassifier(
            network=name,
            learningRateSchedule="oneCycle",
            epochs=arguments.epochs,
            numWorkers=arguments.workers,
            device=arguments.device,
            seed=arguments.seed,
            augmentation=JITTER if arguments.jitter else [],
            **params,
        )

    def on_pixels(classifier: Any) -> Pipeline:
        return Pipeline(stages=[TensorToVector(inputCol="features", outputCol="pixels"), classifier])

    learners = {
        "lenet": network("lenet", batchSize=64),
        "convnet": network("convnet", networkArguments={"filters": 8}, learningRate=0.2, nesterov=True),
        "forest": on_pixels(
            RandomForestClassifier(
                featuresCol="pixels", numTrees=arguments.trees, maxDepth=12, maxBins=16, seed=arguments.seed
            )
        ),
        "regression": on_pixels(LogisticRegression(featuresCol="pixels", maxIter=arguments.iterations, regParam=1e-4)),
    }
    return {name: learners[name] for name in LEARNERS if name in arguments.learners}


def read_pictures(spark: SparkSession, folder: str) -> DataFrame:
    decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
    return decode.transform(read_image_folder(spark, folder)).drop("content")


def stack(spark: SparkSession, arguments: argparse.Namespace) -> str:
    from pyspark.ml.evaluation import MulticlassClassificationEvaluator
    from pyspark.ml.functions import vector_to_array
    from pyspark.sql import functions as F

    if arguments.from_idx:
        print(f"wrote {write_png_tree(arguments.from_idx, Path(arguments.data)):,} pictures to {arguments.data}")
    ensemble = StackedEnsemble(
        learners=base_learners(arguments), numFolds=arguments.folds, foldAssignment="stratified", idCol="path",
        seed=arguments.seed, includeBasePredictions=True, finalModels=arguments.final_models,
        metaLearnerTransform=arguments.meta_transform,
    )  # fmt: skip
    if arguments.checkpoint_dir:
        ensemble.setCheckpointDir(arguments.checkpoint_dir)
    model = ensemble.fit(read_pictures(spark, f"{arguments.data}/training"))
    print(f"\n{model.summary}\n{model.summary.totalSeconds:.0f} s in all\n")
    scored = model.transform(read_pictures(spark, f"{arguments.data}/testing")).cache()
    position = {label: place for place, label in enumerate(model.classes)}
    label = F.element_at(F.create_map(*(F.lit(item) for pair in position.items() for item in pair)), F.col("label"))
    values = {name: vector_to_array(F.col(name)) for name in model.baseModels}
    columns = [
        (F.array_position(value, F.array_max(value)) - 1).cast("double").alias(name) for name, value in values.items()
    ]
    tested = scored.select(label.cast("double").alias("label"), "prediction", *columns).cache()
    errors = {
        name: 1 - MulticlassClassificationEvaluator(metricName="accuracy", predictionCol=name).evaluate(tested)
        for name in ("prediction", *model.baseModels)
    }
    rows = tested.count()
    for name, error in errors.items():
        print(f"test error of {'the ensemble' if name == 'prediction' else name}: {100 * error:.2f} %")
    if arguments.save:
        model.write().overwrite().save(arguments.save)
        print(f"saved the ensemble to {arguments.save}")
    alone = min(model.baseModels, key=errors.__getitem__)
    return (
        f"test error {100 * errors['prediction']:.2f} % of {rows:,} pictures; its best learner alone, {alone}, "
        f"{100 * errors[alone]:.2f} %"
    )


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
