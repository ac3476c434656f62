"""Recipes for tables: a network, the treatment of columns, and defaults of the other Params, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
        Defaults of the learner's Params of `sparkwater.conversions.tables.params.EncodingParams`.
    params : mapping of str to Any
        Defaults of the learner's Params.
    kinds : mapping of str to Alternative
        Values that tasks of one kind have beside these, or in place of them.
    """

    network: str
    names: Mapping[str, str] = field(default_factory=lambda: {"hidden": "hidden"})
    arguments: Mapping[str, Any] = field(default_factory=dict)
    encoding: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    kinds: Mapping[str, Alternative] = field(default_factory=dict)

    def of(self, kind: str) -> TableRecipe:
        """Return the recipe for tasks of a kind: ``classification`` or ``regression``."""
        own = self.kinds.get(kind, Alternative())
        return replace(
            self,
            arguments={**self.arguments, **own.arguments},
            params={**plain_params(kind), **self.params, **own.params},
            encoding={**PLAIN_ENCODING, **self.encoding},
            kinds={},
        )


@dataclass(frozen=True)
class Alternative:
    """Values of a recipe for one kind of task.

    Attributes
    ----------
    arguments, params : mapping of str to Any
        As in `TableRecipe`.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)


#: Values of the Params that some recipe sets, where another doesn't: one recipe replaces all of another's.
PLAIN: Mapping[str, Any] = {
    "learningRateSchedule": "constant",
    "beta1": 0.9,
    "beta2": 0.999,
    "rho": 0.9,
    "epsilon": 0.0,
    "weightDecaySchedule": "constant",
    "weightAveraging": 0.0,
    "stoppingRounds": 0,
}

#: The same for Params that learners of one kind of task alone have.
PLAIN_OF_KIND: Mapping[str, Mapping[str, Any]] = {"classification": {"labelSmoothing": 0.0}}

#: Values of the Params of the encoding, in the same way. All categories are ids: these networks make flags and
#: embeddings of them, on the device.
PLAIN_ENCODING: Mapping[str, Any] = {
    "scaling": "standard",
    "imputation": "mean",
    "missingIndicator": True,
    "oneHotLevels": 0,
}


def plain_params(kind: str) -> dict[str, Any]:
    """Return the values that Params of learners of a kind have where a recipe says nothing of them."""
    return {**PLAIN, **PLAIN_OF_KIND.get(kind, {})}


# Classes have averaged weights and a trace of smoothing beside the paper's settings: on a thousand rows the last steps
# of a large rate leave a network that is far too sure where it errs, which a hundred rows to validate on don't tell.
REALMLP = TableRecipe(
    network="realmlp",
    encoding={"scaling": "robust", "imputation": "median"},
    params={
        "optimizer": "adamw",
        "learningRateSchedule": "fourCycles",
        "beta2": 0.95,
        "weightDecay": 0.02,
        "weightDecaySchedule": "flatCosine",
        "batchSize": 256,
        "epochs": 64.0,
    },
    kinds={
        "classification": Alternative(
            {"activation": "selu"}, {"learningRate": 0.04, "weightAveraging": 0.99, "labelSmoothing": 0.005}
        ),
        "regression": Alternative({"activation": "mish"}, {"learningRate": 0.2}),
    },
)

TABM = TableRecipe(
    network="tabm",
    encoding={"scaling": "quantile"},
    params={
        "optimizer": "adamw",
        "learningRate": 0.002,
        "weightDecay": 0.0003,
        "batchSize": 256,
        "stoppingRounds": 8,
    },
    # Members' outputs are averaged, for classes too: those of classes in an order, or of several labels, make no
    # distribution, and offsets and class weights are added and corrected on the scale of the link.
    kinds={
        "classification": Alternative(params={"epochs": 40.0}),
        "regression": Alternative(params={"epochs": 20.0}),
    },
)

H2O = TableRecipe(
    network="h2o",
    arguments={"hidden": [200, 200]},
    names={
        "hidden": "hidden",
        "activation": "activation",
        "inputDropoutRatio": "input_dropout",
        "hiddenDropoutRatios": "hidden_dropouts",
    },
    encoding={"missingIndicator": False},
    params={
        "optimizer": "adadelta",
        # H2O steps at each row. Over a batch of 8 its averages decay by 0.99 ** 8, and its steps, which noise rules,
        # add up to one that is longer by the root of 8.
        "learningRate": 2.83,
        "rho": 0.9227,
        "epsilon": 1e-8,
        "weightDecay": 0.0,
        "batchSize": 8,
        "epochs": 10.0,
        "stoppingRounds": 5,
    },
    kinds={"classification": Alternative({"classes": True})},
)

MLP = TableRecipe(
    network="table_mlp",
    encoding={"scaling": "robust", "imputation": "median"},
    params={
        "optimizer": "adamw",
        "learningRate": 0.001,
        "learningRateSchedule": "cosine",
        "weightDecay": 0.01,
        "batchSize": 256,
        "epochs": 40.0,
    },
)

#: The recipes by name.
RECIPES = {"realmlp": REALMLP, "tabm": TABM, "h2o": H2O, "mlp": MLP}
DEFAULT_RECIPE = "realmlp"
