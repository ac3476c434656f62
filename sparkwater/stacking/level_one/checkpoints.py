"""Checkpoints of a cross-fitting: its rows and finished fits, in a folder that a new call goes on from."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.files.session_files import check_spark_reaches, files_of, keeping, kept, point_to
from sparkwater.conversions.stages.plain_values import hash_columns
from sparkwater.conversions.stages.stage_folders import load_stage, save_stage
from sparkwater.stacking.level_one.learners import Learner
from sparkwater.stacking.level_one.prepared import Prepared
from sparkwater.stacking.row_keys import ROW, Fingerprint, fingerprint_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class FitStore:
    """Rows and fits under one folder, keyed by content: other rows, folds or learners never meet.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session.
    path : str
        The user's folder, made if it isn't there.

    Raises
    ------
    ConfigurationError
        If Spark doesn't reach the folder.
    """

    def __init__(self, spark: SparkSession, path: str) -> None:
        check_spark_reaches(spark, path)
        self._spark = spark
        self._path = path.rstrip("/")
        self._written = f"{self._path}/writing-{uuid.uuid4().hex}"
        self._run = ""

    def keep_rows(self, frame: DataFrame) -> DataFrame:
        """Write the rows, and return them as they were written."""
        files = files_of(self._spark)
        if not files.exists(self._path):
            files.make_private_folder(self._path)
        frame.write.parquet(self._written)
        return self._spark.read.parquet(self._written)

    def discard(self) -> None:
        """Remove rows that have no lasting place."""
        if self._written:
            files_of(self._spark).delete(self._written)

    def settle(self, prepared: Prepared) -> Prepared:
        """Return the rows at their lasting place, keyed by content; an earlier call's if there are."""
        self._run = f"{self._path}/{self._digest(prepared)}"
        files, place = files_of(self._spark), f"{self._run}/rows"
        rows = kept(self._spark, place)
        if rows is not None:
            files.delete(self._written)
        elif files.is_store(place):
            rows = self._written
            point_to(self._spark, place, rows)
        else:
            rows = place
            files.move(self._written, rows)
        self._written = ""
        return replace(prepared, frame=self._spark.read.parquet(rows))

    def within(self, name: str) -> FitStore:
        """Return a store of fits on a part of these rows, in a folder of that name; rows are settled before."""
        inner = FitStore(self._spark, self._path)
        inner._run = f"{self._run}/{name}"
        return inner

    def find_model(self, learner: Learner) -> Any:
        """Return the model of a learner on all rows, or None where no earlier call finished it."""
        folder = kept(self._spark, f"{self._learner_folder(learner)}/all")
        return None if folder is None else load_stage(self._spark, folder, learner.consent)

    def keep_model(self, learner: Learner, model: Any) -> None:
        """Keep the model of a learner on all rows."""
        with keeping(self._spark, f"{self._learner_folder(learner)}/all") as folder:
            save_stage(model, folder)

    def fit_folder(self, learner: Learner, fold: int) -> str:
        """Return the folder of a learner's fit; its name is a key of the task."""
        return f"{self._learner_folder(learner)}/{fold}"

    def _learner_folder(self, learner: Learner) -> str:
        return f"{self._run}/{re.sub(r'[^A-Za-z0-9]+', '-', learner.name)}-{learner.digest}"

    def _digest(self, prepared: Prepared) -> str:
        content = hash_columns(prepared.frame.schema, list(prepared.frame.columns))
        found: Any = prepared.frame.agg(*fingerprint_columns(content)).first()
        of_rows = Fingerprint(found[0], int(found[1]), found[2]).digest
        names = [name for name in prepared.frame.columns if name != ROW]
        said = [of_rows, prepared.rows.digest, names, prepared.labelCol, prepared.timeCol, prepared.embargo]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]
