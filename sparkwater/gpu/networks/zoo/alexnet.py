"""AlexNet."""

from __future__ import annotations

import torch
from torch import nn

from sparkwater.gpu.networks.initialization import initialize
from sparkwater.gpu.networks.registry import register_network
from sparkwater.gpu.networks.zoo.blocks import is_small, named

#: Layers whose biases begin at 1, so that their rectifiers have positive inputs early on.
_BIASED = ("conv2", "conv4", "conv5", "fc1", "fc2")


@register_network("alexnet", image_shape=(224, 224, 3), smallest=15)
def alexnet(shape: tuple[int, ...], classes: int) -> nn.Module:
    """AlexNet in its single-column form; 61,100,840 weights for 224 x 224 colour pictures and 1000 classes.

    After Krizhevsky, Sutskever and Hinton, ImageNet Classification with Deep Convolutional Neural
    Networks, 2012, whose initial weights it has; with the layers of Krizhevsky, One Weird Trick for
    Parallelizing Convolutional Neural Networks, 2014: no grouped convolutions and no response
    normalisation. Below 64 pixels the first convolution is 5 x 5 with stride 1 in place of 11 x 11
    with stride 4, and initial weights are Glorot's: the paper's fixed deviation, made for layers with
    thousands of inputs, would let the signal fade. ``fc1`` sees up to 6 x 6 positions: fewer in small
    pictures, means in large ones. The paper begins with a learning rate of 0.01; no layer is
    normalised, so that larger ones may diverge.
    """
    channels, height, width = shape
    small = is_small(shape)
    rows, columns = (min(6, _positions(size, small)) for size in (height, width))
    network = named(
        conv1=nn.Conv2d(channels, 64, 5, 1, 2) if small else nn.Conv2d(channels, 64, 11, 4, 2),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(3, 2),
        conv2=nn.Conv2d(64, 192, 5, padding=2),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(3, 2),
        conv3=nn.Conv2d(192, 384, 3, padding=1),
        relu3=nn.ReLU(),
        conv4=nn.Conv2d(384, 256, 3, padding=1),
        relu4=nn.ReLU(),
        conv5=nn.Conv2d(256, 256, 3, padding=1),
        relu5=nn.ReLU(),
        pool5=nn.MaxPool2d(3, 2),
        avgpool=nn.AdaptiveAvgPool2d((rows, columns)),
        flatten=nn.Flatten(),
        dropout1=nn.Dropout(0.5),
        fc1=nn.Linear(256 * rows * columns, 4096),
        relu6=nn.ReLU(),
        dropout2=nn.Dropout(0.5),
        fc2=nn.Linear(4096, 4096),
        relu7=nn.ReLU(),
        fc3=nn.Linear(4096, classes),
    )
    return initialize(network, "xavier") if small else _initialized(network)


def _positions(size: int, small: bool) -> int:
    """Return how many positions the last pooling leaves of a height or width."""
    size = size if small else (size - 7) // 4 + 1
    for _ in range(3):
        size = (size - 3) // 2 + 1
    return size


def _initialized(network: nn.Sequential) -> nn.Sequential:
    """Draw the weights as section 5 of the paper says."""
    with torch.no_grad():
        for name, layer in network.named_children():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.weight.normal_(0.0, 0.01)
                layer.bias.fill_(float(name in _BIASED))  # type: ignore[union-attr]
    return network
