"""`Attributions`: the places of a picture, or the numbers of a row, that speak for an output of a network."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.ml import Transformer

from sparkwater.conversions.stages.accepts import at_least, one_of
from sparkwater.conversions.stages.settings import Argument, Setting, argument, setting
from sparkwater.conversions.stages.spark_params import HasOutputCol
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.inspection.attributions import LAST_MAPS, class_activation_maps, find_maps, integrated_gradients
from sparkwater.gpu.networks.inference import ready_network
from sparkwater.gpu.rows.scaling import PackedScaling, Scaling
from sparkwater.ml.fitted.network import fitted_features
from sparkwater.ml.fitted.stage import HoldsNetwork
from sparkwater.ml.params.learner import FeaturesParams, ScoringParams
from sparkwater.ml.scoring.outputs import Output, add_outputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

    from sparkwater.ml.fitted.network import HasFittedNetwork

GRAD_CAM, INTEGRATED_GRADIENTS = "gradCam", "integratedGradients"


class Attributions(Transformer, ScoringParams, FeaturesParams, HasOutputCol, HoldsNetwork):
    """Add a tensor column that says which parts of a row speak for an output of a trained network.

    ``gradCam`` gives a heat map of the picture's height and width, from 0 up, of the places that speak for a class.
    ``integratedGradients`` gives a number for each number of the row, in the shape of the features: what it adds to, or
    takes from, the output, compared with a row of zeros. Ids, such as tokens, and encoded columns have no way from
    zero, and are refused.

    There is nothing to learn, so this is a Transformer; the network is saved with it. ``transform`` keeps rows, their
    order within a partition and all columns.
    """

    model: Argument[HasFittedNetwork | None] = argument(
        "a model of this package for one features column: its network, and its features column where none is given; "
        "setModel sets it as well"
    )
    featuresCol: Setting[str] = setting(
        "features", "a column as the model takes it: tensors, pictures or vectors. The model's where there is a model"
    )
    method: Setting[str] = setting(
        GRAD_CAM,
        "gradCam: maps of a layer, weighted by the output's gradients. integratedGradients: gradients along the way "
        "from a row of zeros",
        accepts=one_of(GRAD_CAM, INTEGRATED_GRADIENTS),
    )
    target: Setting[int | None] = setting(
        None, "position of the output to explain, such as the class's number; without it the row's largest output",
        accepts=at_least(0),
    )  # fmt: skip
    layer: Setting[str] = setting(
        LAST_MAPS,
        "for gradCam, the layer with maps, named as in DeepFeatures; lastMaps is the last that has some",
    )
    steps: Setting[int] = setting(
        32, "for integratedGradients, points on the way; each costs a forward and a backward pass", accepts=at_least(1)
    )
    outputCol: Setting[str] = setting("attribution", "the tensor column to add, float32")  # type: ignore[assignment]

    def setModel(self, model: HasFittedNetwork) -> Attributions:
        """Use a model's network, and its features column where this stage was given none.

        Raises
        ------
        ConfigurationError
            If it has none of this package, one of several inputs, or one of raw columns.
        """
        fitted = getattr(model, "fitted", None)
        if fitted is None:
            raise ConfigurationError(
                f"model is a {type(model).__name__}; accepted: a model of this package, such as the last of a "
                "PipelineModel's stages"
            )
        if isinstance(fitted.trained.scaling, PackedScaling):
            raise ConfigurationError("the network has several inputs; attributions are for networks of one")
        if fitted.encoder is not None:
            raise ConfigurationError(
                "the model encodes raw columns (inputCols): its network's inputs aren't their values; explain the "
                "columns by shapley_values(model, rows, background)"
            )
        self.fitted = fitted
        self._setDefault(featuresCol=model.getFeaturesCols()[0])
        return self

    def _transform(self, dataset: DataFrame) -> DataFrame:
        """Refuse everything that can be known to be wrong, then add the column."""
        self.check_settings()
        trained = self.fitted.trained
        features = fitted_features(dataset.schema, [self.getFeaturesCol()], self.fitted)
        target = self.getTarget()
        if target is not None and target >= trained.task.outputs:
            raise ConfigurationError(f"target={target}: the network has {trained.task.outputs} outputs, from 0")
        shape, compute = self._computation(target)
        output = Output(self.getOutputCol(), "tensor", TensorSpec("float32", shape))
        return add_outputs(dataset, features, [output], compute, self)

    def _computation(self, target: int | None) -> tuple[tuple[int, ...], Callable[..., Any]]:
        """Return the shape of an attribution, and the function of tensors that computes it."""
        trained = self.fitted.trained
        if self.getMethod() == GRAD_CAM:
            cut = find_maps(ready_network(trained).network, self.fitted.spec, self.getLayer())
            return trained.shape[1:], partial(_maps, trained, cut, target)
        if isinstance(trained.scaling, Scaling) and not trained.scaling.mean:
            raise ConfigurationError(
                "method='integratedGradients' takes pictures and numbers (floats or uint8); the features are ids "
                f"({self.fitted.spec.dtype}), such as tokens, and have no way from zero; shapley_values explains "
                "columns of any kind"
            )
        return trained.shape, partial(_gradients, trained, self.getSteps(), target)


def _maps(*args: Any) -> list[Any]:
    return [class_activation_maps(*args)]


def _gradients(*args: Any) -> list[Any]:
    return [integrated_gradients(*args)]
