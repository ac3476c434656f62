"""`DeepFeatures`: outputs of layers inside a trained network, as columns."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.ml import Transformer

from sparkwater.conversions.stages.accepts import one_of
from sparkwater.conversions.stages.exported import Exported
from sparkwater.conversions.stages.settings import Argument, Setting, argument, setting
from sparkwater.conversions.stages.spark_params import HasOutputCol, HasOutputCols
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.inspection.cuts import PENULTIMATE, POOLINGS, check_cuts, find_cuts, layer_features
from sparkwater.gpu.networks.inference import ready_network
from sparkwater.ml.fitted.network import fitted_features
from sparkwater.ml.fitted.stage import HoldsNetwork
from sparkwater.ml.params.learner import FeaturesParams, ScoringParams
from sparkwater.ml.scoring.outputs import Output, add_outputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkwater.ml.fitted.network import HasFittedNetwork

OUTPUT_TYPES = ("vector", "tensor")


def _to_layers(value: Any) -> str | int | list[str | int]:
    layers = value if isinstance(value, (list, tuple)) else [value]
    if not layers or any(isinstance(layer, bool) or not isinstance(layer, (str, int)) for layer in layers):
        raise TypeError(f"layer={value!r}; accepted: a layer's name or position, {PENULTIMATE!r}, or a list of them")
    return list(value) if isinstance(value, (list, tuple)) else value


class DeepFeatures(Transformer, ScoringParams, FeaturesParams, HasOutputCol, HasOutputCols, HoldsNetwork, Exported):
    """Add what layers inside a trained network give for each row.

    There is nothing to learn, so this is a Transformer; the network is no Param, and is saved with it.
    All layers come from one forward pass in evaluation mode, which ends at the last of them. The values
    are those of PyTorch's forward hooks, bit for bit where as many rows go through the network at a time.

    ``transform`` keeps every row, its order within a partition and all its columns.
    """

    model: Argument[HasFittedNetwork | None] = argument(
        "a trained model, of pictures or of tables, or an AutoEncoderModel: its network, and its columns where none "
        "are given; setModel sets it as well"
    )
    featuresCol: Setting[str] = setting(
        "features",
        "a column as the model takes it: tensors, pictures or vectors. The model's where there is a model",
    )
    featuresCols: Setting[list[str] | None] = setting(
        None, "several of them, for a network of several inputs. The model's where there is a model"
    )
    layer: Setting[str | int | list[str | int]] = setting(
        PENULTIMATE,
        "name or position of a layer, 'penultimate', or a list of them. Names are as in named_modules, such as fc1 or "
        "layer2.0, with #2 and so on for a module's further calls; positions in the table of "
        "sparkwater.gpu.inspection.describe.describe_network, from 0; penultimate is the input of the last layer that "
        "has weights",
        convert=_to_layers,
    )
    outputCol: Setting[str] = setting("deepFeatures", "the column to add for a single layer")  # type: ignore[assignment]
    outputCols: Setting[list[str] | None] = setting(  # type: ignore[assignment]
        None, "the columns to add for a list of layers, in its order"
    )
    pooling: Setting[str] = setting(
        "flatten",
        "what to take of a map (channels, ...): all values, row-major, or each channel's mean or maximum over all "
        "positions",
        accepts=one_of(*POOLINGS),
    )
    outputType: Setting[str] = setting(
        "vector",
        "type of the columns to add: dense ML vectors; or tensor columns of float32, in which a map that isn't pooled "
        "keeps its shape",
        accepts=one_of(*OUTPUT_TYPES),
    )

    def setModel(self, model: HasFittedNetwork) -> DeepFeatures:
        """Use a model's network, and its features columns where this stage was given none."""
        fitted = getattr(model, "fitted", None)
        if fitted is None:
            raise ConfigurationError(
                f"model is a {type(model).__name__}; accepted: a trained ImageClassifierModel, ImageRegressorModel, "
                "DeepLearningClassifierModel, DeepLearningRegressorModel or AutoEncoderModel, such as the last of a "
                "PipelineModel's stages"
            )
        self.fitted = fitted
        names = model.getFeaturesCols()
        self._setDefault(**({"featuresCol": names[0]} if len(names) == 1 else {"featuresCols": names}))
        return self

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """Refuse everything that can be known to be wrong, then add the columns."""
        self.check_settings()
        trained, pooling = self.fitted.trained, self.getPooling()
        spec = self.fitted.spec
        features = fitted_features(dataset.schema, self.getFeaturesCols(), self.fitted)
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
