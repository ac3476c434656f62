"""Fits that log themselves to MLflow: Params, curves, metrics of the summary, and the model where it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import mlflow
import requests
from mlflow.utils import autologging_utils
from mlflow.utils.autologging_utils import autologging_integration, safe_patch

from sparkwater.errors import ConfigurationError
from sparkwater.ml.network_learner import RowLearner
from sparkwater.ml.sklearn.learner import SklearnLearner
from sparkwater.mlflow.facts import model_step, plain_params, summary_metrics
from sparkwater.mlflow.flavor import FLAVOR, log_model
from sparkwater.mlflow.stores import without_passwords
from sparkwater.stacking.automl.stage import AutoML
from sparkwater.stacking.ensemble import StackedEnsemble
from sparkwater.stacking.search.stages import Search

logger = logging.getLogger(__name__)

#: Bases of the estimators whose ``fit`` logs.
_LEARNERS = (RowLearner, SklearnLearner, StackedEnsemble, Search, AutoML)

#: Seconds that a tracking server has for a first answer. MLflow itself tries for minutes.
_ANSWER_SECONDS = 5.0

#: Fits within a fit, such as those of an ensemble's learners, don't log.
_Session = autologging_utils._get_new_training_session_class()


@autologging_integration(FLAVOR)
def autolog(
    log_models: bool = False,
    registered_model_name: str | None = None,
    disable: bool = False,
    exclusive: bool = False,
    silent: bool = False,
    extra_tags: dict[str, str] | None = None,
) -> None:
    """Let each ``fit`` of this package's estimators log to MLflow from now on; driver side.

    As for ``mlflow.pyspark.ml.autolog``, a fit logs to the active run, or to one of its own; the fits within it, of
    an ensemble's learners or a search's trials, don't log. Logged are all Params, those of learners inside included;
    for networks each epoch's metrics while the fit runs (as by ``trackers=["mlflow"]``); the metrics of the
    summary, and its text; and the model where ``log_models`` asks for it. A fit never fails for it: what can't be
    logged is a warning. A server that doesn't answer within 5 seconds is one, before the fit.

    Parameters
    ----------
    log_models : bool
        Whether the model is logged, as by `log_model` with the training rows as its sample: up to 100 of them are
        readable in it.
    registered_model_name : str, optional
        Name in the registry, of which each logged model becomes a new version; it needs ``log_models``.
    disable : bool
        Whether fits stop to log.
    exclusive : bool
        Whether fits within a run of the user's own don't log.
    silent : bool
        Whether MLflow says nothing of it, warnings included.
    extra_tags : dict of str to str, optional
        Tags of the runs that fits make.

    Raises
    ------
    ConfigurationError
        If there is a name in the registry, and models aren't logged.
    """
    del disable, exclusive, silent  # read by MLflow's wrappers
    if registered_model_name is not None and not log_models:
        raise ConfigurationError(
            f"registered_model_name={registered_model_name!r} with log_models=False registers nothing; accepted: "
            "log_models=True"
        )
    for learner in _LEARNERS:
        safe_patch(FLAVOR, learner, "fit", _logging_fit(log_models, registered_model_name, extra_tags or {}))


def _logging_fit(log_models: bool, registered: str | None, extra_tags: dict[str, str]) -> Callable[..., Any]:
    """Return the function that MLflow calls in place of ``fit``; what it raises outside of ``fit`` is a warning."""

    def fit(original: Callable[..., Any], self: Any, dataset: Any, params: Any = None) -> Any:
        with _Session(self, allow_children=False) as session:
            if not session.should_log():
                return original(self, dataset, params)
            if isinstance(params, (list, tuple)):
                logger.warning("fit with a list of Params isn't logged to MLflow; fit them one by one, or by a search")
                return original(self, dataset, params)
            _check_answers(mlflow.get_tracking_uri())
            tags = {**extra_tags, "mlflow.autologging": FLAVOR}
            with nullcontext() if mlflow.active_run() else mlflow.start_run(tags=tags):
                return _fit_in_run(original, self.copy(params) if params else self, dataset, log_models, registered)

    return fit


def _fit_in_run(
    original: Callable[..., Any], estimator: Any, dataset: Any, log_models: bool, registered: str | None
) -> Any:
    kind = type(estimator)
    mlflow.set_tags({"estimator_name": kind.__name__, "estimator_class": f"{kind.__module__}.{kind.__qualname__}"})
    is_tracked = isinstance(estimator, RowLearner)
    if is_tracked:
        others = [name for name in estimator.getTrackers() if name != "mlflow"]
        estimator = estimator.copy().setTrackers([*others, "mlflow"])  # which logs Params, epochs and the text
    else:
        mlflow.log_params(plain_params(estimator))
    model = original(estimator, dataset)
    summary = getattr(model, "summary", None)
    if summary is not None:
        mlflow.log_metrics(summary_metrics(summary), step=model_step(summary))
        if not is_tracked:
            mlflow.log_text(str(summary), "training.txt")
    if log_models:
        _log_model(model, dataset, registered, model_step(summary))
    return model


def _log_model(model: Any, dataset: Any, registered: str | None, step: int) -> None:
    """Log the model; MLflow repeats the metrics of the step as the model's own."""
    try:
        log_model(model, "model", dataset, registered_model_name=registered, step=step)
    except Exception as error:  # of Spark, MLflow or a stage that can't go along: the run is otherwise complete
        logger.warning("the model isn't logged to MLflow: %s", without_passwords(str(error)))


def _check_answers(uri: str) -> None:
    """Refuse a server that can't be reached.

    Raises
    ------
    ConfigurationError
        With its address.
    """
    if not uri.startswith(("http://", "https://")):
        return
    try:
        requests.head(uri, timeout=_ANSWER_SECONDS, allow_redirects=False)
    except requests.exceptions.SSLError:
        return  # it is there; MLflow has settings of its own for certificates
    except requests.exceptions.RequestException as error:
        raise ConfigurationError(
            without_passwords(f"the tracking server {uri!r} doesn't answer, so this fit isn't logged: {error}")
        ) from error
