"""Params of the training recipe: optimizer, schedules, penalties and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparkwater.conversions.stages.accepts import above, at_least, between, one_of
from sparkwater.conversions.stages.settings import Setting, Settings, setting
from sparkwater.conversions.tensors.spec import TensorSpec, parts_of
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.curves import CURVES
from sparkwater.gpu.rows.scaling import is_scaled
from sparkwater.gpu.training.optimizers import OPTIMIZERS
from sparkwater.gpu.training.schedules import SCHEDULES

#: What Params of one optimizer, and of one schedule, are for.
SGD, ADAM = {"optimizer": ("sgd",)}, {"optimizer": ("adam", "adamw")}
STEPS = {"learningRateSchedule": ("step",)}


class RecipeParams(Settings):
    """Params of optimizer, schedules, penalties and limits."""

    optimizer: Setting[str] = setting("sgd", "torch's optimizer", accepts=one_of(*OPTIMIZERS), field="optimizer")
    learningRate: Setting[float] = setting(
        0.05,
        "step size of the optimizer; never scaled by the number of workers",
        accepts=above(0),
        field="learning_rate",
    )
    learningRateSchedule: Setting[str] = setting(
        "cosine",
        "schedule of the learning rate from step to step; cosine falls to 0 over the training. See "
        "sparkwater.gpu.training.schedules.learning_rate",
        accepts=one_of(*SCHEDULES),
        field="schedule",
    )
    warmupEpochs: Setting[float] = setting(
        0.0,
        "epochs in which the learning rate rises linearly, before the schedule begins",
        accepts=at_least(0),
        field="warmup_epochs",
    )
    learningRateAnnealing: Setting[float] = setting(
        1e-6,
        "of the schedule annealing, as in H2O: rate / (1 + learningRateAnnealing * rows visited)",
        accepts=at_least(0),
        field="annealing",
        only_with={"learningRateSchedule": ("annealing",)},
    )
    decayEpochs: Setting[float] = setting(
        10.0,
        "of the schedule step: epochs between two falls of the rate",
        accepts=above(0),
        field="decay_epochs",
        only_with=STEPS,
    )
    decayFactor: Setting[float] = setting(
        0.1,
        "of the schedule step: factor of each fall of the rate",
        accepts=above(0, up_to=1),
        field="decay_factor",
        only_with=STEPS,
    )
    momentum: Setting[float] = setting(
        0.9,
        "momentum of sgd; where there is a ramp, the one at its end: H2O's momentum_stable",
        accepts=between(0, 1),
        field="momentum",
        only_with=SGD,
    )
    momentumStart: Setting[float] = setting(
        0.0,
        "momentum of sgd where its ramp begins",
        accepts=between(0, 1),
        field="momentum_start",
        only_with=SGD,
    )
    momentumRamp: Setting[float] = setting(
        0.0,
        "rows over which momentum goes from momentumStart to momentum; 0 for no ramp",
        accepts=at_least(0),
        field="momentum_ramp",
        only_with=SGD,
    )
    nesterov: Setting[bool] = setting(False, "Nesterov's momentum, for sgd", field="nesterov", only_with=SGD)
    beta1: Setting[float] = setting(
        0.9,
        "of adam and adamw: decay of the mean of the gradients",
        accepts=between(0, 1),
        field="beta1",
        only_with=ADAM,
    )
    beta2: Setting[float] = setting(
        0.999,
        "of adam and adamw: decay of the mean of their squares",
        accepts=between(0, 1),
        field="beta2",
        only_with=ADAM,
    )
    rho: Setting[float] = setting(
        0.9,
        "of adadelta: decay of the means of squares; H2O's is 0.99",
        accepts=between(0, 1),
        field="rho",
        only_with={"optimizer": ("adadelta",)},
    )
    epsilon: Setting[float] = setting(
        0.0,
        "of all optimizers but sgd: a small number in the divisor; 0 for torch's own, 1e-6 for adadelta and else 1e-8",
        accepts=at_least(0),
        field="epsilon",
        only_with={"optimizer": tuple(name for name in OPTIMIZERS if name != "sgd")},
    )
    layerRateDecay: Setting[float] = setting(
        1.0,
        "factor of the learning rate from each layer to the next one, from the first on: H2O's rate_decay",
        accepts=above(0),
        field="layer_decay",
    )
    weightDecay: Setting[float] = setting(
        0.0005,
        "weight decay, as torch's optimizers: of all parameters, but for those that a network for tables leaves out, "
        "such as its biases",
        accepts=at_least(0),
        field="weight_decay",
    )
    weightDecaySchedule: Setting[str] = setting(
        "constant",
        "schedule of the weight decay; flatCosine falls to 0 in the second half of the training",
        accepts=one_of(*CURVES),
        field="weight_decay_schedule",
    )
    l1: Setting[float] = setting(
        0.0,
        "L1 penalty: factor of the sum of the weights' absolute values, without biases",
        accepts=at_least(0),
        field="l1",
    )
    l2: Setting[float] = setting(
        0.0,
        "L2 penalty: factor of half the sum of the weights' squares, without biases, as in H2O; a part of the loss, "
        "which weightDecay of adamw is not",
        accepts=at_least(0),
        field="l2",
    )
    maxNorm: Setting[float] = setting(
        0.0,
        "largest Euclidean norm of a unit's incoming weights; 0 for no limit; the root of H2O's max_w2",
        accepts=at_least(0),
        field="max_norm",
    )
    clipNorm: Setting[float] = setting(
        0.0, "largest Euclidean norm of all gradients together; 0 for no limit", accepts=at_least(0), field="clip_norm"
    )
    clipValue: Setting[float] = setting(
        0.0, "largest absolute value of a gradient; 0 for no limit", accepts=at_least(0), field="clip_value"
    )
    virtualAdversarialRadius: Setting[float] = setting(
        0.0,
        "virtual adversarial training (Miyato, Maeda, Koyama and Ishii 2018): predictions are kept from changing "
        "within this Euclidean distance of each row, in units of the scaled inputs; 0 for none. A step takes about "
        "three times as long. See sparkwater.gpu.training.regularizers.adversarial",
        accepts=at_least(0),
        field="virtual_adversarial_radius",
    )
    weightAveraging: Setting[float] = setting(
        0.0,
        "decay of a moving average of the weights from step to step, such as 0.998; 0 for none. The averaged network "
        "is the one that is validated and kept. See sparkwater.gpu.training.regularizers.weight_average",
        accepts=between(0, 1),
        field="weight_averaging",
    )

    def check_moves(self, spec: TensorSpec, arguments: Mapping[str, Any]) -> None:
        """Refuse virtual adversarial training of a network whose inputs are all ids.

        Parameters
        ----------
        spec : TensorSpec
            Tensor of a row.
        arguments : mapping of str to Any
            Of the network's factory.

        Raises
        ------
        ConfigurationError
            With the inputs.
        """
        radius = self.getVirtualAdversarialRadius()
        if radius and (arguments.get("numbers") == 0 or not any(map(is_scaled, parts_of(spec)))):
            raise ConfigurationError(
                f"virtualAdversarialRadius={radius} moves inputs that are numbers; the features, {spec}, are ids only"
            )
