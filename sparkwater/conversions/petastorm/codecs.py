"""Petastorm's tensor codecs, decoded without petastorm, whole columns at once.

``NdarrayCodec`` stores what ``numpy.save`` writes, ``CompressedNdarrayCodec`` what
``numpy.savez_compressed`` writes under the name ``arr``, ``CompressedImageCodec`` a PNG or JPEG.
``numpy.load`` itself isn't used: the sizes in a header are checked before anything of that size is
read, and object arrays (pickles) have a dtype that no `TensorSpec` has.
"""

from __future__ import annotations

import io
import zipfile
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numpy.lib import format as npy_format

from sparkwater.conversions.tensors.arrow import tensor_view
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import DataError

NDARRAY = "NdarrayCodec"
COMPRESSED_NDARRAY = "CompressedNdarrayCodec"
IMAGE = "CompressedImageCodec"

#: The codecs whose cells are tensors.
TENSOR_CODECS = (NDARRAY, COMPRESSED_NDARRAY, IMAGE)

# NumPy has no types for it.
_npy: Any = npy_format

#: The pictures that are decoded.
IMAGE_FORMATS = ("PNG", "JPEG")


def npy_header(spec: TensorSpec) -> bytes:
    """Return the header that ``numpy.save`` writes before the bytes of such a tensor."""
    stream = io.BytesIO()
    descr = _npy.dtype_to_descr(spec.numpy_dtype)
    _npy.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": spec.shape})
    return stream.getvalue()


def decode_tensors(codec: str, array: pa.BinaryArray, spec: TensorSpec) -> npt.NDArray[np.generic]:
    """Return the tensors in a binary column.

    Parameters
    ----------
    codec : str
        One of `TENSOR_CODECS`.
    array : pyarrow.BinaryArray
        The cells; no nulls.
    spec : TensorSpec
        The spec of each cell. Pictures are ``(height, width)`` or ``(height, width, 3)`` in red,
        green, blue, as petastorm gives them.

    Returns
    -------
    numpy.ndarray
        Shape ``(rows, *spec.shape)``, dtype ``spec.dtype``; memory of its own.

    Raises
    ------
    DataError
        If a cell is null, can't be decoded, or holds another dtype or shape; the row is counted
        from the start of the array.
    """
    if array.null_count:
        raise DataError(f"row {array.is_null().to_pylist().index(True)}: the tensor is null")
    if codec == NDARRAY:
        alike = _decode_alike(array, spec)
        if alike is not None:
            return alike
    values = np.empty((len(array), *spec.shape), spec.numpy_dtype)
    row = 0
    try:
        for row, cell in enumerate(array):
            values[row] = _DECODERS[codec](cell.as_buffer(), spec)
    except DataError as error:
        raise DataError(f"row {row}: {error}") from error
    return values


def decode_npy_or_raw(data: bytes, spec: TensorSpec) -> npt.NDArray[np.generic]:
    """Return one tensor from the bytes of a tensor column, or from what ``numpy.save`` wrote.

    Raises
    ------
    DataError
        If the bytes are neither.
    """
    if len(data) == spec.nbytes:
        return np.frombuffer(data, spec.numpy_dtype).reshape(spec.shape)
    return _decode_npy(pa.py_buffer(data), spec)


def _decode_alike(array: pa.BinaryArray, spec: TensorSpec) -> npt.NDArray[np.generic] | None:
    """Decode all cells in one go where each begins with the header that NumPy writes here."""
    header = np.frombuffer(npy_header(spec), np.uint8)
    try:
        cells = tensor_view(array, TensorSpec("uint8", (len(header) + spec.nbytes,)))
    except DataError:
        return None
    if not (cells[:, : len(header)] == header).all():
        return None
    return np.ascontiguousarray(cells[:, len(header) :]).view(spec.numpy_dtype).reshape(len(array), *spec.shape)


def _decode_npy(data: pa.Buffer, spec: TensorSpec) -> npt.NDArray[np.generic]:
    return _read_npy(pa.BufferReader(data), spec)


def _decode_npz(data: pa.Buffer, spec: TensorSpec) -> npt.NDArray[np.generic]:
    try:
        with zipfile.ZipFile(pa.BufferReader(data)) as archive, archive.open("arr.npy") as member:
            return _read_npy(member, spec)
    except DataError:
        raise
    # zipfile raises a different kind for each of the ways in which an archive can be damaged.
    except Exception as error:
        raise DataError(f"the compressed array can't be read: {error}") from error


def _read_npy(stream: IO[bytes], spec: TensorSpec) -> npt.NDArray[np.generic]:
    try:
        version = _npy.read_magic(stream)
        if version != (1, 0):  # later versions are for headers of more than 64 KiB
            raise ValueError(f"version {version} of the format is not read")
        shape, fortran_order, dtype = _npy.read_array_header_1_0(stream)
    # The header is Python's literal syntax, with as many ways to be wrong.
    except Exception as error:
        raise DataError(f"the bytes are no saved NumPy array: {error}") from error
    if shape != spec.shape or dtype.newbyteorder("=") != np.dtype(spec.dtype):
        raise DataError(f"the array is {dtype}{list(shape)} where {spec} is expected")
    content = stream.read(spec.nbytes + 1)
    if len(content) != spec.nbytes:
        raise DataError(f"the array's content isn't the {spec.nbytes} bytes that {spec} has")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C")


def _decode_image(data: pa.Buffer, spec: TensorSpec) -> npt.NDArray[np.generic]:
    from PIL import Image

    mode = "L" if len(spec.shape) == 2 else "RGB"
    try:
        with Image.open(io.BytesIO(data), formats=IMAGE_FORMATS) as image:
            shape = (image.height, image.width, *((3,) if image.mode == "RGB" else ()))
            if image.mode != mode or shape != spec.shape or spec.dtype != "uint8":
                raise DataError(
                    f"the picture is {image.mode}, {image.height} x {image.width}, where {spec} is expected"
                )
            return np.asarray(image)
    except DataError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"the picture can't be decoded: {error}") from error


_DECODERS = {NDARRAY: _decode_npy, COMPRESSED_NDARRAY: _decode_npz, IMAGE: _decode_image}
