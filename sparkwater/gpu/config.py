"""Hyperparameters of a training, as plain values that travel to the ranks."""

from __future__ import annotations

from dataclasses import dataclass

from sparkwater.gpu.rows.augmentation import Step


@dataclass(frozen=True)
class TrainConfig:
    """Hyperparameters of one training; the estimator's Params explain each.

    Parameters
    ----------
    epochs : float
        Passes over the rows; the last may be a fraction of one.
    batch_size : int
        Rows of a global batch, all ranks together.
    optimizer : str
        One of `sparkwater.gpu.training.optimizers.OPTIMIZERS`.
    learning_rate, weight_decay, beta1, beta2, rho, epsilon : float
        As torch's optimizers take them; an epsilon of 0 is torch's own.
    weight_decay_schedule : str
        One of `sparkwater.gpu.curves.CURVES`, of the weight decay.
    momentum, momentum_start, momentum_ramp, nesterov : float, float, float, bool
        Momentum of SGD: see `sparkwater.gpu.training.schedules.momentum`.
    schedule : str
        One of `sparkwater.gpu.training.schedules.SCHEDULES`, of the learning rate.
    warmup_epochs, annealing, decay_epochs, decay_factor : float
        See `sparkwater.gpu.training.schedules.learning_rate`.
    l1, l2, max_norm, clip_norm, clip_value : float
        See `sparkwater.gpu.training.regularizers.penalties`; 0 for none.
    virtual_adversarial_radius : float
        See `sparkwater.gpu.training.regularizers.adversarial`; 0 for none.
    weight_averaging : float
        Decay of `sparkwater.gpu.training.regularizers.weight_average.WeightAverage`; 0 for none.
    average_activation, sparsity_beta : float
        See `sparkwater.gpu.training.regularizers.sparsity`; 0 for none.
    augmentation : tuple
        Steps of `sparkwater.gpu.rows.augmentation`; none by default.
    head_multiplier : float
        Multiplier of the learning rate for the network's head.
    layer_decay : float
        Factor of the learning rate from each layer to the next one.
    weighted : bool
        Whether rows have weights.
    validation : bool
        Whether rows are held out to validate on.
    validation_fraction : float
        Share of the rows that were chosen for it; 0 where others were.
    stopping_metric, stopping_rounds, stopping_tolerance : str, int, float
        See `sparkwater.gpu.training.stopping.has_converged`; an empty metric is the task's first.
    keep_best : bool
        Whether the trained network is that of the best epoch by the stopping metric.
    max_runtime_secs : float
        Seconds after which it ends with the step under way, or the next one; 0 for no limit.
    precision : str
        One of `sparkwater.gpu.networks.compute.PRECISIONS`.
    gradient_compression : str
        One of `sparkwater.gpu.training.gradients.COMPRESSIONS`.
    compiled : bool
        Whether ``torch.compile`` compiles the network.
    calibrate : bool
        Whether a classification gets a temperature after its training; see `sparkwater.gpu.training.calibration`.
    seed : int
        Seed of initial weights, order and all other random choices.
    """

    epochs: float
    batch_size: int
    optimizer: str
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: str
    seed: int
    nesterov: bool = False
    momentum_start: float = 0.0
    momentum_ramp: float = 0.0
    warmup_epochs: float = 0.0
    annealing: float = 1e-6
    decay_epochs: float = 10.0
    decay_factor: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.999
    rho: float = 0.9
    epsilon: float = 0.0
    weight_decay_schedule: str = "constant"
    l1: float = 0.0
    average_activation: float = 0.0
    sparsity_beta: float = 0.0
    l2: float = 0.0
    max_norm: float = 0.0
    clip_norm: float = 0.0
    clip_value: float = 0.0
    virtual_adversarial_radius: float = 0.0
    weight_averaging: float = 0.0
    augmentation: tuple[Step, ...] = ()
    head_multiplier: float = 1.0
    layer_decay: float = 1.0
    weighted: bool = False
    validation: bool = False
    validation_fraction: float = 0.0
    stopping_metric: str = ""
    stopping_rounds: int = 0
    stopping_tolerance: float = 0.0
    keep_best: bool = False
    max_runtime_secs: float = 0.0
    precision: str = "float32"
    gradient_compression: str = "none"
    compiled: bool = False
    calibrate: bool = False
