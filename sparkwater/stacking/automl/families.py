"""Families of learners: the first tries of each, and the space that is searched around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.ml import Estimator

from sparkwater.stacking.automl.data import Inputs, LabelFacts
from sparkwater.stacking.level_one.learners import CLASSIFICATION, last_stage

#: Names of the families, from cheap to dear.
FAMILIES = ("glm", "forest", "boosting", "mlp", "realmlp", "tabm", "lenet", "convnet", "pretrained")


@dataclass(frozen=True)
class Family:
    """Learners of one kind.

    Attributes
    ----------
    name : str
        Its name, and that of its first learner.
    make : callable
        It gets values by name, and returns the learner with them; the first one to try without any.
    space : mapping of str to object
        The values to search: lists, and frozen distributions of `scipy.stats`.
    """

    name: str
    make: Callable[[Mapping[str, Any]], Estimator[Any]]
    space: Mapping[str, Any]


@dataclass(frozen=True)
class Setup:
    """Settings that learners of all families have in common.

    Attributes
    ----------
    label : LabelFacts
        Facts on the label.
    inputs : Inputs
        The columns to learn from.
    labelCol : str
        The label.
    seed : int
        Seed of everything random.
    numWorkers : int
        Workers of a network's fit.
    imageShape : list of int or None
        Height, width and channels of pictures to decode.
    """

    label: LabelFacts
    inputs: Inputs
    labelCol: str
    seed: int
    numWorkers: int
    imageShape: list[int] | None = None

    @property
    def is_classification(self) -> bool:
        """True for classes, False for numbers."""
        return self.label.kind == CLASSIFICATION


def choose(families: Sequence[Family], include: Sequence[str], exclude: Sequence[str]) -> list[Family]:
    """Return the families to try: those included, or all, without those excluded."""
    return [one for one in families if (not include or one.name in include) and one.name not in exclude]


def with_params(estimator: Estimator[Any]) -> Callable[[Mapping[str, Any]], Estimator[Any]]:
    """Return a function that copies an estimator with other Params, by name, of its last stage."""

    def make(values: Mapping[str, Any]) -> Estimator[Any]:
        last = last_stage(estimator)
        return estimator.copy({last.getParam(name): value for name, value in values.items()})

    return make
