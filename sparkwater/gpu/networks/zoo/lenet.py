"""LeNet-5."""

from __future__ import annotations

from torch import nn

from sparkwater.gpu.networks.registry import register_network


@register_network("lenet", image_shape=(28, 28, 1), smallest=16)
def lenet(shape: tuple[int, ...], classes: int, widening: int = 1) -> nn.Module:
    """LeNet-5 in the form that Caffe, MXNet and Deep Water shipped it, with rectifiers.

    Two 5 x 5 convolutions of 20 and 50 filters, each with 2 x 2 max-pooling, and a hidden layer of
    500 units; 431,080 weights for 28 x 28 grey pictures and ten classes. After LeCun, Bottou,
    Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998. With
    ``widening`` there are so many times as many filters and units.
    """
    channels, height, width = shape
    rows, columns = (((size - 4) // 2 - 4) // 2 for size in (height, width))
    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(channels, 20 * widening, 5)),
        ("pool1", nn.MaxPool2d(2)),
        ("relu1", nn.ReLU()),
        ("conv2", nn.Conv2d(20 * widening, 50 * widening, 5)),
        ("pool2", nn.MaxPool2d(2)),
        ("relu2", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(50 * widening * rows * columns, 500 * widening)),
        ("relu3", nn.ReLU()),
        ("fc2", nn.Linear(500 * widening, classes)),
    ]
    network = nn.Sequential()
    for name, layer in layers:
        network.add_module(name, layer)
    return network
