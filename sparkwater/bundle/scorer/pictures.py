"""Pictures as the graph takes them: decoded, turned, converted and resized as in training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from sparkwater.conversions.images.decoding import MAX_PIXELS, RESIZES, decode_image, pixels_to_tensor
from sparkwater.errors import CheckpointError, DataError, SchemaError

#: The most bytes of an encoded picture.
_MOST_BYTES = 2**30


@dataclass(frozen=True)
class Preprocessing:
    """The way of a picture to a tensor.

    Attributes
    ----------
    height, width, channels : int
        The result, in pixels; 1 channel (grey) or 3 (red, green, blue).
    resize : str
        One of `sparkwater.conversions.images.decoding.RESIZES`.
    max_pixels : int
        Pictures with more pixels are refused.
    """

    height: int
    width: int
    channels: int
    resize: str = "stretch"
    max_pixels: int = MAX_PIXELS

    def tensor(self, picture: Any) -> npt.NDArray[np.uint8]:
        """Return a picture as a tensor of shape ``(channels, height, width)``.

        Parameters
        ----------
        picture : bytes, str, os.PathLike, PIL.Image.Image or numpy.ndarray of uint8
            An encoded picture, the path of its file, a decoded picture, or its pixels ``(height, width)`` or
            ``(height, width, 3)`` in red, green and blue.

        Raises
        ------
        DataError
            If it can't be decoded, or its file can't be read.
        SchemaError
            If it is nothing of these.
        """
        size = {"height": self.height, "width": self.width, "channels": self.channels, "resize": self.resize}
        if isinstance(picture, (bytes, bytearray, memoryview)):
            return decode_image(bytes(picture), **size, max_pixels=self.max_pixels)  # type: ignore[arg-type]
        if isinstance(picture, (str, os.PathLike)):
            return decode_image(_read(Path(picture)), **size, max_pixels=self.max_pixels)  # type: ignore[arg-type]
        if isinstance(picture, Image.Image):
            picture = _pixels(picture)
        if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and _is_picture(picture.shape):
            return pixels_to_tensor(picture, **size)  # type: ignore[arg-type]
        raise SchemaError(
            f"{type(picture).__name__} is no picture; accepted: encoded bytes, a path, a PIL image, or uint8 pixels "
            "(height, width) or (height, width, 3)"
        )


def read_preprocessing(fields: Mapping[str, Any]) -> dict[str, Preprocessing]:
    """Return the preprocessing of each input that is a picture, by its name, from a JSON object.

    Raises
    ------
    CheckpointError
        If it is none.
    """
    try:
        return {str(name): _preprocessing(entry) for name, entry in fields["pictures"].items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"the preprocessing is damaged: {error!r}") from error


def _preprocessing(entry: Mapping[str, Any]) -> Preprocessing:
    sizes = [entry[name] for name in ("height", "width", "channels", "max_pixels")]
    whole = all(type(size) is int and size > 0 for size in sizes) and sizes[2] in (1, 3) and sizes[3] <= MAX_PIXELS
    if not whole or sizes[0] * sizes[1] > MAX_PIXELS or entry["resize"] not in RESIZES:
        raise ValueError(f"sizes {sizes} and resize {entry['resize']!r}")
    height, width, channels, max_pixels = sizes
    return Preprocessing(height, width, channels, entry["resize"], max_pixels)


def _is_picture(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)


def _pixels(picture: Image.Image) -> npt.NDArray[np.uint8]:
    turned = ImageOps.exif_transpose(picture)
    if turned.mode in ("I", "F") or turned.mode.startswith("I;16"):
        raise DataError(f"the picture has mode {turned.mode}; give its encoded bytes, or convert it to L or RGB")
    return np.asarray(turned if turned.mode in ("L", "RGB") else turned.convert("RGB"))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"the picture can't be read: {error}") from error
    if len(content) > _MOST_BYTES:
        raise DataError(f"{path} has more than {_MOST_BYTES:,} bytes")
    return content
