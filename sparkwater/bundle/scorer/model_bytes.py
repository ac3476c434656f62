"""Parts of an ONNX model that are refused before onnxruntime reads it: tensors in other files, foreign operators.

A message of protobuf is a list of fields; each begins with a number and a type, and says where it ends. This reads no
more than that, as onnx isn't there where bundles are scored. The numbers of fields are those of ``onnx.proto``.
"""

from __future__ import annotations

from collections.abc import Iterator

#: Messages that hold others: the field's number, and the kind of message in it.
_HOLDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}

#: Fields of tensors that say where else their numbers are.
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14

#: The field of a node with its operator's domain, and ONNX's domains.
_DOMAIN, _DOMAINS = 7, (b"", b"ai.onnx", b"ai.onnx.ml")

#: Types of fields: a whole number, 8 bytes, bytes after their count, 4 bytes.
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


def check_model(content: bytes) -> None:
    """Refuse a model with tensors in other files, or with operators that ONNX hasn't.

    Parameters
    ----------
    content : bytes
        The model.

    Raises
    ------
    ValueError
        If it has some, or is damaged.
    """
    waiting = [("model", 0, len(content))]
    while waiting:
        kind, start, stop = waiting.pop()
        inside = _HOLDS[kind]
        for number, wire, first, last in _fields(content, start, stop):
            if wire == _BYTES and number in inside:
                waiting.append((inside[number], first, last))
            elif kind == "tensor" and number in (_EXTERNAL_DATA, _DATA_LOCATION):
                if wire == _BYTES or (wire == _VARINT and _varint(content, first, last)[0]):
                    raise ValueError("a tensor is in another file")
            elif kind == "node" and number == _DOMAIN and content[first:last] not in _DOMAINS:
                raise ValueError(f"there is an operator of the domain {content[first:last]!r}, which ONNX hasn't")


def _fields(content: bytes, place: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield number, type, and first and last place of the value of each field."""
    while place < stop:
        tag, place = _varint(content, place, stop)
        number, wire = tag >> 3, tag & 7
        first = place
        if wire == _VARINT:
            place = _varint(content, place, stop)[1]
        elif wire == _BYTES:
            size, first = _varint(content, place, stop)
            place = first + size
        elif wire in (_EIGHT, _FOUR):
            place += 8 if wire == _EIGHT else 4
        else:
            raise ValueError(f"a field of type {wire}")
        if place > stop:
            raise ValueError("it ends too early")
        yield number, wire, first, place


def _varint(content: bytes, place: int, stop: int) -> tuple[int, int]:
    """Return a whole number of 7 bits a byte, and the place after it."""
    value = shift = 0
    while place < stop and shift < 70:
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise ValueError("a number without an end")
