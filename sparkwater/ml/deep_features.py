"""`DeepFeatures`: outputs of layers inside a trained network, as columns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from pyspark import keyword_only
from pyspark.ml import Transformer
from pyspark.ml.param import Param, TypeConverters
from pyspark.ml.param.shared import HasOutputCol, HasOutputCols
from pyspark.ml.util import MLReadable, MLWritable

from sparkwater.conversions.stages.params import with_setters
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.inspection.cuts import PENULTIMATE, POOLINGS, check_cuts, find_cuts, layer_features
from sparkwater.gpu.networks.inference import ready_network
from sparkwater.ml.columns.features import trained_features
from sparkwater.ml.fitted.files import ModelReader, ModelWriter
from sparkwater.ml.params.declaring import declare, refuse_unless
from sparkwater.ml.params.learner import ScoringParams
from sparkwater.ml.scoring.outputs import Output, add_outputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.ml.fitted.network import FittedNetwork

OUTPUT_TYPES = ("vector", "tensor")


class HasFittedNetwork(Protocol):
    """A model with a fitted network."""

    fitted: FittedNetwork

    def getFeaturesCols(self) -> list[str]:
        """Return the features columns."""


def _to_layers(value: Any) -> str | int | list[str | int]:
    layers = value if isinstance(value, (list, tuple)) else [value]
    if not layers or any(isinstance(layer, bool) or not isinstance(layer, (str, int)) for layer in layers):
        raise TypeError(f"layer={value!r}; accepted: a layer's name or position, {PENULTIMATE!r}, or a list of them")
    return list(value) if isinstance(value, (list, tuple)) else value


@with_setters
class DeepFeatures(Transformer, ScoringParams, HasOutputCol, HasOutputCols, MLReadable[Any], MLWritable):
    """Add the outputs of layers inside a trained network for each row.

    There is nothing to learn, so this is a Transformer; the network is no Param, and is saved with it.
    All layers come from one forward pass in evaluation mode, which ends at the last of them. The values
    are those of PyTorch's forward hooks, bit for bit where as many rows go through the network at a time.

    ``transform`` keeps every row, its order within a partition and all its columns.

    Parameters
    ----------
    model : ImageClassifierModel, optional
        Whose network to use, and which columns where none are given; `setModel` sets it as well.
    featuresCol : str
        A column as the model takes it: tensors, pictures or vectors. Default: the model's, else ``features``.
    featuresCols : list of str
        Several of them, for a network of several inputs. Default: the model's.
    layer : str, int or list of these
        Names as in ``named_modules``, such as ``fc1`` or ``layer2.0``, with ``#2`` and so on for a module's
        further calls; positions in the table of `sparkwater.gpu.inspection.describe.describe_network`, from 0;
        ``penultimate`` for the input of the last layer that has weights. Default ``penultimate``.
    outputCol : str
        The column to add for a single layer. Default ``deepFeatures``.
    outputCols : list of str
        The columns to add for a list of layers, in its order.
    pooling : {"flatten", "average", "max"}
        What to take of a map ``(channels, ...)``: all values, row-major, or each channel's mean or
        maximum over all positions. Default ``flatten``.
    outputType : {"vector", "tensor"}
        Dense ML vectors; or tensor columns of float32, in which a map that isn't pooled keeps its shape.
        Default ``vector``.
    handleInvalid : {"error", "skip", "keep"}
        What to do with rows that can't be used: fail and name the first, drop them, or give them nulls.
        Default ``error``.
    idCol : str, optional
        Column that names a row in errors.
    """

    _input_kwargs: dict[str, Any]

    layer: Param[str | int | list[str | int]] = declare(
        "layer", "name or position of a layer, 'penultimate', or a list of them", _to_layers
    )
    pooling: Param[str] = declare(
        "pooling", f"what to take of a layer's map: one of {', '.join(POOLINGS)}", TypeConverters.toString
    )
    outputType: Param[str] = declare(
        "outputType", f"type of the columns to add: one of {', '.join(OUTPUT_TYPES)}", TypeConverters.toString
    )

    @keyword_only
    def __init__(
        self,
        *,
        model: HasFittedNetwork | None = None,
        featuresCol: str = "features",
        featuresCols: list[str] | None = None,
        layer: str | int | list[str | int] = PENULTIMATE,
        outputCol: str = "deepFeatures",
        outputCols: list[str] | None = None,
        pooling: str = "flatten",
        outputType: str = "vector",
        handleInvalid: str = "error",
        idCol: str | None = None,
    ) -> None:
        super().__init__()
        self._setDefault(
            featuresCol="features",
            layer=PENULTIMATE,
            outputCol="deepFeatures",
            pooling="flatten",
            outputType="vector",
            handleInvalid="error",
        )
        self._fitted: FittedNetwork | None = None
        given = dict(self._input_kwargs)
        network = given.pop("model", None)
        if network is not None:
            self.setModel(network)
        self._set(**given)

    @property
    def fitted(self) -> FittedNetwork:
        """The fitted network.

        Raises
        ------
        ConfigurationError
            If there is none.
        """
        if self._fitted is None:
            raise ConfigurationError("DeepFeatures has no network; give it a trained model with setModel(model)")
        return self._fitted

    @fitted.setter
    def fitted(self, fitted: FittedNetwork) -> None:
        self._fitted = fitted

    def setModel(self, model: HasFittedNetwork) -> DeepFeatures:
        """Use a model's network, and its features columns where this stage was given none."""
        fitted = getattr(model, "fitted", None)
        if fitted is None:
            raise ConfigurationError(
                f"model is a {type(model).__name__}; accepted: an ImageClassifierModel, such as the last of a "
                "PipelineModel's stages"
            )
        self._fitted = fitted
        names = model.getFeaturesCols()
        self._setDefault(**({"featuresCol": names[0]} if len(names) == 1 else {"featuresCols": names}))
        return self

    def getLayer(self) -> str | int | list[str | int]:
        """Return the value of ``layer``."""
        return self.getOrDefault(self.layer)

    def getPooling(self) -> str:
        """Return the value of ``pooling``."""
        return self.getOrDefault(self.pooling)

    def getOutputType(self) -> str:
        """Return the value of ``outputType``."""
        return self.getOrDefault(self.outputType)

    def write(self) -> ModelWriter:
        """Return a writer of the parameters, the network and its weights."""
        return ModelWriter(self, self.fitted)

    @classmethod
    def read(cls) -> ModelReader:
        """Return a reader; ``read().allowing("package.module:factory")`` lets it load that network."""
        return ModelReader(cls)

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """Refuse everything that can be known to be wrong, then add the columns."""
        for name, accepted in (("pooling", POOLINGS), ("outputType", OUTPUT_TYPES)):
            refuse_unless(self, name, accepted.__contains__, ", ".join(accepted))
        self.getHandleInvalid()
        trained, pooling = self.fitted.trained, self.getPooling()
        spec = self.fitted.spec
        features = trained_features(dataset.schema, self.getFeaturesCols(), spec)
        layer = self.getLayer()
        layers = layer if isinstance(layer, list) else [layer]
        names = self._output_names(len(layers))
        network = ready_network(trained).network
        cuts = find_cuts(network, spec, layers)
        shapes = check_cuts(network, spec, cuts, pooling)
        outputs = [
            Output(name, self.getOutputType(), TensorSpec("float32", shape))
            for name, shape in zip(names, shapes, strict=True)
        ]
        return add_outputs(dataset, features, outputs, partial(layer_features, trained, cuts, pooling), self)

    def _output_names(self, layers: int) -> list[str]:
        if self.isSet(self.outputCols):
            names: list[str] = self.getOutputCols()
        else:
            names = [self.getOutputCol()]
        if len(names) != layers or len(set(names)) != layers:
            raise ConfigurationError(
                f"layer={self.getLayer()!r} is {layers} layers, to become the columns {names}; set outputCols, with "
                "one name a layer"
            )
        return names
