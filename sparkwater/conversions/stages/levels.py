"""Levels and subjects of Params: the order in which pages show many of them."""

from __future__ import annotations

#: Params that most users set, by their names in any stage, in the order of a page.
ESSENTIAL = (
    "learners",
    "metaLearner",
    "estimator",
    "space",
    "inputCol",
    "outputCol",
    "inputCols",
    "featuresCol",
    "labelCol",
    "imageShape",
    "task",
    "numericCols",
    "categoricalCols",
    "recipe",
    "network",
    "hidden",
    "distribution",
    "epochs",
    "batchSize",
    "learningRate",
    "numWorkers",
    "maxModels",
    "numFolds",
    "anomalyThreshold",
    "predictionCol",
    "probabilityCol",
    "seed",
)

#: Params that few users need, and that ask for knowledge of the method or of the cluster.
EXPERT = frozenset(
    [
        "allowPlaintext",
        "allowSharedGpu",
        "averageActivation",
        "beta1",
        "beta2",
        "callbacks",
        "checkpointInterval",
        "clipValue",
        "compileNetwork",
        "decayEpochs",
        "decayFactor",
        "embargo",
        "epsilon",
        "gradientCompression",
        "headLearningRateMultiplier",
        "huberAlpha",
        "huberDelta",
        "includeBasePredictions",
        "initialization",
        "inputMean",
        "inputStd",
        "keepLevelOne",
        "layerRateDecay",
        "learningRateAnnealing",
        "maxLevels",
        "maxMemoryInMB",
        "maxNorm",
        "metaLearnerTransform",
        "minLevelRows",
        "momentumRamp",
        "momentumStart",
        "nesterov",
        "oneHotLevels",
        "passthroughCols",
        "pruning",
        "repeats",
        "rho",
        "scaleVectors",
        "sparsityBeta",
        "stallTimeout",
        "startTimeout",
        "startupTrials",
        "timeZone",
        "topK",
        "tweediePower",
        "virtualAdversarialRadius",
        "weightAveraging",
        "weightDecaySchedule",
    ]
)

#: Subjects, by the names of the classes that declare the Params; others are of the stage itself.
SUBJECTS = {
    "Columns": (
        "ClassifierColumns",
        "FeaturesParams",
        "HasFeaturesCol",
        "HasHandleInvalid",
        "HasIdCol",
        "HasInputCol",
        "HasLabelCol",
        "HasOutputCol",
        "HasPredictionCol",
        "HasProbabilityCol",
        "HasRawPredictionCol",
        "HasTableOutputCol",
        "PredictorParams",
        "ReconstructionColumns",
        "RegressorColumns",
        "RegressorModel",
        "ScoringParams",
        "TableColumns",
    ),
    "Pictures": ("HasImageShape", "PictureParams", "PictureTrainingParams"),
    "Raw columns": ("EncodingParams", "TableParams"),
    "Network and first weights": ("HasNetwork", "NetworkParams"),
    "What is learned": ("ClassifierParams", "RegressorParams", "AutoEncoderParams"),
    "Weights, offsets and validation": ("HasOffsetCol", "HasWeightCol", "RowParams"),
    "Optimizer, schedules and penalties": ("RecipeParams",),
    "Stopping": ("BudgetParams", "StoppingParams"),
    "Folds": ("FoldParams",),
    "Workers and computing": ("ComputeParams", "TrainingParams"),
    "Checkpoints and restarts": ("CheckpointParams",),
    "While it runs": ("ObservingParams",),
}
LEVELS = ("Essential", "Advanced", "Expert")


def level(name: str) -> str:
    """Return the level of a Param."""
    if name in ESSENTIAL:
        return "Essential"
    return "Expert" if name in EXPERT else "Advanced"


def subject(home: str) -> str:
    """Return the subject of the Params that a class declares."""
    return next((title for title, homes in SUBJECTS.items() if home in homes), "Of this stage")
