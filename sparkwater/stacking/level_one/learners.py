"""Base learners: estimators or fitted models, with a probability or a prediction to stack."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml import Estimator, Pipeline, PipelineModel, Transformer
from pyspark.ml.param import Params
from pyspark.sql import DataFrame
from torch import nn

from sparkwater.conversions.stages.consent import Consent
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.gpu.networks.weight_bytes import digest, dump_weights
from sparkwater.ml.fitted.network import FittedNetwork

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

logger = logging.getLogger(__name__)

#: Between the seeds of an ensemble and of one in it.
_APART = 1_000_003

#: Params of stages that take all columns but those.
_LEFT_OUT = ("ignoredCols", "excludedCols")

CLASSIFICATION, REGRESSION = "classification", "regression"


@dataclass(frozen=True)
class Learner:
    """A base learner with its name, kind and output column.

    Attributes
    ----------
    name : str
        The user's name for it, and for its level-one column.
    stage : pyspark.ml.Estimator or pyspark.ml.Transformer
        The estimator; a fitted model in blending.
    kind : {"classification", "regression"}
        Classification gives a probability, regression a number.
    output : str
        The column of its model to stack.
    """

    name: str
    stage: Any
    kind: str
    output: str

    @property
    def fitted(self) -> bool:
        """True for a fitted model."""
        return not isinstance(self.stage, Estimator)

    @property
    def num_workers(self) -> int | None:
        """The slots that one fit needs at the same time; None for learners that use any number."""
        last = last_stage(self.stage)
        return int(last.getOrDefault("numWorkers")) if last.hasParam("numWorkers") else None

    def with_params(self, **values: Any) -> Learner:
        """Return the learner with other Params of its last stage."""
        last = last_stage(self.stage)
        changed = self.stage.copy({last.getParam(name): value for name, value in values.items()})
        return Learner(self.name, changed, self.kind, self.output)

    @property
    def consent(self) -> Consent:
        """Consent to load its models: to its own package, and to the networks that it was given."""
        last = last_stage(self.stage)
        networks = [_value(last, "network"), *map(_network_of, _stages(self.stage))]
        names = [
            type(last).__module__.split(".")[0],
            *(network for network in networks if isinstance(network, str) and ":" in network),
            *getattr(last, "foreign_packages", ()),
        ]
        return Consent(tuple(names))

    @property
    def digest(self) -> str:
        """A fingerprint of its class and its Params; it doesn't depend on uids."""
        return hashlib.sha256(json.dumps(describe(self.stage), sort_keys=True).encode()).hexdigest()[:16]


def set_apart(learner: Learner) -> Learner:
    """Return the learner so that an ensemble in it has other folds than the one around it.

    The outer folds leave only some hash values in the rows that the inner ensemble gets: by the same
    hash it would find some of its own folds empty.
    """
    return replace(learner, stage=_set_apart(learner.stage))


def _set_apart(stage: Any) -> Any:
    values: dict[Any, Any] = {}
    for one in _chain(stage) if isinstance(stage, Estimator) else ():
        if one.hasParam("foldAssignment") and one.hasParam("seed"):
            values[one.getParam("seed")] = one.getOrDefault("seed") + _APART
            values[one.getParam("keepLevelOne")] = False  # nobody could free it
            if one.hasParam("learners"):
                inner = one.getOrDefault("learners").items()
                values[one.getParam("learners")] = {name: _set_apart(learner) for name, learner in inner}
    return stage.copy(values) if values else stage


def weighted(learner: Learner, weightCol: str | None) -> Learner:
    """Return the learner with the weights of the rows, where it takes some and has none."""
    last = last_stage(learner.stage)
    if not weightCol or learner.fitted or (last.hasParam("weightCol") and last.isDefined("weightCol")):
        return learner
    if not last.hasParam("weightCol") or not getattr(last, "takes_weights", True):
        logger.warning("learner %r takes no weights: its rows count alike", learner.name)
        return learner
    return learner.with_params(weightCol=weightCol)


def hide_columns(learner: Learner, names: Sequence[str]) -> Learner:
    """Return the learner without some columns among its features, wherever it takes all columns that there are.

    Stages that name their columns read what they name.
    """
    return learner if learner.fitted else replace(learner, stage=_hide(learner.stage, names))


def _hide(stage: Any, names: Sequence[str]) -> Any:
    values: dict[Any, Any] = {}
    for one in _stages(stage):
        left_out = next((one.getParam(name) for name in _LEFT_OUT if one.hasParam(name)), None)
        if left_out is not None and _value(one, "inputCols") is None and not _value(one, "featuresCol"):
            given = one.getOrDefault(left_out)
            values[left_out] = [*given, *(name for name in names if name not in given)]
        if one.hasParam("learners") and one.isDefined("learners"):
            inner = {name: _hide(learner, names) for name, learner in one.getOrDefault("learners").items()}
            values[one.getParam("learners")] = inner
    return stage.copy(values) if values else stage


def _network_of(stage: Any) -> str | None:
    """Return the name of the trained network that a stage holds, or None."""
    fitted = getattr(stage, "fitted", None)
    return fitted.trained.entry.name if isinstance(fitted, FittedNetwork) else None


def _stages(stage: Any) -> Iterator[Any]:
    """Yield a stage, those of a pipeline, and the estimator of a validator or a search."""
    yield stage
    if isinstance(stage, Pipeline):
        for one in stage.getStages():
            yield from _stages(one)
    inner = stage.getEstimator() if hasattr(type(stage), "getEstimator") else None
    if isinstance(inner, Params):  # and no estimator of another library
        yield from _stages(inner)


def last_stage(stage: Any) -> Any:
    """Return the stage whose Params name the output columns: a pipeline's last, a validator's or search's estimator."""
    return list(_chain(stage))[-1]


def _chain(stage: Any) -> Iterator[Any]:
    """Yield a stage, and what it hands its columns on to: a pipeline's last stage, a validator's estimator."""
    yield stage
    inner: Any = None
    if isinstance(stage, (Pipeline, PipelineModel)):
        stages = stage.getStages() if isinstance(stage, Pipeline) else stage.stages
        inner = stages[-1] if stages else None
    else:
        inner = getattr(stage, "bestModel", None)
        if inner is None and hasattr(type(stage), "getEstimator"):
            inner = stage.getEstimator()
    if isinstance(inner, (Estimator, Transformer)):
        yield from _chain(inner)


def kind_of(stage: Any) -> str | None:
    """Return what a stage gives: ``classification`` is a probability, ``regression`` a number, None neither.

    Stages of sparkwater say it. Spark's and others' are known by their columns: a classifier without a
    probability has a raw prediction all the same.
    """
    last = last_stage(stage)
    own = getattr(last, "kind", None)
    if own is not None:
        return str(own) if own in (CLASSIFICATION, REGRESSION) else None
    if last.hasParam("probabilityCol"):
        return CLASSIFICATION
    return None if last.hasParam("rawPredictionCol") else REGRESSION


def find_learners(stages: Mapping[str, Any], schema: StructType, labelCol: str) -> list[Learner]:
    """Return the learners, or refuse them before anything is trained.

    Raises
    ------
    ConfigurationError
        If there are none, one has no output to stack, learns another label, or they mix
        classification and regression.
    SchemaError
        If a learner has the name of a column, or its features column is missing.
    """
    if not stages:
        raise ConfigurationError(
            "there are no learners; give one at least, such as {'forest': RandomForestClassifier()}"
        )
    found = [_find(name, stage) for name, stage in stages.items()]
    for learner in found:
        _check_columns(learner, schema, labelCol)
    kinds = {learner.kind: learner.name for learner in found}
    if len(kinds) > 1:
        raise ConfigurationError(
            f"learner {kinds[CLASSIFICATION]!r} is a classifier and {kinds[REGRESSION]!r} a regressor; "
            "stack learners of one kind"
        )
    return found


def _find(name: str, stage: Any) -> Learner:
    if not name or not isinstance(stage, (Estimator, Transformer)):
        raise ConfigurationError(
            f"learner {name!r} is {type(stage).__name__}; accepted: a name and a Spark ML Estimator"
        )
    last = last_stage(stage)
    kind = kind_of(last)
    output = _value(last, "probabilityCol" if kind == CLASSIFICATION else "predictionCol")
    if kind is None or not output:
        raise ConfigurationError(
            f"learner {name!r} ({type(last).__name__}) gives no probability column, nor is it a regressor; classifiers "
            "need one to be stacked (LinearSVC and OneVsRest have none)"
        )
    return Learner(name, stage, kind, str(output))


def _check_columns(learner: Learner, schema: StructType, labelCol: str) -> None:
    last, stage = last_stage(learner.stage), learner.stage
    if learner.name in schema.names:
        raise SchemaError(f"there is a column {learner.name!r} already; name the learner differently")
    if learner.output in schema.names:
        raise SchemaError(
            f"learner {learner.name!r} would write over the column {learner.output!r}; drop it or name another output"
        )
    if learner.fitted:
        return
    if not last.hasParam("labelCol"):
        raise ConfigurationError(f"learner {learner.name!r} ({type(last).__name__}) learns from no label")
    if _value(last, "labelCol") != labelCol:
        raise ConfigurationError(
            f"learner {learner.name!r} has labelCol={_value(last, 'labelCol')!r}, the others learn {labelCol!r}; set "
            "the same (strings are numbered for the learners)"
        )
    features = None if _value(last, "inputCols") else _value(last, "featuresCol")
    if last is stage and isinstance(features, str) and features not in schema.names:
        raise SchemaError(
            f"learner {learner.name!r} has featuresCol={features!r}; the columns are {', '.join(schema.names)}"
        )


def _value(stage: Any, param: str) -> Any:
    return stage.getOrDefault(param) if stage.hasParam(param) and stage.isDefined(param) else None


def describe(value: Any) -> Any:
    """Return a stage, or a Param's value, as plain values, equal for stages that would learn the same."""
    if isinstance(value, Params):
        params = {param.name: describe(value.getOrDefault(param)) for param in value.params if value.isDefined(param)}
        described = {"class": f"{type(value).__module__}.{type(value).__qualname__}", "params": params}
        fitted = getattr(value, "fitted", None)
        return (
            {**described, "weights": fitted.trained.weights_digest} if isinstance(fitted, FittedNetwork) else described
        )
    if isinstance(value, nn.Module):
        return [str(value), digest(dump_weights(value))]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), digest(np.ascontiguousarray(value).tobytes())]
    if not isinstance(value, type) and hasattr(value, "get_params"):  # an estimator of scikit-learn or its kin
        params = value.get_params(deep=False)
        return {"class": f"{type(value).__module__}.{type(value).__qualname__}", "params": describe(params)}
    if isinstance(value, DataFrame):
        return value.semanticHash()  # a session's own: a later one fits again
    if isinstance(value, Mapping):
        return [[describe(key), describe(item)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
