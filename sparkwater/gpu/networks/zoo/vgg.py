"""VGG with 11 and with 16 layers."""

from __future__ import annotations

from torch import nn

from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.zoo.blocks import named

_FILTERS = (64, 128, 256, 512, 512)


@register_network("vgg11", image_shape=(224, 224, 3), smallest=16)
def vgg11(shape: tuple[int, ...], classes: int) -> nn.Module:
    """VGG's configuration A; 132,863,336 weights for 224 x 224 colour pictures and 1000 classes.

    After Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition,
    2015. Layers are named by block: ``conv3_2`` is the second convolution before the third pooling.
    Initial weights are Glorot's, by which the paper trains without a smaller network's help. Below 32
    pixels the first pooling is left out. ``fc1`` sees up to 7 x 7 positions: fewer in small pictures,
    means in large ones.
    """
    return _vgg(shape, classes, (1, 1, 2, 2, 2))


@register_network("vgg16", image_shape=(224, 224, 3), smallest=16)
def vgg16(shape: tuple[int, ...], classes: int) -> nn.Module:
    """VGG's configuration D; 138,357,544 weights for 224 x 224 colour pictures and 1000 classes.

    The same as `vgg11` in everything but the number of convolutions.
    """
    return _vgg(shape, classes, (2, 2, 3, 3, 3))


def _vgg(shape: tuple[int, ...], classes: int, convolutions: tuple[int, ...]) -> nn.Module:
    channels, height, width = shape
    small = min(height, width) < 32
    layers: dict[str, nn.Module] = {}
    for block, (filters, count) in enumerate(zip(_FILTERS, convolutions, strict=True), start=1):
        for number in range(1, count + 1):
            layers[f"conv{block}_{number}"] = nn.Conv2d(channels, filters, 3, padding=1)
            layers[f"relu{block}_{number}"] = nn.ReLU()
            channels = filters
        if block > 1 or not small:
            layers[f"pool{block}"] = nn.MaxPool2d(2)
    rows, columns = (min(7, size // (16 if small else 32)) for size in (height, width))
    network = named(
        **layers,
        avgpool=nn.AdaptiveAvgPool2d((rows, columns)),
        flatten=nn.Flatten(),
        fc1=nn.Linear(channels * rows * columns, 4096),
        relu6=nn.ReLU(),
        dropout1=nn.Dropout(0.5),
        fc2=nn.Linear(4096, 4096),
        relu7=nn.ReLU(),
        dropout2=nn.Dropout(0.5),
        fc3=nn.Linear(4096, classes),
    )
    return initialize(network, "xavier")
