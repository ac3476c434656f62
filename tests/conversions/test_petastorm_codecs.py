from __future__ import annotations

import base64
import io
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from petastorm_data import npy, npz, petastorm, picture

from sparkwater.conversions.petastorm.codecs import (
    COMPRESSED_NDARRAY,
    IMAGE,
    NDARRAY,
    decode_npy_or_raw,
    decode_tensors,
    npy_header,
)
from sparkwater.conversions.tensors.spec import DTYPES, TensorSpec
from sparkwater.errors import DataError

SPEC = TensorSpec("float32", (2, 3))
TENSORS = np.arange(24, dtype=np.float32).reshape(4, 2, 3)


def cells(*values: bytes | None) -> pa.BinaryArray:
    return pa.array(values, pa.binary())


@given(st.sampled_from(DTYPES), st.lists(st.integers(1, 40), max_size=4))
def test_the_header_is_numpys_own(dtype, shape):
    spec = TensorSpec(dtype, shape)
    array = np.zeros(spec.shape, spec.numpy_dtype)
    assert npy_header(spec) + array.tobytes() == npy(array)


@pytest.mark.parametrize(("codec", "encode"), [(NDARRAY, npy), (COMPRESSED_NDARRAY, npz)])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_arrays_come_back(codec, encode, dtype, shape):
    spec = TensorSpec(dtype, shape)
    tensors = np.random.default_rng(1).integers(0, 2, (3, *shape)).astype(dtype)
    found = decode_tensors(codec, cells(*map(encode, tensors)), spec)
    assert (found.dtype, found.shape) == (spec.numpy_dtype, (3, *shape))
    assert found.tolist() == tensors.tolist()
    assert found.flags.writeable


def test_cells_of_different_writers_mix():
    fortran, big = np.asfortranarray(TENSORS[1]), TENSORS[2].astype(">f4")
    mixed = cells(npy(TENSORS[0]), npy(fortran), npy(big), npy(TENSORS[3]))
    assert decode_tensors(NDARRAY, mixed, SPEC).tolist() == TENSORS.tolist()
    assert decode_tensors(NDARRAY, cells(npy(fortran), npy(TENSORS[2])), SPEC).tolist() == TENSORS[1:3].tolist()
    # As long as the expected cells, and with another header.
    assert decode_tensors(NDARRAY, cells(npy(big), npy(big)), SPEC).tolist() == TENSORS[[2, 2]].tolist()


def test_slices_and_no_rows_at_all():
    column = cells(*map(npy, TENSORS))
    assert decode_tensors(NDARRAY, column.slice(1, 2), SPEC).tolist() == TENSORS[1:3].tolist()
    assert decode_tensors(COMPRESSED_NDARRAY, column.slice(0, 0), SPEC).shape == (0, 2, 3)


def test_grey_and_coloured_pictures_come_back():
    generator = np.random.default_rng(3)
    for shape in ((5, 7), (5, 7, 3)):
        pixels = generator.integers(0, 256, (2, *shape), dtype=np.uint8)
        found = decode_tensors(IMAGE, cells(*map(picture, pixels)), TensorSpec("uint8", shape))
        assert found.tolist() == pixels.tolist()


# An 8 x 8 JPEG, and the pixels that OpenCV, which petastorm decodes with, makes of it.
JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAYEBQYFBAYGBQYHBwYIChAKCgkJChQODwwQFxQYGBcUFhYaHSUfGhsjHBYWICwgIyYn"
    "KSopGR8tMC0oMCUoKSj/2wBDAQcHBwoIChMKChMoGhYaKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgo"
    "KCgoKCgoKCj/wAARCAAIAAgDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUF"
    "BAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVW"
    "V1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi"
    "4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAEC"
    "AxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVm"
    "Z2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk5ebn6Onq"
    "8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD0rTdUjVGVDHxnk9v/AK1FFFejTwNFR0RrhcNBU0f/2Q=="
)
JPEG_BY_OPENCV = (
    "eNoBwAA//3rNe4bVhprclKPamazUoL/csMrgvMXWtojZjYbPiJjWl7HkrL3itsPduMrdwc/dxI/WnIfLkpfPnrHetb/ev8XYwsnU"
    "xsnPxYnHoI7IopvJrKTHsa7Et8DLxcbHy7i1vIu+rZC/r5y/uKG5uamzvLy7y8S807yvyZO7u4yvs5iwuqu4ybOzzbmv0ca03M22"
    "4o6tv4Sfso+fuKSpybGp0rml1sWo3seo4YCas4GWsYqUt5STu6OVxrmg2b6f27CMzJ5Kh/s="
)


def test_a_jpeg_has_the_pixels_that_petastorm_gives():
    expected = np.frombuffer(zlib.decompress(base64.b64decode(JPEG_BY_OPENCV)), np.uint8).reshape(1, 8, 8, 3)
    found = decode_tensors(IMAGE, cells(base64.b64decode(JPEG)), TensorSpec("uint8", (8, 8, 3)))
    assert found.tolist() == expected.tolist()


def zipped(member: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    return stream.getvalue()


GOOD = npy(TENSORS[0])
BAD_CELLS = {
    "no bytes": (NDARRAY, b"", "no saved NumPy array"),
    "text": (NDARRAY, b"hello", "no saved NumPy array"),
    "cut short": (NDARRAY, GOOD[:-1], "isn't the 24 bytes"),
    "too long": (NDARRAY, GOOD + b"a", "isn't the 24 bytes"),
    "cut in the header": (NDARRAY, GOOD[:20], "no saved NumPy array"),
    "code in the header": (NDARRAY, GOOD.replace(b"'<f4'", b"id(0)"), "no saved NumPy array"),
    "another shape": (NDARRAY, npy(TENSORS[0].T), r"float32\[3, 2\] where float32\[2, 3\]"),
    "another dtype": (NDARRAY, npy(TENSORS[0].astype(np.int32)), "int32"),
    "a pickle": (NDARRAY, npy(np.array([[{}] * 3] * 2, dtype=object)), "object"),
    "a later version": (NDARRAY, GOOD.replace(b"NUMPY\1", b"NUMPY\3"), "version"),
    "no archive": (COMPRESSED_NDARRAY, GOOD, "compressed array"),
    "another member": (COMPRESSED_NDARRAY, zipped("other.npy", GOOD), "compressed array"),
    "a pickle in an archive": (COMPRESSED_NDARRAY, npz(np.array([[{}] * 3] * 2, dtype=object)), "object"),
    "a bomb": (COMPRESSED_NDARRAY, zipped("arr.npy", GOOD + bytes(100_000_000)), "isn't the 24 bytes"),
    "no picture": (IMAGE, b"hello", "can't be decoded"),
    "a picture of another size": (IMAGE, picture(np.zeros((3, 2), np.uint8)), "3 x 2, where"),
    "a coloured picture": (IMAGE, picture(np.zeros((2, 3, 3), np.uint8)), "RGB"),
    "a picture with transparency": (IMAGE, picture(np.zeros((2, 3, 4), np.uint8)), "RGBA"),
    "a picture cut short": (IMAGE, picture(np.zeros((2, 3), np.uint8))[:45], "can't be decoded"),
    "a picture of another format": (IMAGE, picture(np.zeros((2, 3), np.uint8), "GIF"), "can't be decoded"),
}


@pytest.mark.parametrize("fault", BAD_CELLS)
def test_a_bad_cell_is_named_with_its_row(fault):
    codec, cell, reason = BAD_CELLS[fault]
    spec = TensorSpec("uint8", (2, 3)) if codec == IMAGE else SPEC
    good = {NDARRAY: npy, COMPRESSED_NDARRAY: npz, IMAGE: picture}[codec](np.zeros(spec.shape, spec.dtype))
    with pytest.raises(DataError, match=f"^row 1: .*{reason}"):
        decode_tensors(codec, cells(good, cell, good), spec)


def test_a_null_is_named_with_its_row():
    with pytest.raises(DataError, match="row 1: the tensor is null"):
        decode_tensors(NDARRAY, cells(GOOD, None), SPEC)


def test_a_tensor_is_known_by_its_length():
    assert decode_npy_or_raw(TENSORS[1].tobytes(), SPEC).tolist() == TENSORS[1].tolist()
    assert decode_npy_or_raw(npy(TENSORS[1]), SPEC).tolist() == TENSORS[1].tolist()
    with pytest.raises(DataError, match="no saved NumPy array"):
        decode_npy_or_raw(TENSORS[1].tobytes()[:-1], SPEC)


@pytest.mark.skipif(petastorm is None, reason="petastorm needs pyarrow < 15 and numpy < 2")
@pytest.mark.parametrize("codec", [NDARRAY, COMPRESSED_NDARRAY])
def test_petastorms_codecs_give_the_same(codec):
    from petastorm import codecs
    from petastorm.unischema import UnischemaField

    own = getattr(codecs, codec)()
    field = UnischemaField("x", np.float32, SPEC.shape, own, False)
    encoded = [bytes(own.encode(field, tensor)) for tensor in TENSORS]
    assert decode_tensors(codec, cells(*encoded), SPEC).tolist() == [
        own.decode(field, cell).tolist() for cell in encoded
    ]
