"""Params of learners of tables: their columns, the recipe, and the network's shape by H2O's names."""

from __future__ import annotations

from typing import Any, ClassVar

from sparkwater.conversions.stages.accepts import Accepts, between, one_of
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.spark_params import HasInputCols
from sparkwater.conversions.tables.params import EncodingParams
from sparkwater.ml.params.network import NetworkParams
from sparkwater.ml.tables.recipes import DEFAULT_RECIPE, RECIPES, TableRecipe

#: Activations by H2O's names; those with dropout leave out half of each hidden layer's units.
ACTIVATIONS = (
    "rectifier", "tanh", "maxout", "rectifier_with_dropout", "tanh_with_dropout", "maxout_with_dropout",
)  # fmt: skip

#: Params that become arguments of a recipe's network.
SHAPE_PARAMS = ("hidden", "activation", "inputDropoutRatio", "hiddenDropoutRatios")


class TableColumns(HasInputCols):
    """Params of the columns of a table, which an estimator and its model share."""

    inputCols: Setting[list[str] | None] = setting(
        None,
        "columns to learn from, as they are: numbers, strings, booleans, dates, timestamps, vectors, tensors; nulls "
        "too. Without it all but the label, those that other Params name, and those that transform adds. "
        "sparkwater.conversions.TableToTensor says what becomes of each",
    )
    featuresCol: Setting[str | None] = setting(
        None, "a tensor column, or ML vectors, of numbers, in place of inputCols: scaled, and not encoded"
    )

    def getFeaturesCols(self) -> list[str]:
        """Return the columns that are read: that of ``featuresCol`` where it is set, else those of ``inputCols``."""
        features = self.getFeaturesCol()
        return [features] if features else self.getInputCols() or []


class TableParams(NetworkParams, TableColumns, EncodingParams):
    """Params of a training on a table. The recipe's values are the defaults of the other Params.

    Attributes
    ----------
    kind : str
        Of the tasks that the learner learns: ``classification`` or ``regression``.
    """

    kind: ClassVar[str]

    recipe: Setting[str] = setting(
        DEFAULT_RECIPE,
        "network, treatment of columns, and defaults of the other Params, which those that are set override. realmlp: "
        "RealMLP-TD (Holzmueller, Grinsztajn and Steinwart 2024); tabm: TabM (Gorishniy, Kotelnikov and Babenko 2024); "
        "h2o: that of H2O's Deep Learning; mlp: a plain one. docs/deep_learning.md lists the values of each",
        accepts=one_of(*RECIPES),
    )
    ignoredCols: Setting[list[str]] = setting(
        [], "columns to leave out where inputCols isn't set, as H2O's ignored_columns"
    )
    hidden: Setting[list[int] | None] = setting(
        None,
        "units of each hidden layer; without it the recipe's",
        accepts=Accepts(lambda sizes: len(sizes) > 0 and min(sizes) >= 1, "a list of integers from 1 up"),
    )
    activation: Setting[str | None] = setting(
        None, "of recipe h2o: activation of hidden units, by H2O's names", accepts=one_of(*ACTIVATIONS)
    )
    inputDropoutRatio: Setting[float | None] = setting(
        None, "of recipe h2o: share of the inputs that is left out in training", accepts=between(0, 1)
    )
    hiddenDropoutRatios: Setting[list[float] | None] = setting(
        None,
        "of recipe h2o: share of each hidden layer's units that is left out in training",
        accepts=Accepts(
            lambda ratios: all(0 <= ratio < 1 for ratio in ratios), "a list of numbers from 0 up to, not including, 1"
        ),
    )

    def __init_subclass__(cls, **options: Any) -> None:
        if hasattr(cls, "kind"):
            cls._class_defaults = _defaults(RECIPES[DEFAULT_RECIPE].of(cls.kind))
        super().__init_subclass__(**options)

    def _set(self, **values: Any) -> Any:
        super()._set(**values)
        if "recipe" in values:
            self._take_defaults()
        return self

    def copy(self, extra: Any = None) -> Any:
        """Return a copy with other values; a ``recipe`` among them brings its defaults."""
        copied = super().copy(extra)
        copied._take_defaults()
        return copied

    def chosen_recipe(self) -> TableRecipe:
        """Return the recipe for tasks of the learner's kind.

        Raises
        ------
        ConfigurationError
            If there is none of its name.
        """
        return RECIPES[self.accepted_value("recipe")].of(self.kind)

    def shape_settings(self) -> dict[str, Any]:
        """Return the values of the Params that become arguments of the recipe's network, where they are set."""
        return {name: self.accepted_value(name) for name in SHAPE_PARAMS if self.isSet(name)}

    def recipe_defaults(self) -> dict[str, Any]:
        """Return the values that the recipe gives to Params of this learner, set ones included."""
        return _defaults(self.chosen_recipe())

    def _take_defaults(self) -> None:
        """Make the recipe's values the defaults of the other Params."""
        if self.getOrDefault("recipe") in RECIPES:  # fit refuses others
            self._setDefault(**self.recipe_defaults())


def _defaults(recipe: TableRecipe) -> dict[str, Any]:
    return {"network": recipe.network, **recipe.params, **recipe.encoding}
