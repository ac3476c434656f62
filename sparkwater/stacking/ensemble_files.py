"""A stacked ensemble that isn't fitted yet, as files: its Params, and each learner by its own writer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.ml.param import Params
from pyspark.ml.util import DefaultParamsWriter, MLWriter

from sparkwater.conversions.files.hadoop import replacing
from sparkwater.conversions.stages.loading import load_params
from sparkwater.stacking.persistence import TrustingReader, load_stage, save_stage


class EnsembleWriter(MLWriter):
    """Writes Params, learners and meta-learner beside the target and swaps them in.

    Parameters
    ----------
    stage : pyspark.ml.param.Params
        The estimator.
    learners : mapping of str to pyspark.ml.Estimator
        Its learners by name.
    meta : pyspark.ml.Estimator or None
        Its meta-learner; None for the default one.
    """

    def __init__(self, stage: Params, learners: Mapping[str, Any], meta: Any) -> None:
        super().__init__()
        self._stage, self._learners, self._meta = stage, learners, meta

    def save(self, path: str) -> None:
        """Write the estimator."""
        stage, learners, meta, spark = self._stage, self._learners, self._meta, self.sparkSession
        plain = {
            param.name: value
            for param, value in stage._paramMap.items()
            if param.name not in ("learners", "metaLearner")
        }
        extra = {"learners": list(learners), "metaLearner": meta is not None}
        with replacing(spark, path, self.shouldOverwrite) as folder:
            DefaultParamsWriter.saveMetadata(stage, folder, spark, extraMetadata=extra, paramMap=plain)
            for place, learner in enumerate(learners.values()):
                save_stage(learner, f"{folder}/learners/{place}")
            if meta is not None:
                save_stage(meta, f"{folder}/meta")


class EnsembleReader(TrustingReader):
    """Reads what `EnsembleWriter` wrote."""

    def load(self, path: str) -> Any:
        """Load an estimator.

        Raises
        ------
        CheckpointError
            If a file is missing or damaged.
        UnsafeLoadError
            If something in it is of a class that isn't trusted.
        """
        spark, path = self.sparkSession, path.rstrip("/")
        stage, metadata = load_params(spark, self._stage, path, "ensemble")
        names = metadata["learners"]
        if names:
            stage._set(
                learners={
                    name: load_stage(spark, f"{path}/learners/{place}", self._trusted)
                    for place, name in enumerate(names)
                }
            )
        if metadata["metaLearner"]:
            stage._set(metaLearner=load_stage(spark, f"{path}/meta", self._trusted))
        return stage
