"""Params and summaries as the plain values that MLflow keeps."""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pyspark.ml.param import Params

from sparkwater.ml.reports.history import epoch_values
from sparkwater.ml.reports.summary import TrainingSummary
from sparkwater.ml.reports.tracking import LONGEST_PARAM
from sparkwater.stacking.automl.summary import AutoMLSummary
from sparkwater.stacking.search.records import SearchSummary
from sparkwater.stacking.summary import EnsembleSummary

#: Numbers of an epoch that say nothing of the model.
_OF_EPOCHS = ("seconds", "rowsPerSecond", "learningRate")

#: MLflow takes names of so many characters; what is left of a longer one, at its start and at its end.
_LONGEST_NAME, _START, _END = 250, 150, 99


def plain_params(stage: Any, prefix: str = "") -> dict[str, str]:
    """Return the Params of a stage as texts by name, those of the stages inside included.

    A stage inside is its class, and its Params follow with its name before them: ``learners.net`` and
    ``learners.net.epochs``.

    Parameters
    ----------
    stage : pyspark.ml.param.Params
        The stage.
    prefix : str
        Text before each name.
    """
    found: dict[str, str] = {}
    for param in stage.params:
        if not stage.isDefined(param):
            continue
        for name, value in _entries(prefix + param.name, stage.getOrDefault(param)):
            if isinstance(value, Params):
                found[_taken_name(name)] = type(value).__name__
                found |= plain_params(value, f"{name}.")
            else:
                found[_taken_name(name)] = str(value)[:LONGEST_PARAM]
    return found


def summary_metrics(summary: Any) -> dict[str, float]:
    """Return the metrics of a summary by names that MLflow takes; those that are undefined are left out.

    Of a network they are those of the model's epoch, ``model.validationLogloss``; of ensembles, searches and AutoML
    the metrics out of fold of each learner, ``net.logLoss``. They come with the seconds of the fit.

    Parameters
    ----------
    summary : object
        The summary of a model of this package; none of another one's.
    """
    if isinstance(summary, TrainingSummary):
        found = _of_network(summary)
    elif isinstance(summary, (EnsembleSummary, AutoMLSummary)):
        scores = summary.scores if isinstance(summary, EnsembleSummary) else [one.score for one in summary.entries]
        found = _by_learner(summary.metrics, [(one.learner, one.value, one.second) for one in scores])
    elif isinstance(summary, SearchSummary):
        found = _by_learner(summary.metrics, [(one.learner, one.value, one.second) for one in summary.trials])
    else:
        return {}
    found["seconds.total"] = summary.totalSeconds
    known = {name: value for name, value in found.items() if value is not None and math.isfinite(value)}
    return {_taken_name(name): value for name, value in known.items()}


def model_step(summary: Any) -> int:
    """Return the epoch whose weights a network's model has, counted from 0; 0 for other models."""
    if not isinstance(summary, TrainingSummary) or not summary.records:
        return 0
    return summary.records[-1 if summary.bestEpoch is None else summary.bestEpoch].epoch


def _taken_name(text: str) -> str:
    """Return a name that MLflow takes: learners have any text as theirs."""
    name = re.sub(r"[^/\w.\- :]", "_", text)
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_START]}_{name[-_END:]}"  # the Param or the metric is at the end
    is_path = posixpath.normpath(name) == name and not name.startswith((".", "/"))
    return name if is_path else re.sub(r"^\.+|/", "_", name)


def _entries(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a Param's value by its name, or the stages that it holds by theirs."""
    if isinstance(value, Mapping) and any(isinstance(one, Params) for one in value.values()):
        for key, one in value.items():
            yield f"{name}.{key}", one
    elif isinstance(value, (list, tuple)) and any(isinstance(one, Params) for one in value):
        for place, one in enumerate(value):
            yield f"{name}.{place}", one
    else:
        yield name, value


def _of_network(summary: TrainingSummary) -> dict[str, float | None]:
    values = [epoch_values(record) for record in summary.records if record.epoch == model_step(summary)]
    return {f"model.{name}": value for each in values for name, value in each.items() if name not in _OF_EPOCHS}


def _by_learner(
    metrics: tuple[str, str], scores: list[tuple[str, float | None, float | None]]
) -> dict[str, float | None]:
    first, second = metrics
    found: dict[str, float | None] = {}
    for learner, value, other in scores:
        found |= {f"{learner}.{first}": value, f"{learner}.{second}": other}
    return found
