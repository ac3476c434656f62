"""MLflow: models logged, registered, served and loaded as bundles; fits that log themselves.

This package is the flavour ``sparkwater``: MLflow calls its `save_model` and `_load_pyfunc` by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkwater._lazy import lazy_exports

if TYPE_CHECKING:
    from sparkwater.mlflow.autologging import autolog as autolog
    from sparkwater.mlflow.flavor import load_model as load_model
    from sparkwater.mlflow.flavor import log_model as log_model
    from sparkwater.mlflow.flavor import save_model as save_model
    from sparkwater.mlflow.udf import result_type as result_type
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__,
        {
            "autologging": ("autolog",),
            "flavor": ("load_model", "log_model", "save_model"),
            "udf": ("result_type",),
        },
    )


def _load_pyfunc(path: str, model_config: dict[str, Any] | None = None) -> Any:
    """Return the scorer of a bundle; called by ``mlflow.pyfunc.load_model``, where there may be no Spark."""
    from sparkwater.mlflow.scoring import load_scorer

    return load_scorer(path, **(model_config or {}))
