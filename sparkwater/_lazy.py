"""Lazy imports of a package's public names, at their first use (PEP 562).

Importing ``sparkwater.conversions`` must not load pyspark on a rank, nor torch on a driver. A module that isn't
installed is named with the extra that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

#: Packages that an extra installs, and the smallest extra that does.
_EXTRAS = {
    **dict.fromkeys(("onnx", "onnxscript"), "export"),
    **dict.fromkeys(("sklearn", "skops"), "sklearn"),
    "onnxruntime": "scorer",
    "optuna": "search",
    "mlflow": "mlflow",
    "matplotlib": "plots",
    **dict.fromkeys(("fastapi", "nicegui", "uvicorn"), "flow"),
    "horovod": "horovod",
    "petastorm": "petastorm",
    **dict.fromkeys(
        ("fsspec", "pandas", "psutil", "py4j", "pyarrow", "pyspark", "safetensors", "scipy", "torch", "tqdm"), "spark"
    ),
    "typing_extensions": "spark",
}


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` for a package.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    modules : mapping of str to sequence of str
        For each submodule the public names that it defines.
    """
    home = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(f"{package}.{home[name]}"), name)
        except ModuleNotFoundError as error:
            raise _with_extra(error, f"{package}.{name}") from error

    names = sorted(home)
    return get, lambda: names, names


def _with_extra(error: ModuleNotFoundError, name: str) -> ModuleNotFoundError:
    """Return the error with what to install, where an extra has the module."""
    module = (error.name or "").split(".")[0]
    if module not in _EXTRAS:
        return error
    return ModuleNotFoundError(
        f"{name} needs {module}, which isn't installed: pip install 'sparkwater[{_EXTRAS[module]}]'", name=error.name
    )
