"""Initial weights by the rules of He and of Glorot."""

from __future__ import annotations

from torch import nn

from sparkwater.errors import ConfigurationError

#: What `build_network` accepts; ``paper`` leaves the weights that the network's own factory chose.
INITIALIZATIONS = ("paper", "he", "xavier")


def initialize(network: nn.Module, initialization: str) -> nn.Module:
    """Draw a network's weights anew, in place; biases of the same layers become 0.

    Linear layers and convolutions are drawn with torch's generator; all other layers keep what they have.

    Parameters
    ----------
    network : torch.nn.Module
        On any device.
    initialization : {"he", "xavier"}
        ``he``: normal with variance 2 / inputs (He, Zhang, Ren and Sun, Delving Deep into Rectifiers, 2015,
        equation 10). ``xavier``: uniform with variance 2 / (inputs + outputs) (Glorot and Bengio,
        Understanding the Difficulty of Training Deep Feedforward Neural Networks, 2010, equation 16).

    Returns
    -------
    torch.nn.Module
        The same network.
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Linear, nn.modules.conv._ConvNd)):
            if initialization == "he":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def check_initialization(initialization: str) -> None:
    """Refuse an unknown rule.

    Raises
    ------
    ConfigurationError
        With the rules that there are.
    """
    if initialization not in INITIALIZATIONS:
        raise ConfigurationError(
            f"initialization={initialization!r} is unknown; accepted: {', '.join(INITIALIZATIONS)}"
        )
