"""Decoding of encoded pictures to uint8 tensors, with Pillow."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from sparkwater.errors import DataError

#: The formats that are decoded; everything else that Pillow knows is refused. JPEG includes the
#: multi-picture files of cameras, of which the first picture is taken, as of an animation.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")

#: A picture with more pixels is refused by its header, before anything is decoded. It is twice
#: Pillow's own warning level, where Pillow itself raises.
MAX_PIXELS = 2 * 89_478_485

#: How a picture fills another shape: ``stretch`` changes its aspect ratio; ``fit`` keeps all of it
#: and pads with black; ``crop`` keeps its centre.
RESIZES = ("stretch", "fit", "crop")

_MODES = {1: "L", 3: "RGB"}

#: A large JPEG is decoded at a half, a quarter or an eighth, down to this many times the target.
#: With 2, two photographs at 14 target sizes differ from their full decodes by at most 1.8 of 255
#: levels in the mean, which is less than between two good filters; with 1 it is up to 4.9.
_DRAFT_MARGIN = 2


def decode_image(
    data: bytes, height: int, width: int, channels: int, resize: str = "stretch", max_pixels: int = MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """Decode one picture and give it a size.

    Grey is the ITU-R 601 luma; 16-bit pixels keep their upper eight bits; EXIF orientation is
    honoured. Alpha is dropped and the colours beneath it stay, as OpenCV, torchvision and
    TensorFlow read three channels. Resizing is bilinear over the area that a pixel covers, so that
    nothing aliases. Large JPEGs are decoded at a fraction of their size, never below twice the
    target on either side.

    Parameters
    ----------
    data : bytes
        An encoded picture in one of `FORMATS`.
    height, width : int
        Size of the result in pixels.
    channels : int
        1 (grey) or 3 (red, green, blue).
    resize : str
        One of `RESIZES`.
    max_pixels : int
        Pictures with more pixels are refused. Above `MAX_PIXELS` it raises Pillow's own limit,
        for this process.

    Returns
    -------
    numpy.ndarray of uint8
        Shape ``(channels, height, width)``.

    Raises
    ------
    DataError
        If the bytes aren't such a picture, its header asks for more than ``max_pixels``, or its
        pixels are 32-bit numbers, which have no agreed white.
    """
    if not data:
        raise DataError("the picture has no bytes")
    if max_pixels > MAX_PIXELS and Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
            if opened.width * opened.height > max_pixels:
                size = f"{opened.width} x {opened.height}"
                raise DataError(f"the picture's header asks for too many pixels: {size}, at most {max_pixels}")
            _check_exif(opened.info.get("exif", b""))
            _draft(opened, height, width, channels)
            ImageOps.exif_transpose(opened, in_place=True)
            return _channels_first(_resized(_converted(opened, channels), height, width, resize))
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


def _draft(opened: Image.Image, height: int, width: int, channels: int) -> None:
    """Let libjpeg decode a large picture at a fraction of its size, and only the luma where grey is asked for."""
    if not isinstance(opened, JpegImageFile):
        return
    size = (_DRAFT_MARGIN * width, _DRAFT_MARGIN * height)
    lies_on_its_side = opened.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    opened.draft(_MODES[channels], size[::-1] if lies_on_its_side else size)


def pixels_to_tensor(
    pixels: npt.NDArray[np.uint8], height: int, width: int, channels: int, resize: str = "stretch"
) -> npt.NDArray[np.uint8]:
    """Return decoded pixels, ``(rows, columns)`` or ``(rows, columns, 3)`` in RGB, as `decode_image` would."""
    return _channels_first(_resized(_converted(Image.fromarray(pixels), channels), height, width, resize))


def _converted(image: Image.Image, channels: int) -> Image.Image:
    if image.mode in ("I", "F"):
        raise DataError(f"the picture has 32-bit pixels (mode {image.mode}); accepted: up to 16 bits a channel")
    if image.mode.startswith("I;16"):
        # Pillow's own conversion to 8 bits clips at 255 instead of scaling.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    # Pillow copies a picture that has the mode already, which costs half as much as decoding it.
    return image if image.mode == _MODES[channels] else image.convert(_MODES[channels])


def _resized(image: Image.Image, height: int, width: int, resize: str) -> Image.Image:
    if image.size == (width, height):
        return image
    if resize == "crop":
        return ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    if resize == "fit":
        return _padded(image, height, width)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _padded(image: Image.Image, height: int, width: int) -> Image.Image:
    # ImageOps.pad rounds the short side of a thin picture to 0 pixels, and fails.
    scale = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    canvas = Image.new(image.mode, (width, height))
    canvas.paste(image.resize(inner, Image.Resampling.BILINEAR), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return canvas


def _channels_first(image: Image.Image) -> npt.NDArray[np.uint8]:
    # Pillow takes the channels apart four times as fast as a transposed array is copied.
    planes = bytearray().join(image.tobytes("raw", band) for band in image.getbands())
    return np.frombuffer(planes, np.uint8).reshape(-1, image.height, image.width)
