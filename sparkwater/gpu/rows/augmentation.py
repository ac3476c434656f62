"""Random augmentation of training pictures, by named steps with arguments.

Shifts, rotations, scales, crops and flips of a picture are composed into one affine map and sampled
once, with the border's pixels beyond the border; colours change after that, and parts are erased
last. All of it works on whole batches, and its random numbers come from a generator that is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch.nn import functional

from sparkwater.errors import ConfigurationError


def _argument(accepted: str, accepts: Callable[[Any], bool], default: Any = MISSING) -> Any:
    return field(default=default, metadata={"accepted": accepted, "accepts": accepts})


def _number(accepted: str, accepts: Callable[[float], bool], default: Any = MISSING) -> Any:
    def is_accepted(value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and accepts(value)

    return _argument(accepted, is_accepted, default)


def _probability() -> Any:
    return _number("numbers from 0 to 1", lambda value: 0 <= value <= 1, 0.5)


def _spread(default: Any = MISSING) -> Any:
    return _number("numbers from 0 up to, not including, 1", lambda value: 0 <= value < 1, default)


class Step(Protocol):
    """One step; ``draws`` says how many random numbers it takes for each picture."""

    draws: ClassVar[int]


@runtime_checkable
class Geometric(Step, Protocol):
    """A step that moves pixels."""

    def source(self, uniform: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Return where pixels come from, ``(rows, 3, 3)``: affine maps of (x, y, 1) in pixels from the centre.

        Parameters
        ----------
        uniform : torch.Tensor
            Random numbers in [0, 1), ``(rows, draws)``.
        height, width : int
            Size of the pictures.
        """


@dataclass(frozen=True)
class Shift:
    """By up to so many whole pixels in each direction."""

    pixels: int = _number("whole numbers from 0 up", lambda value: value >= 0 and float(value).is_integer())
    draws: ClassVar[int] = 2

    def source(self, uniform: torch.Tensor, height: int, width: int) -> torch.Tensor:  # noqa: ARG002, D102
        maps = _identity(len(uniform))
        maps[:, :2, 2] = (uniform * (2 * self.pixels + 1)).floor() - self.pixels
        return maps


@dataclass(frozen=True)
class Rotation:
    """About the centre, by up to so many degrees either way."""

    degrees: float = _number("numbers from 0 to 180", lambda value: 0 <= value <= 180)
    draws: ClassVar[int] = 1

    def source(self, uniform: torch.Tensor, height: int, width: int) -> torch.Tensor:  # noqa: ARG002, D102
        angles = math.radians(self.degrees) * (2 * uniform[:, 0] - 1)
        maps = _identity(len(uniform))
        maps[:, 0, 0] = maps[:, 1, 1] = angles.cos()
        maps[:, 1, 0] = angles.sin()
        maps[:, 0, 1] = -maps[:, 1, 0]
        return maps


@dataclass(frozen=True)
class Scale:
    """About the centre, by a factor between ``1 - factor`` and ``1 + factor``."""

    factor: float = _spread()
    draws: ClassVar[int] = 1

    def source(self, uniform: torch.Tensor, height: int, width: int) -> torch.Tensor:  # noqa: ARG002, D102
        maps = _identity(len(uniform))
        maps[:, 0, 0] = maps[:, 1, 1] = 1 / (1 + self.factor * (2 * uniform[:, 0] - 1))
        return maps


@dataclass(frozen=True)
class Crop:
    """A part of the picture, anywhere, enlarged to the whole; its share of the area is ``area`` at least."""

    area: float = _number("numbers above 0, up to 1", lambda value: 0 < value <= 1)
    draws: ClassVar[int] = 3

    def source(self, uniform: torch.Tensor, height: int, width: int) -> torch.Tensor:  # noqa: D102
        maps = _identity(len(uniform))
        side = (self.area + (1 - self.area) * uniform[:, 0]).sqrt()
        maps[:, 0, 0] = maps[:, 1, 1] = side
        maps[:, :2, 2] = (1 - side)[:, None] * (uniform[:, 1:] - 0.5) * torch.tensor([width, height])
        return maps


@dataclass(frozen=True)
class Flip:
    """Left to right, or top to bottom where ``axis`` is ``vertical``."""

    axis: str = _argument("horizontal, vertical", ("horizontal", "vertical").__contains__, "horizontal")
    probability: float = _probability()
    draws: ClassVar[int] = 1

    def source(self, uniform: torch.Tensor, height: int, width: int) -> torch.Tensor:  # noqa: ARG002, D102
        maps = _identity(len(uniform))
        along = 0 if self.axis == "horizontal" else 1
        maps[:, along, along] = 1 - 2 * (uniform[:, 0] < self.probability).float()
        return maps


@dataclass(frozen=True)
class Colour:
    """Brightness, contrast and saturation times factors between ``1 - value`` and ``1 + value``.

    Values may leave the range that a picture's had: nothing is cut off.
    """

    brightness: float = _spread(0.0)
    contrast: float = _spread(0.0)
    saturation: float = _spread(0.0)
    draws: ClassVar[int] = 3

    def change(self, pictures: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Return changed pictures."""
        spreads = torch.tensor([self.brightness, self.contrast, self.saturation], device=uniform.device)
        factors = (1 + spreads * (2 * uniform - 1))[:, :, None, None, None]
        pictures = pictures * factors[:, 0]
        if self.contrast:
            mean = _grey(pictures).mean(dim=(1, 2, 3), keepdim=True)
            pictures = mean + factors[:, 1] * (pictures - mean)
        if self.saturation:
            grey = _grey(pictures)
            pictures = grey + factors[:, 2] * (pictures - grey)
        return pictures


@dataclass(frozen=True)
class Erase:
    """A rectangle, anywhere, of up to ``area`` of the picture, becomes the picture's mean colour.

    Zhong et al., Random Erasing Data Augmentation, 2017. Sides have ratios between 1/3 and 3.
    """

    area: float = _number("numbers above 0, below 1", lambda value: 0 < value < 1, 0.3)
    probability: float = _probability()
    draws: ClassVar[int] = 5

    def change(self, pictures: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Return changed pictures."""
        height, width = pictures.shape[2:]
        ratio = (math.log(3) * (2 * uniform[:, 1] - 1)).exp()
        share = self.area * uniform[:, 0]
        tall, wide = (share * ratio).sqrt().clamp(max=1), (share / ratio).sqrt().clamp(max=1)
        inside_y = _between(height, uniform[:, 2], tall)
        inside_x = _between(width, uniform[:, 3], wide)
        erased = inside_y[:, None, :, None] & inside_x[:, None, None, :]
        erased &= (uniform[:, 4] < self.probability)[:, None, None, None]
        return torch.where(erased, pictures.mean(dim=(2, 3), keepdim=True), pictures)


#: The steps by their names.
STEPS: dict[str, type[Any]] = {
    "shift": Shift,
    "rotation": Rotation,
    "scale": Scale,
    "crop": Crop,
    "flip": Flip,
    "colour": Colour,
    "erase": Erase,
}


def augment(pictures: torch.Tensor, steps: Sequence[Step], generator: torch.Generator) -> torch.Tensor:
    """Return pictures changed at random, as float32.

    Parameters
    ----------
    pictures : torch.Tensor
        ``(rows, channels, height, width)``, any dtype, on any device; not written to.
    steps : sequence
        From `parse_augmentation`.
    generator : torch.Generator
        A generator of the CPU, so that all devices change pictures alike. Each picture takes as many numbers from it
        as the steps draw.
    """
    rows, _, height, width = pictures.shape
    uniform = torch.rand(rows, sum(step.draws for step in steps), generator=generator)
    drawn = list(zip(steps, torch.split(uniform, [step.draws for step in steps], dim=1), strict=True))
    changed = pictures.float()
    maps = [step.source(numbers, height, width) for step, numbers in drawn if isinstance(step, Geometric)]
    if maps:
        changed = _sample(changed, maps)
    for kind in (Colour, Erase):
        for step, numbers in drawn:
            if isinstance(step, kind):
                changed = step.change(changed, numbers.to(changed.device))
    return changed


def parse_augmentation(steps: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """Return the steps that mappings describe: each a ``name`` and the step's arguments.

    Raises
    ------
    ConfigurationError
        For an unknown step or argument, a missing argument, or a value out of range.
    """
    return tuple(_parse(step) for step in steps)


def _parse(described: Mapping[str, Any]) -> Step:
    if not isinstance(described, Mapping) or described.get("name") not in STEPS:
        raise ConfigurationError(
            f"augmentation: {described!r} is no step; accepted: a dict with a name ({', '.join(STEPS)}) and its "
            'arguments, such as {"name": "shift", "pixels": 2}'
        )
    name = described["name"]
    arguments = {key: value for key, value in described.items() if key != "name"}
    known = {argument.name: argument for argument in fields(STEPS[name])}
    needed = [argument.name for argument in known.values() if argument.default is MISSING]
    unknown, missing = sorted(set(arguments) - set(known)), sorted(set(needed) - set(arguments))
    if unknown or missing:
        problem = f"doesn't take {unknown[0]!r}" if unknown else f"needs {missing[0]!r}"
        raise ConfigurationError(f"augmentation: {name!r} {problem}; its arguments are {', '.join(known)}")
    for key, value in arguments.items():
        if not known[key].metadata["accepts"](value):
            raise ConfigurationError(
                f"augmentation: {key}={value!r} of {name!r}; accepted: {known[key].metadata['accepted']}"
            )
    step: Step = STEPS[name](**arguments)
    return step


def _sample(pictures: torch.Tensor, maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return pictures with their pixels from where the maps say, the last step's map applied first."""
    composed = maps[0]
    for following in maps[1:]:
        composed = composed @ following
    height, width = pictures.shape[2:]
    # From pixels to torch's coordinates, in which the picture goes from -1 to 1.
    units = torch.tensor([width / 2, height / 2, 1.0])
    theta = composed[:, :2] * units / units[:2, None]
    grid = functional.affine_grid(theta.to(pictures.device), list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _identity(rows: int) -> torch.Tensor:
    return torch.eye(3).repeat(rows, 1, 1)


def _grey(pictures: torch.Tensor) -> torch.Tensor:
    """Return the luma of colours (ITU-R 601), or grey pictures as they are; one channel."""
    if pictures.shape[1] != 3:
        return pictures.mean(dim=1, keepdim=True)
    weights = torch.tensor([0.299, 0.587, 0.114], device=pictures.device)
    return (pictures * weights[:, None, None]).sum(dim=1, keepdim=True)


def _between(size: int, place: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Return ``(rows, size)``: which pixels are in an interval of a share of the side, placed anywhere inside."""
    centres = (torch.arange(size, device=place.device) + 0.5) / size
    start = (place * (1 - share))[:, None]
    return (centres >= start) & (centres < start + share[:, None])
