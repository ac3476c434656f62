"""A stack of networks, a forest and a regression on a folder of pictures: training, test, and saved ensemble.

DATA holds training/<label>/<picture> and testing/<label>/<picture>, on any filesystem that Spark
reads. With --checkpoint-dir a second call goes on where the first one stopped:

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/stack_images.py --data build/mnist_png --checkpoint-dir build/stack

With --recipe digits two larger networks are trained for longer, and the models of their folds averaged. The whole
MNIST from its four idx files:

    spark-submit --properties-file conf/spark-defaults-local.conf \\
        jobs/stack_images.py --recipe digits --from-idx IDX_FOLDER --data build/mnist_full

The last line says what happened; the exit code is 0 only if everything worked.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkwater.conversions import ImageToTensor, TensorToVector, read_image_folder
from sparkwater.conversions.images.idx import write_png_tree
from sparkwater.gpu.device import computes_bfloat16, device_here
from sparkwater.ml import ImageClassifier
from sparkwater.program import run_program
from sparkwater.stacking import StackedEnsemble
from sparkwater.stacking.ensemble import FINAL_MODELS
from sparkwater.stacking.meta_learner import TRANSFORMS
from sparkwater.stacking.scores import ENSEMBLE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: Digits keep their meaning when they are moved and turned a little, and made larger or smaller; not when mirrored.
JITTER = [{"name": "shift", "pixels": 2}, {"name": "rotation", "degrees": 10}]

#: Steps of networks whose batches are normalised.
SHARP = {"learningRate": 0.1, "nesterov": True}


@dataclass(frozen=True)
class Recipe:
    """Learners, and defaults of the options.

    Attributes
    ----------
    networks : mapping of str to mapping
        Params of the networks by the learner's name.
    others : tuple of str
        Learners of Spark.
    augmentation : list of dict
        Steps of the networks' augmentation.
    final_models : str
        What scores.
    half : bool
        Whether networks train in numbers of 16 bits, where machines like the driver's have instructions for them.
    """

    networks: Mapping[str, Mapping[str, Any]]
    others: tuple[str, ...]
    augmentation: list[dict[str, Any]]
    final_models: str
    half: bool = False

    def precision(self, device: str) -> str:
        """Return the precision of the networks on a device."""
        return "bfloat16" if self.half and computes_bfloat16(device_here(device)) else "float32"

    @property
    def learners(self) -> tuple[str, ...]:
        """Names of all learners."""
        return (*self.networks, *self.others)


RECIPES = {
    "demo": Recipe(
        networks={
            "lenet": {"network": "lenet", "batchSize": 64, "epochs": 5},
            "convnet": {
                "network": "convnet", "networkArguments": {"filters": 8}, "learningRate": 0.2, "nesterov": True,
                "epochs": 5,
            },
        },
        others=("forest", "regression"),
        augmentation=JITTER,
        final_models="refit",
    ),
    "digits": Recipe(
        networks={
            "strided": {**SHARP, "network": "stridednet", "epochs": 20},
            "convnet": {**SHARP, "network": "convnet", "networkArguments": {"filters": 16}, "epochs": 16},
        },
        others=(),
        augmentation=[*JITTER, {"name": "scale", "factor": 0.1}],
        final_models="average",
        half=True,
    ),
}  # fmt: skip


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
        "--recipe", choices=RECIPES, default="demo",
        help="demo: two small networks, a forest and a regression. digits: networks for the least error on the whole "
        "MNIST within an hour on two cores, the fold models of each averaged (%(default)s)",
    )  # fmt: skip
    names = list(dict.fromkeys(name for recipe in RECIPES.values() for name in recipe.learners))
    parser.add_argument("--learners", nargs="+", choices=names, help="which to stack (all of the recipe)")
    parser.add_argument("--workers", type=int, default=2, help="ranks of a network's fit on all rows (%(default)s)")
    parser.add_argument("--epochs", type=float, help="of all networks (what the recipe says)")
    parser.add_argument("--trees", type=int, default=20, help="of the forest (%(default)s)")
    parser.add_argument("--iterations", type=int, default=30, help="of the regression (%(default)s)")
    parser.add_argument(
        "--jitter", action=argparse.BooleanOptionalAction, default=True,
        help="shift, turn and scale pictures at random in the networks' training, as the recipe says (yes)",
    )  # fmt: skip
    parser.add_argument(
        "--final-models", choices=FINAL_MODELS,
        help="what scores: models refitted on all rows, or the average of the fold models (what the recipe says)",
    )  # fmt: skip
    parser.add_argument(
        "--meta-transform", choices=TRANSFORMS, default="none",
        help="what is done to probabilities before the meta-learner (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (%(default)s)")
    parser.add_argument("--seed", type=int, default=42, help="(%(default)s)")
    arguments = parser.parse_args()
    known = RECIPES[arguments.recipe].learners
    unknown = [name for name in arguments.learners or () if name not in known]
    if unknown:
        parser.error(f"--learners {unknown[0]}: the learners of the recipe {arguments.recipe} are {', '.join(known)}")
    return arguments


def main(arguments: argparse.Namespace) -> int:
    return run_program("stack_images", lambda spark: stack(spark, arguments))


def base_learners(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the learners that were chosen; those of Spark read pixels as vectors."""
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression, RandomForestClassifier

    recipe = RECIPES[arguments.recipe]

    def network(params: Mapping[str, Any]) -> ImageClassifier:
        given = {} if arguments.epochs is None else {"epochs": arguments.epochs}
        common = {
            "learningRateSchedule": "oneCycle",
            "numWorkers": arguments.workers,
            "device": arguments.device,
            "precision": recipe.precision(arguments.device),
            "seed": arguments.seed,
            "augmentation": recipe.augmentation if arguments.jitter else [],
        }
        return ImageClassifier(**{**common, **params, **given})

    def on_pixels(classifier: Any) -> Pipeline:
        return Pipeline(stages=[TensorToVector(inputCol="features", outputCol="pixels"), classifier])

    forest = RandomForestClassifier(
        featuresCol="pixels", numTrees=arguments.trees, maxDepth=12, maxBins=16, seed=arguments.seed
    )
    regression = LogisticRegression(featuresCol="pixels", maxIter=arguments.iterations, regParam=1e-4)
    others = {"forest": on_pixels(forest), "regression": on_pixels(regression)}
    learners = {**{name: network(params) for name, params in recipe.networks.items()}, **others}
    return {name: learners[name] for name in arguments.learners or recipe.learners}


def read_pictures(spark: SparkSession, folder: str) -> DataFrame:
    decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
    return decode.transform(read_image_folder(spark, folder)).drop("content")


def stack(spark: SparkSession, arguments: argparse.Namespace) -> str:
    if arguments.from_idx:
        print(f"wrote {write_png_tree(arguments.from_idx, Path(arguments.data)):,} pictures to {arguments.data}")
    ensemble = StackedEnsemble(
        learners=base_learners(arguments), numFolds=arguments.folds, foldAssignment="stratified", idCol="path",
        seed=arguments.seed, metaLearnerTransform=arguments.meta_transform,
        finalModels=arguments.final_models or RECIPES[arguments.recipe].final_models,
    )  # fmt: skip
    if arguments.checkpoint_dir:
        ensemble.setCheckpointDir(arguments.checkpoint_dir)
    model = ensemble.fit(read_pictures(spark, f"{arguments.data}/training"))
    print(f"\n{model.summary}\n{model.summary.totalSeconds:.0f} s in all\n")
    tested = model.evaluate(read_pictures(spark, f"{arguments.data}/testing"))
    for score in tested.scores:
        said = "the ensemble" if score.learner == ENSEMBLE else score.learner
        print(f"test error of {said}: {100 * score.second:.2f} %, log loss {score.value:.5f}")
    if arguments.save:
        model.write().overwrite().save(arguments.save)
        print(f"saved the ensemble to {arguments.save}")
    own, alone = tested.score(), [score for score in tested.scores if score.learner != ENSEMBLE]
    best, least = min(alone, key=lambda one: one.second), min(score.value for score in alone)
    return (
        f"test error {100 * own.second:.2f} % of {tested.rows:,} pictures; its best learner alone, {best.learner}, "
        f"{100 * best.second:.2f} %; log loss {own.value:.5f}, {100 * (1 - own.value / least):.1f} % below that of the "
        f"best learner, {least:.5f}"
    )


if __name__ == "__main__":
    raise SystemExit(main(parse_arguments()))
