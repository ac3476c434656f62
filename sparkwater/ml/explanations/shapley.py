"""Shapley values of any model, by sampling over a background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.ml.explanations.features import OTHER, TAKEN, Features, find_features
from sparkwater.ml.explanations.outputs import output_number
from sparkwater.ml.explanations.samples import NUMBER, content_hash, numbered_sample

if TYPE_CHECKING:
    from pyspark.ml import Transformer
    from pyspark.sql import Column, DataFrame

_KEYS = ("__sparkwater_key", "__sparkwater_key2")
#: An order of the features, the place of each feature in it, and how many of its first features are the row's own.
_ORDER, _PLACES, _OWN = "__sparkwater_order", "__sparkwater_places", "__sparkwater_own"
#: Stands for the output of the background row among the features.
_BASE = -1


def shapley_values(
    model: Transformer,
    frame: DataFrame,
    background: DataFrame,
    *,
    inputCols: Sequence[str] | None = None,
    outputCol: str = "prediction",
    outputIndex: int | None = None,
    permutations: int = 50,
    contributionsCol: str = "contributions",
    baseValueCol: str = "baseValue",
    seed: int = 42,
) -> DataFrame:
    """Add to each row what each of its features contributes to the model's output.

    Features go over from a background row to the explained row in a random order; the change of the output at its
    step is a feature's contribution. The mean over orders and background rows estimates the Shapley value (Štrumbelj
    and Kononenko, Knowledge and Information Systems 41 (2014), algorithm 2). Each order is followed by its reverse
    (Mitchell et al., JMLR 23 (2022), section 4.1). Contributions and base value add up to the output; null where the
    model leaves one out. Runs on executors when the result is used: each different row is scored ``permutations`` x
    (features + 1) times, as a stream of rows. ``permutations`` / 2 rows of the background at most go to all executors.

    Parameters
    ----------
    model : pyspark.ml.Transformer
        Any fitted model, pipelines included.
    frame : pyspark.sql.DataFrame
        Rows to explain.
    background : pyspark.sql.DataFrame
        Rows that stand for "not known", such as some training rows, with the features' columns.
    inputCols : sequence of str, optional
        Columns, or vectors of features. Default: the model's ``inputCols`` or ``featuresCol``.
    outputCol, outputIndex : str, int
        The explained output: a number, or an entry of a vector such as ``probability``. Default: the second of two.
    permutations : int
        Orders; an even number. The standard error falls with its root.
    contributionsCol, baseValueCol : str
        Columns to add: a map from a feature's name to a double, and the mean output of background rows, a double.
    seed : int
        Source of orders and sample.

    Raises
    ------
    ConfigurationError, SchemaError, DataError
        If a parameter or a column isn't what is accepted, or the background has no rows.
    """
    if permutations < 2 or permutations % 2:
        raise ConfigurationError(f"permutations={permutations} is not accepted; even numbers from 2 up")
    features = find_features(model, frame, inputCols)
    output_number(model.transform(frame.limit(1)), outputCol, outputIndex, model)  # before any job
    keyed = frame.withColumns({name: content_hash(frame, salt) for salt, name in enumerate(_KEYS)})
    draws = _draws(background, features, permutations, seed)
    steps = F.sequence(F.lit(0), F.lit(len(features.names)))
    crossed = keyed.dropDuplicates(list(_KEYS)).crossJoin(F.broadcast(draws)).withColumn(_OWN, F.explode(steps))
    # Features whose place in the order is not reached yet come from the background.
    taken = F.transform(F.col(_PLACES), lambda place: place >= F.col(_OWN))
    scored = model.transform(features.mix(crossed.withColumn(TAKEN, taken)))
    output = output_number(scored, outputCol, outputIndex, model)
    explained = _contributions(scored, output, features, permutations, contributionsCol, baseValueCol)
    return keyed.join(explained, list(_KEYS), "left").drop(*_KEYS)


def _draws(background: DataFrame, features: Features, permutations: int, seed: int) -> DataFrame:
    """Return orders of the features, each with a background row."""
    struct = F.struct(*(F.col(f"`{column.column}`") for column in features.columns)).alias(OTHER)
    rows = numbered_sample(background, permutations // 2, seed).select(NUMBER, struct)
    count = rows.count()
    if not count:
        raise DataError("the background has no rows; give some that stand for a feature that isn't known")
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(features.names)) for _ in range(permutations // 2)]
    lines = [
        (pair % count + 1, each.tolist(), np.argsort(each).tolist())
        for pair, order in enumerate(orders)
        for each in (order, order[::-1])
    ]
    drawn = background.sparkSession.createDataFrame(lines, f"{NUMBER} int, {_ORDER} array<int>, {_PLACES} array<int>")
    return drawn.join(rows, NUMBER).drop(NUMBER)


def _contributions(
    scored: DataFrame, output: Column, features: Features, permutations: int, contributionsCol: str, baseValueCol: str
) -> DataFrame:
    """Return the sums of the changes, by row: an output counts for the step to it, and against the one from it.

    Null where an output is missing.
    """
    own, share = F.col(_OWN), output / permutations
    to = F.struct(F.coalesce(F.get(_ORDER, own - 1), F.lit(_BASE)).alias("feature"), share.alias("change"))
    fro = F.struct(F.get(_ORDER, own).alias("feature"), (-share).alias("change"))  # null after the last step
    changes = scored.select(*_KEYS, F.inline(F.array(to, fro))).where("feature IS NOT NULL")
    sums = changes.groupBy(*_KEYS, "feature").agg(F.sum("change").alias("change"), F.count("change").alias("found"))
    names = F.create_map(*(part for at, name in enumerate(features.names) for part in (F.lit(at), F.lit(name))))
    named = F.collect_list(
        F.when(F.col("feature") != _BASE, F.struct(F.element_at(names, F.col("feature")), F.col("change")))
    )
    base = F.max(F.when(F.col("feature") == _BASE, F.col("change")))
    # Each permutation gives the base an output, and each feature two.
    whole = F.sum("found") == permutations * (1 + 2 * len(features.names))
    return sums.groupBy(*_KEYS).agg(
        F.when(whole, F.map_from_entries(named)).alias(contributionsCol), F.when(whole, base).alias(baseValueCol)
    )
