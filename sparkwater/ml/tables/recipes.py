"""Recipes for tables: a network, the scaling of its columns, and defaults of the other Params, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TableRecipe:
    """One recipe.

    Attributes
    ----------
    network : str
        A registered network.
    names : mapping of str to str
        The arguments of its factory that Params give, by the Params' names.
    arguments : mapping of str to Any
        Further arguments of its factory.
    encoding : mapping of str to Any
        Params of `sparkwater.conversions.TableToTensor`.
    params : mapping of str to Any
        Defaults of the learner's Params.
    of_kind : mapping of str to mapping of str to Any
        Defaults that only tasks of one kind have: ``classification`` or ``regression``.
    """

    network: str
    names: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    encoding: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    of_kind: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def defaults(self, kind: str) -> dict[str, Any]:
        """Return the defaults of Params for tasks of a kind."""
        return {**self.params, **self.of_kind.get(kind, {})}


DEFAULT_RECIPE = "mlp"

#: The recipes by name.
RECIPES: dict[str, TableRecipe] = {
    "mlp": TableRecipe(
        network="mlp",
        names={"hidden": "hidden"},
        arguments={"hidden": [256, 256, 256]},
        params={"optimizer": "adamw", "learningRate": 0.002, "batchSize": 256, "epochs": 30.0, "weightDecay": 0.01},
    ),
}
