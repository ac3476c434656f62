"""Families of learners: the first tries of each, and the space that is searched around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.ml import Estimator, Pipeline
from pyspark.ml.classification import GBTClassifier, LogisticRegression, RandomForestClassifier
from pyspark.ml.regression import GBTRegressor, LinearRegression, RandomForestRegressor

from sparkwater.conversions import TableToTensor, TensorToVector
from sparkwater.ml import DeepLearningClassifier, DeepLearningRegressor, ImageClassifier, ImageRegressor
from sparkwater.stacking.automl.data import Inputs, LabelFacts
from sparkwater.stacking.level_one.learners import CLASSIFICATION

#: Names of the families, from cheap to dear.
FAMILIES = ("glm", "forest", "gbt", "mlp", "realmlp", "tabm", "lenet", "convnet")

#: Categories of a column that become flags for learners of vectors; the others are rare.
_FLAGS = 100

_TENSOR, _VECTOR = "__sparkwater_encoded", "__sparkwater_vector"


@dataclass(frozen=True)
class Family:
    """Learners of one kind.

    Attributes
    ----------
    name : str
        Its name, and that of its first learner.
    estimator : pyspark.ml.Estimator
        The first learner to try.
    space : mapping of str to object
        Lists and distributions of Params, as searches take them.
    """

    name: str
    estimator: Estimator[Any]
    space: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setup:
    """Settings that learners of all families have in common.

    Attributes
    ----------
    label : LabelFacts
        Facts on the label.
    inputs : Inputs
        The columns to learn from.
    labelCol : str
        The label.
    seed : int
        Seed of everything random.
    numWorkers : int
        Workers of a network's fit.
    imageShape : list of int or None
        Height, width and channels of pictures to decode.
    """

    label: LabelFacts
    inputs: Inputs
    labelCol: str
    seed: int
    numWorkers: int
    imageShape: list[int] | None = None

    @property
    def is_classification(self) -> bool:
        """True for classes, False for numbers."""
        return self.label.kind == CLASSIFICATION


def families_of(setup: Setup) -> list[Family]:
    """Return the families that fit the rows, from cheap to dear."""
    if setup.inputs.picture is not None:
        return _picture_families(setup)
    return [*_vector_families(setup), *_network_families(setup)]


def choose(families: Sequence[Family], include: Sequence[str], exclude: Sequence[str]) -> list[Family]:
    """Return the families to try: those included, or all, without those excluded."""
    return [one for one in families if (not include or one.name in include) and one.name not in exclude]


def _encoded(setup: Setup, learner: Estimator[Any]) -> Pipeline:
    """Return a learner of vectors behind an encoder of the raw columns: both are fitted on the same rows."""
    encoder = TableToTensor(
        inputCols=list(setup.inputs.columns), outputCol=_TENSOR, oneHotLevels=_FLAGS, maxLevels=_FLAGS
    )
    return Pipeline(stages=[encoder, TensorToVector(inputCol=_TENSOR, outputCol=_VECTOR), learner])


def _vector_families(setup: Setup) -> list[Family]:
    from scipy import stats

    common = {"labelCol": setup.labelCol, "featuresCol": _VECTOR}
    seeded = {**common, "seed": setup.seed}
    weak = 1.0 / setup.label.rows
    linear = {"regParam": stats.loguniform(weak / 10, 1.0), "elasticNetParam": [0.0, 0.5, 1.0]}
    forest = {
        "maxDepth": stats.randint(5, 15), "minInstancesPerNode": stats.randint(1, 10),
        "featureSubsetStrategy": ["auto", "0.3", "0.6", "all"],
    }  # fmt: skip
    boosted = {
        "maxDepth": stats.randint(2, 7), "stepSize": stats.loguniform(0.03, 0.3), "maxIter": [20, 40, 80],
        "subsamplingRate": stats.uniform(0.5, 0.5),
    }  # fmt: skip
    trees = {"numTrees": 50, "maxDepth": 10, **seeded}
    if not setup.is_classification:
        learners = {
            "glm": LinearRegression(regParam=weak, **common),
            "forest": RandomForestRegressor(**trees),
            "gbt": GBTRegressor(maxDepth=4, maxIter=40, **seeded),
        }
    else:
        learners = {
            "glm": LogisticRegression(regParam=weak, **common),
            "forest": RandomForestClassifier(**trees),
            # Spark's boosted trees are for two classes.
            **({"gbt": GBTClassifier(maxDepth=4, maxIter=40, **seeded)} if setup.label.distinct == 2 else {}),
        }
    spaces: dict[str, Mapping[str, Any]] = {"glm": linear, "forest": forest, "gbt": boosted}
    return [Family(name, _encoded(setup, learner), spaces[name]) for name, learner in learners.items()]


def _network_families(setup: Setup) -> list[Family]:
    from scipy import stats

    kind = DeepLearningClassifier if setup.is_classification else DeepLearningRegressor
    spaces: dict[str, Mapping[str, Any]] = {
        "mlp": {
            "hidden": [[64, 64], [128, 128], [256, 256], [128, 128, 128]],
            "learningRate": stats.loguniform(3e-4, 1e-2), "weightDecay": stats.loguniform(1e-4, 0.1),
        },
        "realmlp": {
            "hidden": [[256, 256, 256], [128, 128, 128], [384, 384]],
            "learningRate": stats.loguniform(0.02, 0.3), "weightDecay": [0.0, 0.02, 0.05],
        },
        "tabm": {
            "hidden": [[128, 128], [256, 256], [512, 512]],
            "learningRate": stats.loguniform(5e-4, 5e-3), "weightDecay": [0.0, 3e-4, 1e-2],
        },
    }  # fmt: skip
    common = {
        "labelCol": setup.labelCol, "inputCols": list(setup.inputs.columns), "seed": setup.seed,
        "numWorkers": setup.numWorkers,
    }  # fmt: skip
    return [Family(name, kind(recipe=name, **common), space) for name, space in spaces.items()]


def _picture_families(setup: Setup) -> list[Family]:
    from scipy import stats

    kind = ImageClassifier if setup.is_classification else ImageRegressor
    common: dict[str, Any] = {
        "labelCol": setup.labelCol, "featuresCol": setup.inputs.picture, "seed": setup.seed,
        "numWorkers": setup.numWorkers,
    }  # fmt: skip
    if setup.imageShape is not None:
        common["imageShape"] = setup.imageShape
    space = {"learningRate": stats.loguniform(3e-4, 1e-2), "batchSize": [32, 64, 128]}
    return [Family(name, kind(network=name, **common), space) for name in ("lenet", "convnet")]
