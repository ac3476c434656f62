"""Tracking stores and registries: refusal of those that MLflow doesn't know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlflow
from mlflow.tracking.registry import UnsupportedModelRegistryStoreURIException

from sparkwater.errors import ConfigurationError


@contextmanager
def known_stores() -> Iterator[None]:
    """Refuse URIs that MLflow doesn't know, and those that need a package, in place of MLflow's exceptions.

    Raises
    ------
    ConfigurationError
        With both URIs, and what to do.
    """
    try:
        yield
    except mlflow.MlflowException as error:
        unknown = _unknown(error)
        if unknown is None:
            raise
        accepted = ", ".join(repr(scheme) for scheme in sorted(unknown.supported_uri_schemes))
        raise ConfigurationError(
            f"{_uris()}; one of them is none that MLflow knows; accepted schemes: {accepted}. Set them by "
            "mlflow.set_tracking_uri and mlflow.set_registry_uri"
        ) from None  # MLflow's own message has the URI with its password
    except ModuleNotFoundError as error:
        if error.name not in ("sqlalchemy", "alembic", "flask"):
            raise
        raise ConfigurationError(
            f"{_uris()}; a database as the store needs {error.name}: pip install mlflow, or give the address of an "
            "MLflow server"
        ) from error


def check_stores(with_registry: bool) -> None:
    """Refuse stores that a model can't be logged to, before anything is written.

    Parameters
    ----------
    with_registry : bool
        Whether the model is registered as well.

    Raises
    ------
    ConfigurationError
        See `known_stores`.
    MlflowException
        If a store can't be reached.
    """
    with known_stores():
        client = mlflow.MlflowClient()
        if with_registry:
            client.search_registered_models(max_results=1)


def without_passwords(text: str) -> str:
    """Return a URI, or a text with some, with stars in place of users and passwords."""
    return re.sub(r"://(?:[^/\s:@]*:\S*|[^/\s]*)@", "://***@", text)


def _unknown(error: mlflow.MlflowException) -> Any:
    """Return MLflow's refusal of a URI, which it raises as it is or within another exception; None for others."""
    causes = (error, error.__cause__, error.__context__)
    return next((one for one in causes if isinstance(one, UnsupportedModelRegistryStoreURIException)), None)


def _uris() -> str:
    tracking, registry = map(without_passwords, (mlflow.get_tracking_uri(), mlflow.get_registry_uri()))
    return f"the tracking URI is {tracking!r}, the registry URI {registry!r}"
