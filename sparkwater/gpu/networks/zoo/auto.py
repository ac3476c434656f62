"""Default network by the shape of the input."""

from __future__ import annotations

from torch import nn

from sparkwater.gpu.networks.registry import find_registered, register_network

AUTO = "auto"


def resolve_network(name: str, shape: tuple[int, ...]) -> str:
    """Return the name of the network that ``network=name`` means for one shape of inputs.

    ``auto`` is `lenet` for grey pictures from 16 x 16 to 32 x 32 pixels, `convnet` for others from
    8 x 8 up to 64 x 64, `resnet18` for larger ones, and `mlp` for smaller ones and for everything that
    is no picture. The shorter side counts at the lower ends and the longer one at the upper ends.

    Parameters
    ----------
    name : str
        A registered name, which is returned as it is, or ``auto``.
    shape : tuple of int
        Shape of one input; ``(channels, height, width)`` for pictures.

    Raises
    ------
    ConfigurationError
        If no network has this name.
    """
    if name != AUTO:
        find_registered(name)
        return name
    if len(shape) != 3 or min(shape[1:]) < 8:
        return "mlp"
    channels, longer, shorter = shape[0], max(shape[1:]), min(shape[1:])
    if channels == 1 and shorter >= 16 and longer <= 32:
        return "lenet"
    return "convnet" if longer <= 64 else "resnet18"


@register_network(AUTO, image_shape=(224, 224, 3))
def auto(shape: tuple[int, ...], classes: int) -> nn.Module:
    """Build the network that suits an input: see `resolve_network`."""
    return find_registered(resolve_network(AUTO, shape)).factory(shape, classes)
