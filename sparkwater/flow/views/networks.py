"""Networks drawn: of trained models, and of estimators before their fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkwater.errors import ConfigurationError
from sparkwater.flow.views.data_urls import SVG, data_url
from sparkwater.flow.views.numbers import count_text
from sparkwater.flow.views.tables import Table, table_of
from sparkwater.gpu.inspection.describe import describe_entry
from sparkwater.ml.network_learner import RowLearner

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.gpu.inspection.describe import NetworkDescription

#: Outputs of a classifier's network before its labels are counted.
CLASSES = 10


@dataclass(frozen=True)
class Drawing:
    """Drawing of a network, and the table of its layers.

    Attributes
    ----------
    title : str
        Name and shape of its input.
    words : str
        Number of layers, parameters and multiply-adds.
    url : str
        The drawing as a ``data:`` URL of SVG.
    layers : Table
        The layers.
    """

    title: str
    words: str
    url: str
    layers: Table


def drawing_of(network: NetworkDescription) -> Drawing:
    """Return the drawing of a described network."""
    svg = network.to_svg()
    rows = [
        (layer.name, layer.type, " x ".join(map(str, layer.output_shape)), layer.parameters, layer.multiply_adds)
        for layer in network.layers
    ]
    size = " x ".join(map(str, network.input_shape))
    return Drawing(
        title=f"{network.name}, rows of {size}",
        words=f"{len(rows)} layers, {count_text(network.parameters)} parameters, "
        f"{count_text(network.multiply_adds)} multiply-adds a row",
        url=data_url(SVG, svg[svg.index("<svg") :].encode()),
        layers=table_of("Layers", ("layer", "type", "output", "parameters", "multiply-adds"), rows),
    )


def planned_network(estimator: Any, frame: DataFrame) -> NetworkDescription:
    """Return the network that a fit on a frame would train; it reads the schema alone.

    Classes aren't counted: a classifier's network is drawn with 10 outputs.

    Raises
    ------
    ConfigurationError, SchemaError
        If the frame or the Params don't go with it, or it follows from the rows.
    """
    if not isinstance(estimator, RowLearner):
        raise ConfigurationError(f"{type(estimator).__name__} is no network, so there is nothing to draw")
    choice = estimator.choose_network(frame)
    if choice.features.kind == "table" and choice.features.encoder is None:
        raise ConfigurationError("the network follows from the columns of the table; the trained model shows it")
    if choice.warm_start is not None:
        outputs = choice.warm_start.identity.task.outputs
    elif estimator.kind == "reconstruction":
        outputs = choice.features.spec.size
    else:
        outputs = CLASSES if estimator.kind == "classification" else 1
    return describe_entry(choice.network, choice.features.spec, outputs)
