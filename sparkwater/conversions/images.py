"""Encoded pictures -> uint8 tensors, with Pillow."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from sparkwater.errors import DataError

#: The formats that are decoded; everything else that Pillow knows is refused.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")

#: A picture with more pixels is refused by its header, before anything is decoded. It is twice
#: Pillow's own warning level, where Pillow itself raises.
MAX_PIXELS = 2 * 89_478_485

_MODES = {1: "L", 3: "RGB"}


def decode_image(data: bytes, height: int, width: int, channels: int) -> npt.NDArray[np.uint8]:
    """Decode one picture and stretch it to a size.

    Grey is the ITU-R 601 luma; 16-bit greys keep their upper eight bits; EXIF orientation is
    honoured. Resizing is bilinear over the area that a pixel covers.

    Parameters
    ----------
    data : bytes
        An encoded picture in one of `FORMATS`.
    height, width : int
        Size of the result in pixels.
    channels : int
        1 (grey) or 3 (red, green, blue).

    Returns
    -------
    numpy.ndarray of uint8
        Shape ``(channels, height, width)``.

    Raises
    ------
    DataError
        If the bytes aren't such a picture, or its header asks for more than `MAX_PIXELS`.
    """
    if not data:
        raise DataError("the picture has no bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise DataError(f"the picture's header asks for {opened.width} x {opened.height} pixels")
            _check_exif(opened.info.get("exif", b""))
            upright = ImageOps.exif_transpose(opened)
            return _channels_first(_resized(_converted(upright, channels), height, width))
    except UnidentifiedImageError:
        raise DataError(f"the bytes are no picture in one of {', '.join(FORMATS)}") from None
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"the picture can't be decoded: {error}") from error


def _check_exif(block: bytes) -> None:
    """Refuse an EXIF block without a readable directory: Pillow passes over it, and the picture may lie on its side."""
    block = block.removeprefix(b"Exif\0\0")
    if not block:
        return
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, start)
    except struct.error:
        order = None
    if order is None or start + 2 + 12 * entries > len(block):
        raise DataError("the picture's EXIF block is damaged, so its orientation can't be known")


def pixels_to_tensor(pixels: npt.NDArray[np.uint8], height: int, width: int, channels: int) -> npt.NDArray[np.uint8]:
    """Return decoded pixels, ``(rows, columns)`` or ``(rows, columns, 3)`` in RGB, as `decode_image` would."""
    return _channels_first(_resized(_converted(Image.fromarray(pixels), channels), height, width))


def _converted(image: Image.Image, channels: int) -> Image.Image:
    if image.mode.startswith("I;16"):
        # Pillow's own conversion to 8 bits clips at 255 instead of scaling.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert(_MODES[channels])


def _resized(image: Image.Image, height: int, width: int) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _channels_first(image: Image.Image) -> npt.NDArray[np.uint8]:
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[np.newaxis] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
