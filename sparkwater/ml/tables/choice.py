"""Choice of the network of a table: the recipe's or the user's own, with the layout of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from sparkwater.conversions.tables.encoding.encoder import TableLayout
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks import NetworkEntry, check_network, find_network
from sparkwater.gpu.networks.inputs import network_shape, zero_inputs
from sparkwater.gpu.networks.sources import asked_arguments
from sparkwater.gpu.rows.scaling import Scaling

if TYPE_CHECKING:
    from sparkwater.ml.tables.params import TableParams

#: A row for a trial before the columns are read.
ANY_ROW = TableLayout(numbers=3, categories=(4,))

#: Part of the names of activations by which H2O leaves out half of each hidden layer's units.
_WITH_DROPOUT, _HALF = "_with_dropout", 0.5


def identity_scaling(layout: TableLayout) -> Scaling:
    """Return the scaling that leaves rows as they are: the encoder has scaled them."""
    return Scaling((0.0,) * layout.width, (1.0,) * layout.width)


def takes_ids(params: TableParams) -> bool:
    """Return whether the network takes ids of categories; one that is made already takes what it was made for.

    Raises
    ------
    ConfigurationError
        If there is no such network.
    """
    entry = find_network(params.getNetwork())
    return entry.kind == "instance" or "categories" in asked_arguments(entry)


def table_network(params: TableParams, layout: TableLayout | None) -> NetworkEntry:
    """Return the registry entry of the network for rows of a layout; None for rows that hold numbers only.

    Arguments of the user go first, then those of other Params, then the recipe's. The layout goes to factories that
    ask for it.

    Raises
    ------
    ConfigurationError
        If there is no such network, Params don't go with it, or it takes no ids and the rows have some.
    """
    network, recipe = params.getNetwork(), params.chosen_recipe()
    arguments = {
        **({} if params.isSet("network") else recipe.arguments),
        **_shape_arguments(params),
        **params.getNetworkArguments(),
    }
    if layout is not None:
        entry = find_network(network)
        if layout.categories and not takes_ids(params):
            raise ConfigurationError(
                f"network={entry.name!r} has no argument 'categories', and {len(layout.categories)} columns have too "
                "many levels for a flag each; accepted: a network whose factory takes 'numbers' and 'categories', as "
                "sparkwater.gpu.networks.tables.inputs.TableInput does, or inputCols without them"
            )
        return network_of_layout(network, layout, arguments)
    return find_network(network, arguments)


def network_of_layout(network: str | nn.Module, layout: TableLayout, arguments: Mapping[str, Any]) -> NetworkEntry:
    """Return the registry entry of a network for rows of a layout, which goes to a factory that asks for it.

    Parameters
    ----------
    network : str or torch.nn.Module
        As `sparkwater.gpu.networks.find_network` takes it.
    layout : TableLayout
        The order of a row's entries.
    arguments : mapping of str to Any
        Further arguments of the factory, which go first.

    Raises
    ------
    ConfigurationError
        If there is no such network.
    """
    asked = asked_arguments(find_network(network))
    given = {"numbers": layout.numbers, "categories": list(layout.categories)}
    return find_network(network, {**{name: value for name, value in given.items() if name in asked}, **arguments})


def try_network(params: TableParams, outputs: int | None) -> NetworkEntry:
    """Return the network for some row, before the columns are read; a registered one is tried.

    Parameters
    ----------
    params : TableParams
        The learner.
    outputs : int or None
        Number of outputs; None while it isn't known.

    Raises
    ------
    ConfigurationError
        If there is no such network, or it can't be built with its arguments.
    """
    layout = ANY_ROW if takes_ids(params) else TableLayout(4, ())
    return tried_on(table_network(params, layout), layout, outputs)


def tried_on(network: NetworkEntry, layout: TableLayout, outputs: int | None) -> NetworkEntry:
    """Return a network that was tried on rows of a layout where it is registered.

    Raises
    ------
    ConfigurationError
        If it can't be built, or doesn't take them.
    """
    if network.kind == "registered":  # another may have been made for its columns alone
        spec = TensorSpec("float32", (layout.width,))
        check_network(network, network_shape(spec), outputs, zero_inputs(spec))
    return network


def _shape_arguments(params: TableParams) -> dict[str, Any]:
    """Return the factory's arguments that Params give, or refuse those that the network doesn't have."""
    recipe, given = params.chosen_recipe(), params.shape_settings()
    if not given:
        return {}
    if params.isSet("network"):
        raise ConfigurationError(
            f"{_listed(given)} with network={params.getNetwork()!r}; they are for the networks of recipes: clear them, "
            "and give what the network's factory takes as networkArguments"
        )
    other = {name: value for name, value in given.items() if name not in recipe.names}
    if other:
        raise ConfigurationError(
            f"{_listed(other)} with recipe={params.getRecipe()!r}; accepted there: {', '.join(recipe.names)}"
        )
    return {recipe.names[name]: value for name, value in _without_dropout(given, params).items()}


def _without_dropout(given: dict[str, Any], params: TableParams) -> dict[str, Any]:
    """Return the settings with H2O's activations that say dropout as activation and ratios."""
    name = given.get("activation", "")
    if not name.endswith(_WITH_DROPOUT):
        return given
    hidden = given.get("hidden") or params.chosen_recipe().arguments["hidden"]
    return {
        **given,
        "activation": name.removesuffix(_WITH_DROPOUT),
        "hiddenDropoutRatios": given.get("hiddenDropoutRatios") or [_HALF] * len(hidden),
    }


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
