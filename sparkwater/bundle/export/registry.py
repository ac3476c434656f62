"""The stages that can go along in a bundle, and their parts of a graph."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from sparkwater.bundle.graph.builder import Graph
from sparkwater.errors import ConfigurationError

#: Adds a fitted stage's nodes to a graph: reads its input columns, publishes its output columns.
Emitter = Callable[[Any, Graph], None]

#: Modules of this folder that register emitters, imported at the first use.
MODULES = ("networks", "tables", "tensors")

_EMITTERS: dict[str, Emitter] = {}


def emits(*stages: str) -> Callable[[Emitter], Emitter]:
    """Register an emitter for stages.

    Parameters
    ----------
    *stages : str
        Names of classes with their modules, such as ``pyspark.ml.feature.VectorAssembler``.
    """

    def register(emitter: Emitter) -> Emitter:
        _EMITTERS.update(dict.fromkeys(stages, emitter))
        return emitter

    return register


def exportable() -> list[str]:
    """Return the class names of all stages that can go along."""
    for module in MODULES:
        import_module(f"sparkwater.bundle.export.{module}")
    return sorted(name.rpartition(".")[2] for name in _EMITTERS)


def check_stage(stage: Any) -> Emitter:
    """Return the emitter of a stage.

    Raises
    ------
    ConfigurationError
        If the stage can't go along; with those that can.
    """
    names = exportable()
    for kind in type(stage).__mro__:
        emitter = _EMITTERS.get(f"{kind.__module__}.{kind.__qualname__}")
        if emitter is not None:
            return emitter
    raise ConfigurationError(
        f"{type(stage).__name__} can't go along in a bundle; these stages can: {', '.join(names)}; apply the others "
        "before the rows are scored"
    )


def emit(stage: Any, graph: Graph) -> None:
    """Add a fitted stage to a graph: its input columns are read, its output columns published.

    Parameters
    ----------
    stage : pyspark.ml.Transformer
        The stage.
    graph : Graph
        The graph.

    Raises
    ------
    ConfigurationError
        If the stage can't go along.
    SchemaError
        If a column is missing, or has another kind.
    """
    check_stage(stage)(stage, graph)
