"""Choice of the network of a table: the recipe's or the user's own, with the layout of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks import NetworkEntry, find_network
from sparkwater.gpu.networks.sources import asked_arguments
from sparkwater.gpu.rows.scaling import Scaling

if TYPE_CHECKING:
    from sparkwater.conversions import TableToTensorModel
    from sparkwater.ml.tables.params import TableParams


@dataclass(frozen=True)
class RowLayout:
    """Layout of an encoded row: numbers, then one id a categorical column.

    Attributes
    ----------
    numbers : int
        Count of the numbers.
    categories : tuple of int
        Number of ids of each categorical column.
    """

    numbers: int
    categories: tuple[int, ...]

    @classmethod
    def of(cls, encoder: TableToTensorModel) -> RowLayout:
        """Return the layout of an encoder's rows."""
        return cls(encoder.numbers, tuple(encoder.categories))

    @property
    def spec(self) -> TensorSpec:
        """The tensor of a row."""
        return TensorSpec("float32", (self.numbers + len(self.categories),))

    @property
    def scaling(self) -> Scaling:
        """The scaling that leaves rows as they are: the encoder has scaled them."""
        return Scaling((0.0,) * self.spec.size, (1.0,) * self.spec.size)

    @property
    def arguments(self) -> dict[str, Any]:
        """The layout as keyword arguments of a network's factory."""
        return {"numbers": self.numbers, "categories": list(self.categories)}


#: A row for trials before the columns are read.
ANY_ROW = RowLayout(3, (4,))


def table_network(params: TableParams, layout: RowLayout | None) -> NetworkEntry:
    """Return the registry entry of the network for rows of a layout; None for rows that hold numbers only.

    Arguments of the user go first, then Params, then the recipe's. The layout goes to factories that ask for it.

    Raises
    ------
    ConfigurationError
        If there is no such network, Params don't go with it, or it takes no categories and the rows have some.
    """
    network, recipe = params.getNetwork(), params.chosen_recipe()
    own = params.isSet(params.network)
    arguments = {**({} if own else recipe.arguments), **_shape_arguments(params), **params.getNetworkArguments()}
    entry = find_network(network)
    asked = asked_arguments(entry)
    if layout is not None and entry.kind != "instance":
        if layout.categories and "categories" not in asked:
            raise ConfigurationError(
                f"network={entry.name!r} takes no argument 'categories', and {len(layout.categories)} of the columns "
                "hold categories; accepted: a network whose factory has the arguments 'numbers' and 'categories', as "
                "sparkwater.gpu.networks.tables.inputs.TableInput takes them, or inputCols of numbers only"
            )
        arguments = {**{name: value for name, value in layout.arguments.items() if name in asked}, **arguments}
    return find_network(network, arguments)


def _shape_arguments(params: TableParams) -> dict[str, Any]:
    """Return the factory's arguments that Params give, or refuse those that the network doesn't have."""
    recipe, given = params.chosen_recipe(), params.shape_settings()
    if not given:
        return {}
    if params.isSet(params.network):
        raise ConfigurationError(
            f"{_listed(given)} with network={params.getNetwork()!r}; they are for the networks of recipes: clear them, "
            "and give what the network's factory takes as networkArguments"
        )
    other = {name: value for name, value in given.items() if name not in recipe.names}
    if other:
        raise ConfigurationError(
            f"{_listed(other)} with recipe={params.getRecipe()!r}; accepted there: "
            f"{', '.join(recipe.names) or 'none of them'}"
        )
    return {recipe.names[name]: value for name, value in given.items()}


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
