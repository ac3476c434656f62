"""How fast one device trains here: the package's loop against the plain PyTorch loop, with data resident.

Needs neither Spark nor Horovod. Both loops train the same network on the same random pictures with
the same batch, in turns, in one run; what is printed is rows/s of each and their ratio, so a noisy
machine shows in both.

    python -m sparkwater.gpu.bench [--network lenet] [--batch-size 64 256] [--device auto]
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from sparkwater.gpu.collectives import LocalCommunicator
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.data import RankRows
from sparkwater.gpu.device import DEVICES, select_device
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.scaling import measure_scaling
from sparkwater.gpu.train import train

_SEED, _RATE, _MOMENTUM = 42, 0.01, 0.9


@dataclass(frozen=True)
class Setting:
    """What is trained on what.

    Attributes
    ----------
    network : str
        A registered name.
    shape : tuple of int
        Channels, height and width of the pictures.
    classes, rows, batch_size : int
        Classes, pictures, and pictures of a step.
    device : torch.device
        Where everything is.
    """

    network: str
    shape: tuple[int, ...]
    classes: int
    rows: int
    batch_size: int
    device: torch.device

    def data(self) -> RankRows:
        """Return random pictures, on the device."""
        generator = torch.Generator().manual_seed(_SEED)
        features = torch.randint(0, 256, (self.rows, *self.shape), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, self.classes, (self.rows,), generator=generator)
        return RankRows(features.to(self.device), labels.to(self.device))

    def build(self) -> nn.Module:
        """Return the network, on the device."""
        return build_network(find_network(self.network), self.shape, self.classes, _SEED).to(self.device)


def package_rate(setting: Setting, data: RankRows) -> float:
    """Return rows/s of the package's loop: its second epoch, the first warms up."""
    config = TrainConfig(2, setting.batch_size, "sgd", _RATE, _MOMENTUM, 0.0, "constant", _SEED)
    communicator = LocalCommunicator()
    scaling = measure_scaling(data.blocks(), setting.shape[0], communicator, setting.device)
    state = train(setting.build(), data, scaling, setting.classes, 0, [setting.rows], config, communicator)
    return setting.rows / state.history[-1].seconds


def plain_rate(setting: Setting, data: RankRows) -> float:
    """Return rows/s of a loop as PyTorch's tutorials have it: its second epoch."""
    network = setting.build()
    optimizer = torch.optim.SGD(network.parameters(), lr=_RATE, momentum=_MOMENTUM)
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        for rows in torch.split(torch.randperm(setting.rows, device=setting.device), setting.batch_size):
            inputs = data.features[rows].float().sub_(127.5).div_(73.9)
            optimizer.zero_grad()
            functional.cross_entropy(network(inputs), data.labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if setting.device.type == "cuda":
            torch.cuda.synchronize(setting.device)
        seconds = time.perf_counter() - started
    return setting.rows / seconds


def compare(setting: Setting, rounds: int) -> str:
    """Return a line with the medians of both loops and of their ratio."""
    data = setting.data()
    rates = [(package_rate(setting, data), plain_rate(setting, data)) for _ in range(rounds)]
    ours, plain = (statistics.median(side) for side in zip(*rates, strict=True))
    ratio = statistics.median(mine / other for mine, other in rates)
    return (
        f"{setting.network} {list(setting.shape)}, batch {setting.batch_size}, {setting.device}: sparkwater "
        f"{ours:,.0f} rows/s, plain PyTorch {plain:,.0f} rows/s, ratio {ratio:.2f}"
    )


def main(arguments: list[str] | None = None) -> None:
    """Compare both loops at each batch size, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="lenet", help="a registered network (%(default)s)")
    parser.add_argument(
        "--image-shape", type=int, nargs=3, metavar=("HEIGHT", "WIDTH", "CHANNELS"), help="default: its own"
    )
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--rows", type=int, default=8192, help="pictures (%(default)s)")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    image_shape = given.image_shape or find_network(given.network).image_shape
    if image_shape is None:
        parser.error(f"{given.network} has no shape of its own; give --image-shape HEIGHT WIDTH CHANNELS")
    height, width, channels = image_shape
    device = select_device(given.device, [], 0, 1)
    for batch_size in given.batch_size:
        setting = Setting(given.network, (channels, height, width), given.classes, given.rows, batch_size, device)
        print(compare(setting, given.rounds), flush=True)


if __name__ == "__main__":
    main()
