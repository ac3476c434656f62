"""Choice of the network of a table: the recipe's or the user's own, with the layout of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sparkwater.conversions.files.session_files import read_bytes
from sparkwater.conversions.tables.encoding.encoder import TableLayout
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import CheckpointError, ConfigurationError
from sparkwater.gpu.networks import NetworkEntry, check_network, find_network
from sparkwater.gpu.networks.building import build_to_try
from sparkwater.gpu.networks.inputs import network_shape, zero_inputs
from sparkwater.gpu.networks.pretrained import FitState, plan_beginning
from sparkwater.gpu.networks.sources import asked_arguments
from sparkwater.gpu.networks.state_files import fit_names, fit_state, read_state
from sparkwater.gpu.rows.scaling import Scaling

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkwater.ml.params.network import NetworkParams
    from sparkwater.ml.tables.params import TableParams

#: Rows for a trial before the columns are read: with few and many levels, as networks may have a part for each.
ANY_ROW, OTHER_ROW = TableLayout(3, (4, 40)), TableLayout(5, (5, 50))

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
    layout = layout_for(params, ANY_ROW)
    return tried_on(table_network(params, layout), layout, outputs)


def layout_for(params: TableParams, layout: TableLayout) -> TableLayout:
    """Return a layout as the network takes it: all numbers, where it takes no ids."""
    return layout if takes_ids(params) else TableLayout(layout.width, ())


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


def check_beginning(
    spark: SparkSession, params: NetworkParams, network_of: Callable[[TableLayout], NetworkEntry], outputs: int | None
) -> None:
    """Refuse first weights and frozen layers that fit no columns, before they are read; no job runs.

    A registered network is built for two layouts: what both have in common doesn't depend on the columns.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
        The session that reads the file of ``weights``.
    params : NetworkParams
        The learner.
    network_of : callable
        From a layout to the network for its rows.
    outputs : int or None
        Number of outputs; None while it isn't known.

    Raises
    ------
    CheckpointError
        If the weights can't be read, or are of another network.
    ConfigurationError
        If there is no layer of the name that ``freeze`` has.
    """
    source, freeze, network = params.getWeights(), params.getFreeze(), network_of(ANY_ROW)
    state = read_state(read_bytes(spark, source, CheckpointError), source) if source else None
    if network.kind != "registered" or (state is None and freeze == "none"):
        return
    spec, other = TensorSpec("float32", (ANY_ROW.width,)), network_of(OTHER_ROW)
    fit = _fit_to(build_to_try(other, (OTHER_ROW.width,), outputs or 2))
    shape, inputs, origin = network_shape(spec), zero_inputs(spec), f"weights={source!r}"
    plan_beginning(network, shape, inputs, state, origin, freeze, "paper", outputs, fit)


def _fit_to(other: nn.Module) -> FitState:
    """Return a function that refuses weights, but for those that the network has in another shape for other columns."""

    def fit(state: dict[str, torch.Tensor], network: nn.Module, head: str, source: str) -> dict[str, torch.Tensor]:
        own, theirs = network.state_dict(), other.state_dict()
        names = fit_names(list(state), own)
        given = {names[name]: value for name, value in state.items()}
        varying = {
            name: value for name, value in own.items() if name not in theirs or theirs[name].shape != value.shape
        }
        fit_state({**given, **varying}, network, head, source)
        return {}

    return fit


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
