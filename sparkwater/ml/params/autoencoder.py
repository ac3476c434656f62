"""Params of autoencoders: the network's shape, its noise and sparsity, and the columns that scoring adds."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from sparkwater.conversions.stages.accepts import Accepts, above, at_least, between, one_of
from sparkwater.conversions.stages.settings import Setting, setting
from sparkwater.conversions.stages.spark_params import HasInputCols, HasPredictionCol
from sparkwater.conversions.tables.params import EncodingParams
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.autoencoders import ACTIVATIONS
from sparkwater.gpu.tasks import ReconstructionTask
from sparkwater.ml.params.network import HasNetwork
from sparkwater.ml.params.pictures import PictureParams, PictureTrainingParams

#: Params that become arguments of a registered network's factory, by its name.
ARGUMENTS = {
    "autoencoder": {
        "hidden": "hidden", "activation": "activation", "inputDropoutRatio": "input_dropout", "noise": "noise",
    },
    "conv_autoencoder": {"inputDropoutRatio": "input_dropout", "noise": "noise"},
}  # fmt: skip


class ReconstructionColumns(HasInputCols, HasPredictionCol, PictureParams):
    """Params of the columns that an autoencoder reads and adds, which an estimator and its model share."""

    inputCols: Setting[list[str] | None] = setting(  # type: ignore[assignment]
        None,
        "columns of a table in place of featuresCol, as they are: numbers, strings, booleans, dates, timestamps; nulls "
        "too. sparkwater.conversions.TableToTensor says what becomes of each",
    )

    reconstructionErrorCol: Setting[str] = setting(
        "reconstructionError",
        "column of doubles to add: the mean of the errors of a row's entries, as H2O's anomaly. That of a number, as "
        "it is scaled, is its squared difference; that of a flag or a category the cross entropy",
    )
    errorsCol: Setting[str | None] = setting(
        None, "column of vectors to add: the error of each entry, or pixel; their mean is the row's. Without it: none"
    )
    reconstructionCol: Setting[str | None] = setting(
        None,
        "tensor column to add: the row that the network gives back, float32 in the shape and the units of the "
        "features. Without it: none",
    )
    predictionCol: Setting[str] = setting(
        "prediction",
        "column of doubles to add where anomalyThreshold is set: 1 for rows whose error is above the threshold, else 0",
    )

    def getFeaturesCols(self) -> list[str]:
        """Return the columns that are read: those of ``inputCols`` where it is set, else the features columns."""
        return self.getInputCols() or super().getFeaturesCols()


class AutoEncoderParams(PictureTrainingParams, EncodingParams):
    """Params of the training of an autoencoder."""

    network: Setting[str | nn.Module] = setting(
        "autoencoder",
        "autoencoder, of dense layers; conv_autoencoder, of convolutions, for pictures; an import path "
        "'package.module:factory'; or a torch.nn.Module. One of your own gives a row back flattened, scaled as its "
        "input is",
        convert=HasNetwork.declared("network").convert,
    )
    hidden: Setting[list[int]] = setting(
        [256, 8, 256],
        "units of each hidden layer of the network autoencoder, as H2O's",
        accepts=Accepts(lambda sizes: len(sizes) > 0 and min(sizes) >= 1, "a list of integers from 1 up"),
    )
    activation: Setting[str] = setting(
        "rectifier", "activation of the hidden layers of the network autoencoder", accepts=one_of(*ACTIVATIONS)
    )
    inputDropoutRatio: Setting[float] = setting(
        0.0,
        "share of the inputs that is 0 in training, and of the targets none, as H2O's input_dropout_ratio: a denoising "
        "autoencoder",
        accepts=between(0, 1),
    )
    noise: Setting[float] = setting(
        0.0,
        "standard deviation of normal noise that is added to the scaled inputs in training, and to no targets",
        accepts=at_least(0),
    )
    averageActivation: Setting[float] = setting(
        0.0,
        "mean activation that sparsityBeta asks of each hidden unit, as H2O's average_activation: between 0 and 1 for "
        "sigmoid, -1 and 1 for tanh",
        accepts=Accepts(math.isfinite, "finite numbers"),
        field="average_activation",
    )
    sparsityBeta: Setting[float] = setting(
        0.0,
        "weight of the penalty on mean activations of a global batch that aren't averageActivation, as H2O's "
        "sparsity_beta; for bounded activations. See sparkwater.gpu.training.regularizers.sparsity",
        accepts=at_least(0),
        field="sparsity_beta",
    )
    anomalyThreshold: Setting[float | None] = setting(
        None,
        "quantile of the training rows' errors, such as 0.99, above which a row is an anomaly: the share of training "
        "rows that are none. Without it transform adds no prediction",
        accepts=above(0, up_to=1),
    )
    optimizer: Setting[str] = setting(
        "adam", "torch's optimizer", accepts=PictureTrainingParams.declared("optimizer").accepts, field="optimizer"
    )
    learningRate: Setting[float] = setting(
        0.005,
        "step size of the optimizer; never scaled by the number of workers",
        accepts=above(0),
        field="learning_rate",
    )
    weightDecay: Setting[float] = setting(
        0.0, "weight decay of all parameters, as torch's optimizers", accepts=at_least(0), field="weight_decay"
    )
    stoppingMetric: Setting[str] = setting(
        "reconstructionError",
        "metric that decides on stopping and on the best epoch: of the validation rows where there are any, else of "
        "the training rows. mse is of numbers alone, crossEntropy of flags and categories",
        accepts=one_of(*ReconstructionTask.METRICS),
        field="stopping_metric",
    )

    def getNetworkArguments(self) -> dict[str, Any]:
        """Return the arguments of the network's factory: ``networkArguments``, and the Params of its shape."""
        network, given = self.getNetwork(), super().getNetworkArguments()
        names = ARGUMENTS.get(network, {}) if isinstance(network, str) else {}
        return {**{name: self.getOrDefault(param) for param, name in names.items() if self._matters(param)}, **given}

    def _matters(self, param: str) -> bool:
        """Return whether a Param of the network's shape isn't as it is in the factory."""
        return bool(self.getOrDefault(param) != type(self).declared(param).default)

    def check_shape_params(self) -> None:
        """Refuse Params of the network's shape where the network doesn't take them, or has them already.

        Raises
        ------
        ConfigurationError
            With the Param and what to do.
        """
        network, given = self.getNetwork(), super().getNetworkArguments()
        names = ARGUMENTS.get(network, {}) if isinstance(network, str) else {}
        for param in filter(self._matters, ARGUMENTS["autoencoder"]):
            value = f"{param}={self.getOrDefault(param)!r}"
            if self.getWarmStart() is not None:
                raise ConfigurationError(
                    f"{value} and warmStart are both set; a warm start keeps the network: clear it"
                )
            if param not in names:
                takers = " and ".join(taker for taker, taken in ARGUMENTS.items() if param in taken)
                raise ConfigurationError(
                    f"{value} is for the networks {takers}; others take what networkArguments has, so clear it"
                )
            if names[param] in given:
                raise ConfigurationError(f"{value} and networkArguments={given!r} both say it; clear one of them")
