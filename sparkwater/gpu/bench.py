"""Training throughput on one device: the package's loop against the plain PyTorch loop.

Needs neither Spark nor Horovod. Both loops train the same network on the same random pictures with
the same batch, in turns, in one run; the result is rows/s of each and their ratio, so a noisy
machine shows in both. The plain loop runs in PyTorch's default memory layout, and in the one that the
package chose if that is another. Data is resident on the device, or with ``--host-data`` in the host's
memory, as where a GPU has no room for it.

    python -m sparkwater.gpu.bench [--network lenet] [--batch-size 64 256] [--device auto] [--precision float32]
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from sparkwater.gpu.collective.communicator import LocalCommunicator
from sparkwater.gpu.collective.world import Place
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.device import DEVICES, select_device
from sparkwater.gpu.networks import build_network, find_network
from sparkwater.gpu.networks.compute import PRECISIONS, Compute, choose_layout, in_layout, loss_scaler
from sparkwater.gpu.rows.held import RankRows
from sparkwater.gpu.rows.scaling import measure_scaling
from sparkwater.gpu.tasks import ClassificationTask
from sparkwater.gpu.training.kept_memory import kept_heap
from sparkwater.gpu.training.loop import train

_SEED, _RATE, _MOMENTUM = 42, 0.01, 0.9


@dataclass(frozen=True)
class Setting:
    """The network, pictures and device of a benchmark.

    Attributes
    ----------
    network : str
        A registered name.
    shape : tuple of int
        Channels, height and width of the pictures.
    classes, rows, batch_size : int
        Classes, pictures, and pictures of a step.
    device : torch.device
        The device of the network, and of the pictures unless `on_host`.
    precision : str
        One of `sparkwater.gpu.networks.compute.PRECISIONS`.
    on_host : bool
        Whether the pictures stay in the host's memory.
    """

    network: str
    shape: tuple[int, ...]
    classes: int
    rows: int
    batch_size: int
    device: torch.device
    precision: str = "float32"
    on_host: bool = False

    def data(self) -> RankRows:
        """Return random pictures."""
        generator = torch.Generator().manual_seed(_SEED)
        features = torch.randint(0, 256, (self.rows, *self.shape), dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, self.classes, (self.rows,), generator=generator)
        place = torch.device("cpu") if self.on_host else self.device
        return RankRows(features.to(place), labels.to(place))

    def build(self) -> nn.Module:
        """Return the network, on the device."""
        return build_network(find_network(self.network), self.shape, self.classes, _SEED).to(self.device)

    def arrange(self, network: nn.Module) -> torch.memory_format:
        """Give a network the layout that the package chooses, and return it."""
        inputs = torch.zeros((2, *self.shape), device=self.device)
        return choose_layout(network, inputs, self.device, self.precision)


def package_rate(setting: Setting, data: RankRows) -> float:
    """Return rows/s of the package's loop: its second epoch, the first warms up."""
    config = TrainConfig(
        epochs=2,
        batch_size=setting.batch_size,
        optimizer="sgd",
        learning_rate=_RATE,
        momentum=_MOMENTUM,
        weight_decay=0.0,
        schedule="constant",
        seed=_SEED,
        precision=setting.precision,
    )
    communicator = LocalCommunicator()
    scaling = measure_scaling(data.blocks(), setting.shape[0], communicator, setting.device)
    network = setting.build()
    layout = setting.arrange(network)
    compute = Compute(network, scaling, setting.device, layout, setting.precision)
    task = ClassificationTask.numbered(setting.classes)
    with kept_heap():
        state = train(compute, data, task, Place(0, (setting.rows,)), config, communicator)
    return setting.rows / state.history[-1].seconds


def plain_rate(setting: Setting, data: RankRows, arranged: bool = False) -> float:
    """Return rows/s of a loop as PyTorch's tutorials have it: its second epoch.

    Parameters
    ----------
    setting : Setting
        The network, pictures and device.
    data : RankRows
        The pictures.
    arranged : bool
        Whether to train in the package's memory layout in place of PyTorch's default.
    """
    network = setting.build()
    layout = setting.arrange(network) if arranged else torch.contiguous_format
    kind = PRECISIONS[setting.precision]
    scaler = loss_scaler(setting.precision, setting.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=_RATE, momentum=_MOMENTUM)
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        for rows in torch.split(torch.randperm(setting.rows, device=data.features.device), setting.batch_size):
            pictures, labels = data.features[rows].to(setting.device), data.targets[rows].to(setting.device)
            inputs = in_layout(pictures.float().sub_(127.5).div_(73.9), layout)
            optimizer.zero_grad()
            with torch.autocast(setting.device.type, kind, enabled=kind != torch.float32):
                loss = functional.cross_entropy(network(inputs), labels)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
        if setting.device.type == "cuda":
            torch.cuda.synchronize(setting.device)
        seconds = time.perf_counter() - started
    return setting.rows / seconds


def compare(setting: Setting, rounds: int) -> str:
    """Return a line with the medians of both loops and of their ratio."""
    data = setting.data()
    layout = setting.arrange(setting.build())
    ways = {"plain PyTorch": False}
    if layout != torch.contiguous_format:
        ways["plain PyTorch in its layout"] = True
    rates: dict[str, list[float]] = {"sparkwater": [], **{name: [] for name in ways}}
    for _ in range(rounds):
        rates["sparkwater"].append(package_rate(setting, data))
        for name, arranged in ways.items():
            rates[name].append(plain_rate(setting, data, arranged))
    ours = rates.pop("sparkwater")
    others = (
        f"{name} {statistics.median(theirs):,.0f} rows/s, ratio "
        f"{statistics.median(mine / their for mine, their in zip(ours, theirs, strict=True)):.2f}"
        for name, theirs in rates.items()
    )
    return (
        f"{setting.network} {list(setting.shape)}, batch {setting.batch_size}, {setting.precision}, {setting.device}: "
        f"sparkwater {statistics.median(ours):,.0f} rows/s ({layout}); {'; '.join(others)}"
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
    parser.add_argument("--precision", choices=tuple(PRECISIONS), default="float32")
    parser.add_argument("--host-data", action="store_true", help="keep the pictures in the host's memory")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    image_shape = given.image_shape or find_network(given.network).image_shape
    if image_shape is None:
        parser.error(f"{given.network} has no shape of its own; give --image-shape HEIGHT WIDTH CHANNELS")
    height, width, channels = image_shape
    device = select_device(given.device, [], 0, 1)
    shape = (channels, height, width)
    for batch_size in given.batch_size:
        setting = Setting(
            given.network, shape, given.classes, given.rows, batch_size, device, given.precision, given.host_data
        )
        print(compare(setting, given.rounds), flush=True)


if __name__ == "__main__":
    main()
