from __future__ import annotations

import io
import struct
import time
import warnings
import zlib

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sparkwater.conversions.images.decoding import MAX_PIXELS, RESIZES, decode_image, pixels_to_tensor
from sparkwater.errors import DataError

RGB = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [255, 255, 255], [10, 20, 30]]],
    np.uint8,
)
GREY = np.array([[0, 50, 100], [150, 200, 255]], np.uint8)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def noise(height: int, width: int, *channels: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def png(width: int, height: int, depth: int, color: int, rows: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def jpeg_with_exif(exif: bytes) -> bytes:
    return encode(Image.fromarray(noise(8, 8, 3)), "JPEG", exif=exif)


def channels_first(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return pixels.transpose(2, 0, 1)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_lossless_grey_keeps_its_pixels(kind: str) -> None:
    decoded = decode_image(
        encode(Image.fromarray(GREY), kind, **({"lossless": True} if kind == "WEBP" else {})), 2, 3, 1
    )
    assert decoded.dtype == np.uint8
    assert decoded.shape == (1, 2, 3)
    assert decoded[0].tolist() == GREY.tolist()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_colour_keeps_its_pixels(kind: str) -> None:
    decoded = decode_image(
        encode(Image.fromarray(RGB), kind, **({"lossless": True} if kind == "WEBP" else {})), 2, 3, 3
    )
    assert decoded.dtype == np.uint8
    assert decoded.shape == (3, 2, 3)
    assert decoded.tolist() == channels_first(RGB).tolist()


def test_the_result_is_row_major_bytes() -> None:
    decoded = decode_image(encode(Image.fromarray(RGB), "PNG"), 2, 3, 3)
    assert decoded.flags.c_contiguous
    assert decoded.tobytes()[:6] == bytes([255, 0, 0, 0, 255, 10])


def test_colour_becomes_luma() -> None:
    decoded = decode_image(encode(Image.fromarray(RGB), "PNG"), 2, 3, 1)
    assert decoded[0].tolist() == [[76, 150, 29], [0, 255, 18]]


def test_grey_becomes_three_equal_channels() -> None:
    decoded = decode_image(encode(Image.fromarray(GREY), "PNG"), 2, 3, 3)
    assert decoded.tolist() == [GREY.tolist()] * 3


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_is_resolved(kind: str) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([200, 100, 50, 1, 2, 3])
    picture.putdata([0, 1])
    decoded = decode_image(encode(picture, kind), 1, 2, 3)
    assert decoded[:, 0, :].T.tolist() == [[200, 100, 50], [1, 2, 3]]


def test_a_palette_with_transparency_keeps_its_colours() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([200, 100, 50, 1, 2, 3])
    picture.putdata([0, 1])
    decoded = decode_image(encode(picture, "PNG", transparency=1), 1, 2, 3)
    assert decoded[:, 0, :].T.tolist() == [[200, 100, 50], [1, 2, 3]]


def test_alpha_is_dropped() -> None:
    alpha = np.array([[0, 128, 255], [255, 0, 7]], np.uint8)
    colour = Image.fromarray(np.dstack([RGB, alpha]))
    assert colour.mode == "RGBA"
    assert decode_image(encode(colour, "PNG"), 2, 3, 3).tolist() == channels_first(RGB).tolist()
    grey = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])
    assert decode_image(encode(grey, "PNG"), 2, 3, 1)[0].tolist() == GREY.tolist()


def test_the_first_picture_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (4, 3), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode_image(data, 3, 4, 3) == np.array([255, 0, 0], np.uint8).reshape(3, 1, 1)).all()


def test_black_and_white_becomes_0_and_255() -> None:
    picture = Image.fromarray(GREY).point(lambda x: 255 * (x > 120), "1")
    assert decode_image(encode(picture, "PNG"), 2, 3, 1)[0].tolist() == [[0, 0, 0], [255, 255, 255]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_keeps_its_upper_eight_bits(kind: str) -> None:
    values = np.array([[0x0000, 0x00FF, 0x0100], [0x1234, 0x7FFF, 0xFFFF]], np.uint16)
    data = encode(Image.fromarray(values), kind)
    assert decode_image(data, 2, 3, 1)[0].tolist() == (values >> 8).tolist()
    assert decode_image(data, 2, 3, 3).tolist() == [(values >> 8).tolist()] * 3


def test_hand_made_16_bit_png_keeps_its_upper_eight_bits() -> None:
    data = png(3, 1, 16, 0, b"\0" + struct.pack(">HHH", 0x0180, 0x8001, 0xFE00))
    assert decode_image(data, 1, 3, 1).tolist() == [[[0x01, 0x80, 0xFE]]]


def test_big_endian_16_bit_grey_keeps_its_upper_eight_bits() -> None:
    picture = Image.frombytes("I;16B", (2, 1), struct.pack(">HH", 0x1234, 0xFEDC))
    assert decode_image(encode(picture, "TIFF"), 1, 2, 1).tolist() == [[[0x12, 0xFE]]]


def test_16_bit_colour_keeps_its_upper_eight_bits() -> None:
    data = png(1, 1, 16, 2, b"\0" + struct.pack(">HHH", 0x0180, 0x80FF, 0xFE00))
    assert decode_image(data, 1, 1, 3).ravel().tolist() == [0x01, 0x80, 0xFE]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bit_pixels_are_refused(dtype: type[np.generic]) -> None:
    data = encode(Image.fromarray(np.ones((2, 2), dtype)), "TIFF")
    with pytest.raises(DataError, match=r"32-bit pixels .*up to 16 bits"):
        decode_image(data, 2, 2, 1)


def test_jpeg_is_close_to_its_pixels() -> None:
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    decoded = decode_image(encode(Image.fromarray(flat), "JPEG", quality=95), 16, 16, 3)
    assert decoded.shape == (3, 16, 16)
    assert np.abs(decoded.astype(int) - channels_first(flat)).max() <= 3


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 100}), ("TIFF", {})])
def test_cmyk_becomes_rgb_or_grey(kind: str, options: dict[str, int]) -> None:
    data = encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), kind, **options)
    colour = decode_image(data, 8, 8, 3).astype(int)
    assert np.abs(colour - np.array([255, 0, 0]).reshape(3, 1, 1)).max() <= 6
    assert np.abs(decode_image(data, 8, 8, 1).astype(int) - 76).max() <= 6


def test_exif_orientation_6_turns_the_picture_clockwise() -> None:
    pixels = np.zeros((8, 16), np.uint8)
    pixels[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode_image(encode(Image.fromarray(pixels), "JPEG", exif=exif.tobytes()), 16, 8, 1)[0]
    assert decoded[:7].max() < 30
    assert decoded[9:].min() > 225


def test_resizing_keeps_flat_colours_and_stretches_the_rest() -> None:
    flat = Image.new("RGB", (7, 5), (9, 99, 199))
    for height, width in ((1, 1), (3, 20), (28, 28)):
        decoded = decode_image(encode(flat, "PNG"), height, width, 3)
        assert decoded.shape == (3, height, width)
        assert (decoded == np.array([9, 99, 199], np.uint8).reshape(3, 1, 1)).all()
    halves = np.repeat(np.array([[0, 255]], np.uint8), 8, axis=1)
    small = decode_image(encode(Image.fromarray(np.repeat(halves, 4, axis=0)), "PNG"), 2, 4, 1)[0]
    assert small[:, 0].tolist() == [0, 0]
    assert small[:, 3].tolist() == [255, 255]
    assert (np.diff(small.astype(int), axis=1) >= 0).all()


def columns(*levels: int) -> bytes:
    """Return a picture 8 pixels high with a column 4 pixels wide of each level."""
    return encode(Image.fromarray(np.repeat(np.array([levels] * 8, np.uint8), 4, axis=1)), "PNG")


def test_fit_keeps_all_of_the_picture_and_pads_with_black() -> None:
    decoded = decode_image(columns(*[200] * 4), 8, 8, 1, "fit")[0]
    assert (decoded[2:6] == 200).all()
    assert not decoded[:2].any()
    assert not decoded[6:].any()
    upright = decode_image(columns(200), 4, 8, 3, "fit")
    assert (upright[:, :, 3:5] == 200).all()
    assert not upright[:, :, :3].any()
    assert not upright[:, :, 5:].any()


def test_crop_fills_the_shape_with_the_centre() -> None:
    assert decode_image(columns(0, 90, 90, 255), 8, 8, 1, "crop").tolist() == [[[90] * 8] * 8]
    tall = Image.fromarray(np.repeat(np.array([[0], [90], [90], [255]], np.uint8), 4, axis=0).repeat(8, axis=1))
    assert decode_image(encode(tall, "PNG"), 8, 8, 3, "crop").tolist() == [[[90] * 8] * 8] * 3


def test_stretch_uses_all_of_the_picture_and_all_of_the_shape() -> None:
    decoded = decode_image(columns(10, 90, 90, 250), 8, 8, 1, "stretch")[0]
    assert decoded[:, 0].tolist() == [10] * 8
    assert decoded[:, 7].tolist() == [250] * 8


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (3, 2), (16, 16)])
def test_every_way_gives_every_shape(resize: str, size: tuple[int, int]) -> None:
    for kind in ("PNG", "JPEG"):
        data = encode(Image.new("RGB", size, (200, 200, 200)), kind)
        for height, width in ((1, 1), (5, 7), (16, 16)):
            decoded = decode_image(data, height, width, 3, resize)
            assert decoded.shape == (3, height, width)
            assert decoded.max() == 200


@pytest.mark.parametrize("resize", RESIZES)
def test_decoded_pixels_are_resized_like_their_file(resize: str) -> None:
    pixels = noise(9, 14, 3)
    expected = decode_image(encode(Image.fromarray(pixels), "PNG"), 6, 6, 3, resize)
    assert pixels_to_tensor(pixels, 6, 6, 3, resize).tolist() == expected.tolist()


def test_fine_patterns_do_not_alias() -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    decoded = decode_image(encode(Image.fromarray(stripes), "PNG"), 9, 9, 1)
    assert np.abs(decoded.astype(int) - 127).max() <= 12


def photograph(height: int, width: int) -> Image.Image:
    """Return smooth patches with fine noise on top."""
    patches = Image.fromarray(noise(height // 16, width // 16, 3)).resize((width, height), Image.Resampling.BICUBIC)
    return Image.fromarray((np.asarray(patches) * 0.8 + noise(height, width, 3) * 0.2).astype(np.uint8))


@pytest.mark.parametrize("resize", RESIZES)
@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_a_large_jpeg_gives_nearly_what_its_full_decode_gives(resize: str, channels: int, mode: str) -> None:
    data = encode(photograph(600, 800), "JPEG", quality=90)
    with Image.open(io.BytesIO(data)) as opened:
        full = np.asarray(opened.convert(mode))
    for height, width in ((37, 50), (75, 75), (100, 60), (280, 380)):
        found = decode_image(data, height, width, channels, resize).astype(int)
        expected = pixels_to_tensor(full, height, width, channels, resize).astype(int)
        assert np.abs(found - expected).mean() < 3


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size() -> None:
    data = encode(Image.new("RGB", (4000, 4000), "red"), "JPEG")
    started = time.process_time()
    decode_image(data, 28, 28, 3)
    small = time.process_time() - started
    started = time.process_time()
    decode_image(data, 2001, 2001, 3)
    assert small < (time.process_time() - started) / 2


def test_a_large_jpeg_that_lies_on_its_side_is_turned() -> None:
    pixels = np.zeros((400, 1600), np.uint8)
    pixels[:, 800:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(Image.fromarray(pixels), "JPEG", exif=exif.tobytes())
    # The picture is 1600 high and 400 wide; a half of that is twice 400 x 100, a quarter isn't.
    decoded = decode_image(data, 400, 100, 1)[0]
    assert decoded[:195].max() < 30
    assert decoded[205:].min() > 225
    with Image.open(io.BytesIO(data)) as opened:
        opened.draft("L", (800, 200))
        expected = opened.transpose(Image.Transpose.ROTATE_270).resize((100, 400), Image.Resampling.BILINEAR)
    assert decoded.tolist() == np.asarray(expected).tolist()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_jpeg_is_decoded_at_the_same_fraction_whatever_side_it_lies_on(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    lies = orientation > 4
    pixels = noise(128, 512) if lies else noise(512, 128)
    data = encode(Image.fromarray(pixels), "JPEG", exif=exif.tobytes())
    # Upright it is 512 high and 128 wide: a quarter is twice 64 x 16, which an eighth isn't.
    found = decode_image(data, 64, 16, 1)[0]
    with Image.open(io.BytesIO(data)) as opened:
        opened.draft("L", (128, 32) if lies else (32, 128))
        assert max(opened.size) == 128
        upright = ImageOps.exif_transpose(opened)
    assert found.tolist() == np.asarray(upright.resize((16, 64), Image.Resampling.BILINEAR)).tolist()
    full = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).resize((16, 64), Image.Resampling.BILINEAR)
    assert found.tolist() != np.asarray(full).tolist()


def test_16_bit_grey_is_resized_after_its_conversion() -> None:
    data = encode(Image.fromarray(np.full((6, 6), 0xABCD, np.uint16)), "PNG")
    assert (decode_image(data, 3, 4, 1) == 0xAB).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_decoded_pixels_give_what_their_png_gives(channels: int) -> None:
    for pixels in (noise(9, 7), noise(9, 7, 3)):
        expected = decode_image(encode(Image.fromarray(pixels), "PNG"), 5, 6, channels)
        assert pixels_to_tensor(pixels, 5, 6, channels).tobytes() == expected.tobytes()


def test_no_bytes_are_named() -> None:
    with pytest.raises(DataError, match="no bytes"):
        decode_image(b"", 2, 2, 1)


@pytest.mark.parametrize(
    "data", [b"x", b"this is no picture\n" * 20, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\0" * 64]
)
def test_other_bytes_are_no_picture(data: bytes) -> None:
    with pytest.raises(DataError, match=r"no picture|can't be decoded"):
        decode_image(data, 2, 2, 1)


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX", "JPEG2000"])
def test_a_format_outside_the_list_is_refused(kind: str) -> None:
    data = encode(Image.fromarray(noise(16, 16, 3)), kind)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.size == (16, 16)
    with pytest.raises(DataError, match="no picture in one of JPEG, PNG, BMP, GIF, TIFF, WEBP"):
        decode_image(data, 2, 2, 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.75])
def test_a_picture_cut_short_is_corrupt(kind: str, share: float) -> None:
    data = encode(Image.fromarray(noise(32, 32, 3)), kind)
    with pytest.raises(DataError):
        decode_image(data[: int(len(data) * share)], 32, 32, 3)


#: A directory of one entry: the orientation of a picture that lies on its side.
SIDEWAYS = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"


@pytest.mark.parametrize(
    "exif",
    [b"this is no TIFF header at all", bytes(8), b"II*\0", b"I", b"II", b"MM", SIDEWAYS[:9], SIDEWAYS[:-2],
     SIDEWAYS[:-1]],
)  # fmt: skip
def test_a_damaged_exif_block_is_corrupt(exif: bytes) -> None:
    with pytest.raises(DataError, match="EXIF block is damaged"):
        decode_image(encode(Image.fromarray(noise(8, 8, 3)), "PNG", exif=exif), 8, 8, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")  # of no place for a second directory
def test_an_exif_block_may_end_with_its_directory() -> None:
    pixels = noise(8, 4)
    decoded = decode_image(encode(Image.fromarray(pixels), "PNG", exif=SIDEWAYS), 4, 8, 1)
    assert decoded[0].tolist() == np.rot90(pixels, -1).tolist()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "exif",
    [
        b"this is no TIFF header at all",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x09\0",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04six\0\0\0\0\0",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x02\0\x06\0\x06\0\0\0\0",
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x05\0\0\0\x01\0\0\0\x00\0\0\0\0",
    ],
)
def test_odd_exif_gives_a_picture_or_a_data_error(exif: bytes) -> None:
    try:
        decoded = decode_image(jpeg_with_exif(b"Exif\0\0" + exif), 8, 8, 3)
    except DataError:
        return
    assert decoded.shape == (3, 8, 8)


@pytest.mark.parametrize(("width", "height"), [(50_000, 50_000), (2**31 - 1, 2**31 - 1), (MAX_PIXELS + 1, 1)])
def test_a_header_that_asks_for_too_many_pixels_is_refused(width: int, height: int) -> None:
    with pytest.raises(DataError, match="pixels"):
        decode_image(png(width, height, 8, 0, b"\0" * 100), 28, 28, 1)


def test_the_limit_of_pixels_is_the_callers() -> None:
    data = encode(Image.fromarray(noise(10, 20)), "PNG")
    assert decode_image(data, 10, 20, 1, max_pixels=200).shape == (1, 10, 20)
    with pytest.raises(DataError, match="too many pixels: 20 x 10, at most 199"):
        decode_image(data, 10, 20, 1, max_pixels=199)


def test_the_limit_of_pixels_can_be_raised_beyond_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    # Only the header is looked at: the pixels are missing.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    data = png(MAX_PIXELS + 1, 1, 8, 0, b"")
    with pytest.raises(DataError, match=r"can't be decoded: (?!Image size)"):
        decode_image(data, 1, 1, 1, max_pixels=MAX_PIXELS + 1)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels_is_corrupt(width: int, height: int) -> None:
    with pytest.raises(DataError):
        decode_image(png(width, height, 8, 0, b""), 28, 28, 1)


def pictures_to_damage() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description that doesn't fit the entry"
    colour = Image.fromarray(noise(6, 6, 3))
    found = [encode(colour, kind, exif=exif.tobytes()) for kind in ("JPEG", "PNG", "WEBP", "TIFF")]
    palette = colour.quantize(16)
    return [*found, encode(colour, "BMP"), encode(palette, "GIF"), encode(palette, "BMP"), encode(palette, "TIFF")]


@settings(max_examples=600, deadline=None, derandomize=True)
@given(
    st.sampled_from(pictures_to_damage()),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=3),
    st.booleans(),
)
def test_damaged_bytes_give_a_picture_or_a_data_error(
    data: bytes, changes: list[tuple[int, int]], from_the_end: bool
) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[-1 - place % len(data) if from_the_end else place % len(data)] = value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoded = decode_image(bytes(damaged), 4, 5, 3)
    except DataError:
        return
    assert decoded.shape == (3, 4, 5)
    assert decoded.dtype == np.uint8
