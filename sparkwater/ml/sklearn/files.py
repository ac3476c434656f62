"""Estimators as bytes, by skops: no pickle, and no other class than those on a list is made. Free of pyspark."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sparkwater.errors import CheckpointError, ConfigurationError

#: Classes beside those that skops trusts by itself: parts of fitted trees, networks and ensembles, plain containers.
_TRUSTED = frozenset(
    {
        "collections.OrderedDict",
        "numpy.dtype",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "sklearn.utils._bunch.Bunch",
    }
)


def dump_estimator(estimator: Any) -> bytes:
    """Return an estimator as bytes, fitted or not.

    Raises
    ------
    ConfigurationError
        If it holds what skops can't write.
    """
    io = _skops()
    try:
        content: bytes = io.dumps(estimator)
    except Exception as error:
        raise ConfigurationError(
            f"{type(estimator).__name__} can't be written by skops: {type(error).__name__}: {error}"
        ) from error
    return content


def check_portable(estimator: Any) -> None:
    """Refuse an estimator that no other process could read.

    Raises
    ------
    ConfigurationError
        If skops can't write it, or it is of a class that the driver's own program or notebook defines.
    """
    own = [name for name in foreign_types(dump_estimator(estimator), "") if name.startswith("__main__.")]
    if own:
        raise ConfigurationError(
            f"estimator={type(estimator).__name__} needs {own[0]}, which executors can't import; put it into a module "
            "that they have"
        )


def foreign_types(content: bytes, path: str) -> list[str]:
    """Return the classes and functions in an estimator's bytes that need consent; nothing of them is imported.

    Raises
    ------
    CheckpointError
        If the bytes are damaged.
    """
    io = _skops()
    try:
        found: list[str] = io.get_untrusted_types(data=content)
    except Exception as error:
        raise CheckpointError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    return [name for name in found if name not in _TRUSTED]


@lru_cache(maxsize=8)
def read_estimator(content: bytes) -> Any:
    """Return the estimator that bytes hold; once in a process.

    The bytes come from a fit, or their foreign types have had consent.
    """
    io = _skops()
    return io.loads(content, trusted=io.get_untrusted_types(data=content))


def _skops() -> Any:
    try:
        from skops import io
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"estimators of scikit-learn need {error.name}: pip install 'sparkwater[sklearn]', on the executors too"
        ) from error
    return io
