"""Order of a picture's axes, by the shape that a network of another framework takes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sparkwater.errors import ConfigurationError

Shape = tuple[int, ...]


def channels_last_of(
    shapes: Sequence[Shape], wanted: Sequence[tuple[int | None, ...]], in_doubt: bool, name: str
) -> list[bool]:
    """Return for each input whether a network takes it with the channels last.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Shapes of a row, pictures as ``(channels, height, width)``.
    wanted : sequence of tuple
        Shapes of a row that the network takes; None for a size that it leaves open.
    in_doubt : bool
        The answer for a picture that fits both ways.
    name : str
        The network, for messages.

    Raises
    ------
    ConfigurationError
        If the shapes don't fit.
    """
    if len(wanted) != len(shapes):
        raise ConfigurationError(f"network={name!r} takes {len(wanted)} inputs; there are {len(shapes)}")
    return [_order(shape, own, in_doubt, name) for shape, own in zip(shapes, wanted, strict=True)]


def arranged(tensor: torch.Tensor, channels_last: bool) -> torch.Tensor:
    """Return rows with the channels first as rows with the channels last, if asked to; a view."""
    return tensor.movedim(1, -1) if channels_last else tensor


def _order(shape: Shape, wanted: tuple[int | None, ...], in_doubt: bool, name: str) -> bool:
    turned = (*shape[1:], shape[0]) if len(shape) == 3 else shape
    first_fits, last_fits = _fits(shape, wanted), _fits(turned, wanted)
    if not first_fits and not last_fits:
        given = f"{turned} (height, width, channels) or {shape}" if len(shape) == 3 else f"{shape}"
        raise ConfigurationError(f"network={name!r} takes inputs of shape {wanted}; accepted here: {given}")
    return len(shape) == 3 and (in_doubt if first_fits and last_fits else last_fits)


def _fits(shape: Shape, wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(size in (None, own) for own, size in zip(shape, wanted, strict=True))
