"""The stages that can go along in a bundle, and their parts of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from sparkwater.bundle.graph.builder import Graph
from sparkwater.errors import ConfigurationError

#: Adds a fitted stage's nodes to a graph: reads its input columns, publishes its output columns.
Emitter = Callable[[Any, Graph], None]

#: The stages inside of a stage, by the name of the learner that they belong to; an empty name for none.
Inner = Callable[[Any], Mapping[str, Iterable[Any]]]

#: Modules of this folder that register emitters, imported at the first use.
MODULES = (
    "features",
    "scalers",
    "linear",
    "learners",
    "trees",
    "pipelines",
    "ensembles",
    "networks.stages",
    "networks.tables",
    "networks.tensors",
)


@dataclass(frozen=True)
class _Entry:
    emitter: Emitter
    inner: Inner | None


_ENTRIES: dict[str, _Entry] = {}


def emits(*stages: str, inner: Inner | None = None) -> Callable[[Emitter], Emitter]:
    """Register an emitter for stages.

    Parameters
    ----------
    *stages : str
        Names of classes with their modules, such as ``pyspark.ml.feature.VectorAssembler``; it is theirs and their
        subclasses'.
    inner : callable or None
        The stages inside, which have emitters of their own.
    """

    def register(emitter: Emitter) -> Emitter:
        _ENTRIES.update(dict.fromkeys(stages, _Entry(emitter, inner)))
        return emitter

    return register


def exportable() -> list[str]:
    """Return the class names of all stages that can go along, sorted."""
    for module in MODULES:
        import_module(f"sparkwater.bundle.export.{module}")
    return sorted(name.rpartition(".")[2] for name in _ENTRIES)


def check_stage(stage: Any, learner: str = "") -> None:
    """Refuse a stage that can't go along, or that holds one; no Spark job runs.

    Parameters
    ----------
    stage : pyspark.ml.Transformer
        The stage.
    learner : str
        Name of the ensemble's learner that it belongs to.

    Raises
    ------
    ConfigurationError
        With the stage's name, and those of all that can go along.
    """
    entry = _find(stage, learner)
    if entry.inner is not None:
        for name, stages in entry.inner(stage).items():
            for one in stages:
                check_stage(one, name or learner)


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
    check_stage(stage)
    _find(stage).emitter(stage, graph)


def _find(stage: Any, learner: str = "") -> _Entry:
    names = exportable()
    for kind in type(stage).__mro__:
        entry = _ENTRIES.get(f"{kind.__module__}.{kind.__qualname__}")
        if entry is not None:
            return entry
    belongs = f" of learner {learner!r}" if learner else ""
    raise ConfigurationError(
        f"{type(stage).__name__}{belongs} can't go along in a bundle; these stages can: {', '.join(names)}. Apply the "
        "others before rows are scored, or leave them out"
    )
