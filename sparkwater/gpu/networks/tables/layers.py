"""Layers of RealMLP: linear ones in the neural tangent parametrisation, scales, learned activations, and dropout.

Their source, and that of the factors of learning rates and decay, is Holzmüller, Grinsztajn and Steinwart, Better by
Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular Data, 2024, section 3 and table A.1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.curves import CURVES
from sparkwater.gpu.networks.treatment import Treatment


def mish(rows: torch.Tensor) -> torch.Tensor:
    """Return `torch.nn.functional.mish`, ``x * tanh(log(1 + exp(x)))``, by one exponential, which is faster."""
    exponentials = rows.clamp(max=_EXACT_FROM).exp()
    products = exponentials * (exponentials + 2)
    return rows * (products / (products + 2))


#: Mish is the identity in float32 from here on.
_EXACT_FROM = 20.0

#: Activations by name.
ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "selu": functional.selu,
    "mish": mish,
    "relu": functional.relu,
    "silu": functional.silu,
    "gelu": functional.gelu,
}


class TangentLinear(nn.Module):
    """Linear layer in the neural tangent parametrisation: the root of the number of inputs divides its products.

    Weights are then of the size 1 in layers of all widths, and one learning rate suits them all. Biases learn at a
    tenth of the rate, and don't decay.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of inputs and outputs.

    Attributes
    ----------
    weight : torch.nn.Parameter
        ``(outputs, inputs)``; normal, deviation 1, to begin with.
    bias : torch.nn.Parameter
        ``(outputs,)``, 0 to begin with.
    factor : float
        ``inputs ** -0.5``.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.factor = inputs**-0.5

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``(rows, outputs)`` of ``(rows, inputs)``."""
        return torch.addmm(self.bias, rows, self.weight.t(), alpha=self.factor)

    def treatments(self) -> dict[str, Treatment]:
        """Return the treatment of the biases."""
        return {"bias": Treatment(rate=0.1, decay=0.0)}

    def fit(self, rows: torch.Tensor) -> None:
        """Scale the weights so that each output of some rows has the deviation 1, and set biases within the outputs.

        A bias becomes the negative of a random mean of five rows' outputs, so that each unit's kink is among the rows
        (``he+5`` of Steinwart, A Sober Look at Neural Network Initializations, 2019).
        """
        with torch.no_grad():
            products = functional.linear(rows, self.weight) * self.factor
            deviations = products.std(dim=0, correction=0).clamp(min=1e-6)
            self.weight.div_(deviations.unsqueeze(1))
            shares = torch.empty(_KINK_ROWS, len(self.bias), device=rows.device).exponential_()
            chosen = torch.randint(len(rows), shares.shape, device=rows.device)
            means = (products.gather(0, chosen) * shares).sum(dim=0) / shares.sum(dim=0)
            self.bias.copy_(-means / deviations)


#: Rows whose random mean a bias is.
_KINK_ROWS = 5


class FeatureScale(nn.Module):
    """A learned factor of each feature, at six times the learning rate: a soft choice of features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the scaled rows."""
        return rows * self.weight

    def treatments(self) -> dict[str, Treatment]:
        """Return the treatment of the factors."""
        return {"weight": Treatment(rate=6.0)}


class LearnedActivation(nn.Module):
    """An activation of which each unit learns its share: ``x + share * (activation(x) - x)``, 1 to begin with.

    Raises
    ------
    ConfigurationError
        If there is no activation of that name.
    """

    def __init__(self, name: str, units: int) -> None:
        super().__init__()
        self.activation = activation_of(name)
        self.share = nn.Parameter(torch.ones(units))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the activated rows."""
        return torch.lerp(rows, self.activation(rows), self.share)

    def treatments(self) -> dict[str, Treatment]:
        """Return the treatment of the shares."""
        return {"share": Treatment(rate=0.1)}


def activation_of(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return an activation.

    Raises
    ------
    ConfigurationError
        If there is none of that name.
    """
    if name not in ACTIVATIONS:
        raise ConfigurationError(f"activation={name!r} is unknown; accepted: {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]


class ScheduledDropout(nn.Module):
    """Dropout whose probability follows a curve over the training; none when scoring.

    On a processor it takes less than half the time of torch's.

    Parameters
    ----------
    probability : float
        The curve's factor; in [0, 1).
    curve : str
        One of `sparkwater.gpu.curves.CURVES`.

    Raises
    ------
    ConfigurationError
        If one of them isn't.
    """

    probability: torch.Tensor

    def __init__(self, probability: float, curve: str = "flatCosine") -> None:
        super().__init__()
        if not 0 <= probability < 1 or curve not in CURVES:
            raise ConfigurationError(
                f"dropout={probability!r} by the curve {curve!r}; accepted: numbers from 0 up to, not including, 1, "
                f"and the curves {', '.join(CURVES)}"
            )
        self.first, self.curve = probability, curve
        # A tensor: torch.compile would compile anew for each number.
        self.register_buffer("probability", torch.tensor(float(probability)), persistent=False)

    def set_progress(self, share: float) -> None:
        """Follow the curve to a share of the training."""
        self.probability.fill_(self.first * CURVES[self.curve](share))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the rows, in training with some values 0 and the others larger."""
        if not self.training or not self.first:
            return rows
        factors = torch.rand_like(rows).ge_(self.probability).div_(1 - self.probability)
        return rows * factors
