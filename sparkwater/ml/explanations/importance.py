"""Importance of features by permutation."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import functions as F
from pyspark.sql.window import Window
from scipy import stats

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import ConfigurationError, DataError
from sparkwater.ml.explanations.features import OTHER, TAKEN, Features, find_features
from sparkwater.ml.explanations.samples import NUMBER, numbered_sample

if TYPE_CHECKING:
    from pyspark.ml import Transformer
    from pyspark.ml.evaluation import Evaluator
    from pyspark.sql import DataFrame

#: The repetition, and the number of the permuted feature; -1 for the rows as they are.
REPEAT, PERMUTED = "__sparkwater_repeat", "__sparkwater_permuted"

SCHEMA = "feature string, importance double, standardError double, lower double, upper double"

#: Evaluations at a time; each is a short job.
_THREADS = 4


def permutation_importance(
    model: Transformer,
    frame: DataFrame,
    evaluator: Evaluator,
    *,
    inputCols: Sequence[str] | None = None,
    repeats: int = 5,
    maxRows: int = 10_000,
    confidence: float = 0.95,
    seed: int = 42,
) -> DataFrame:
    """Return how much worse a model gets when the values of one feature are dealt out anew among the rows.

    Breiman, Random Forests, Machine Learning 45 (2001), section 10; for any model: Fisher, Rudin and Dominici, JMLR 20
    (2019), section 3. Runs on executors: ``maxRows`` x (features x ``repeats`` + 1) rows are scored; the
    evaluator's columns of them are in Spark's cache during the call. The driver gets a number an evaluation.

    Parameters
    ----------
    model : pyspark.ml.Transformer
        Any fitted model, pipelines included.
    frame : pyspark.sql.DataFrame
        Rows with what the model and the evaluator read.
    evaluator : pyspark.ml.evaluation.Evaluator
        The measure of its predictions.
    inputCols : sequence of str, optional
        Columns to permute; of a vector column each entry by itself. Default: the model's ``inputCols`` or
        ``featuresCol``.
    repeats : int
        Permutations of each feature; from 2.
    maxRows : int
        Rows at most, chosen by a hash of their content.
    confidence : float
        Probability that an interval covers the mean over all permutations of these rows (Student's t).
    seed : int
        Source of sample and permutations.

    Returns
    -------
    pyspark.sql.DataFrame
        A row a feature, the most important first: ``feature``, ``importance`` (the mean loss of the metric, positive
        where the model gets worse, in the metric's units), ``standardError``, ``lower``, ``upper``.

    Raises
    ------
    ConfigurationError, SchemaError, DataError
        If a parameter or a column isn't what is accepted, or there are fewer than two rows.
    """
    _check(repeats, confidence)
    features = find_features(model, frame, inputCols)
    sample = numbered_sample(frame, maxRows, seed).persist()
    try:
        if sample.count() < 2:
            raise DataError("there are fewer than two rows; values can't be exchanged")
        scored = model.transform(_permuted(sample, features, repeats, seed))
        losses = _losses(scored, evaluator, len(features.names), repeats)
    finally:
        sample.unpersist()
    return frame.sparkSession.createDataFrame(_summary(features.names, losses, confidence), SCHEMA)


def _check(repeats: int, confidence: float) -> None:
    if repeats < 2:
        raise ConfigurationError(f"repeats={repeats} is not accepted; an interval needs 2 or more")
    if not 0 < confidence < 1:
        raise ConfigurationError(f"confidence={confidence} is not accepted; a probability within (0, 1)")


def _permuted(sample: DataFrame, features: Features, repeats: int, seed: int) -> DataFrame:
    """Return the rows as they are, and once more for each feature and repetition with a value of another row.

    The order of a hash deals out partners: a row's partner is the row whose number is its rank. So each row is
    partner of one.
    """
    everyone = sample.withColumn(REPEAT, F.explode(F.sequence(F.lit(0), F.lit(repeats - 1))))
    order = Window.partitionBy(REPEAT).orderBy(F.xxhash64(F.lit(seed), NUMBER, REPEAT), NUMBER)
    ranked = everyone.withColumn("__sparkwater_rank", F.row_number().over(order))
    partners = sample.select(
        F.col(NUMBER).alias("__sparkwater_rank"),
        F.struct(*(F.col(f"`{column.column}`") for column in features.columns)).alias(OTHER),
    )
    pairs = ranked.join(partners, "__sparkwater_rank").drop("__sparkwater_rank", NUMBER)
    numbers = F.sequence(F.lit(-1), F.lit(len(features.names) - 1))
    tagged = pairs.withColumn(PERMUTED, F.explode(numbers)).where((F.col(PERMUTED) >= 0) | (F.col(REPEAT) == 0))
    positions = F.sequence(F.lit(0), F.lit(len(features.names) - 1))
    return features.mix(tagged.withColumn(TAKEN, F.transform(positions, lambda at: at == F.col(PERMUTED))))


def _columns(evaluator: Evaluator) -> list[str]:
    """Return the columns that an evaluator's Params name."""
    return [
        str(evaluator.getOrDefault(param))
        for param in evaluator.params
        if param.name.endswith("Col") and evaluator.isDefined(param) and evaluator.getOrDefault(param)
    ]


def _losses(scored: DataFrame, evaluator: Evaluator, features: int, repeats: int) -> npt.NDArray[np.float64]:
    """Return what the metric loses: a row a feature, a column a repetition."""
    read = {REPEAT, PERMUTED, *_columns(evaluator)}
    kept = scored.select(*(F.col(f"`{name}`") for name in scored.columns if name in read)).persist()

    def evaluate(case: tuple[int, int]) -> float:
        permuted, repeat = case
        return float(evaluator.evaluate(kept.where((F.col(PERMUTED) == permuted) & (F.col(REPEAT) == repeat))))

    cases = [(feature, repeat) for feature in range(features) for repeat in range(repeats)]
    try:
        reference = evaluate((-1, 0))
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(session_of(scored.sparkSession).in_thread(evaluate), cases))
    finally:
        kept.unpersist()
    sign = 1.0 if evaluator.isLargerBetter() else -1.0
    return sign * (reference - np.reshape(found, (features, repeats)))


def _summary(names: Sequence[str], losses: npt.NDArray[np.float64], confidence: float) -> list[tuple[Any, ...]]:
    repeats = losses.shape[1]
    means, errors = losses.mean(axis=1), losses.std(axis=1, ddof=1) / np.sqrt(repeats)
    reach = errors * stats.t.ppf(0.5 + confidence / 2, repeats - 1)
    rows = zip(names, means, errors, means - reach, means + reach, strict=True)
    return sorted(((name, *map(float, numbers)) for name, *numbers in rows), key=lambda row: (-row[1], row[0]))
