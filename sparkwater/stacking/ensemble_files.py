"""Files of an unfitted stacked ensemble: its Params, and each learner by its own writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyspark.ml.util import DefaultParamsWriter, MLWriter

from sparkwater.conversions.files.hadoop import replacing
from sparkwater.conversions.stages.loading import load_params
from sparkwater.stacking.persistence import TrustingReader, load_stage, save_stage

if TYPE_CHECKING:
    from sparkwater.stacking.ensemble import StackedEnsemble


class EnsembleWriter(MLWriter):
    """Writes Params, learners and meta-learner beside the target and swaps them in."""

    def __init__(self, stage: StackedEnsemble) -> None:
        super().__init__()
        self._stage = stage

    def save(self, path: str) -> None:
        """Write the estimator."""
        stage, spark = self._stage, self.sparkSession
        learners, meta = stage.getLearners(), stage.getMetaLearner()
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
