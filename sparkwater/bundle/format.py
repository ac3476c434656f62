"""The format of a bundle: names of its files, limits of their sizes, and the values that stand for missing ones.

It needs the standard library alone; the writer and the scorer share it.
"""

from __future__ import annotations

#: Number of the format that is written and read.
FORMAT = 1

#: The file that names all others, with their sizes and SHA-256.
MANIFEST = "manifest.json"

MODEL, SIGNATURE, PREPROCESSING, VECTORS = "model.onnx", "signature.json", "preprocessing.json", "vectors.safetensors"
CARD, CARD_HTML = "model_card.md", "model_card.html"

#: Files of each bundle beside the manifest, and the most bytes of each. A graph is one protobuf message, which ends
#: below 2 GiB.
MOST_BYTES = {
    MODEL: 2**31 - 1,
    SIGNATURE: 64 * 2**20,
    PREPROCESSING: 2**20,
    VECTORS: 2**30,
    CARD: 16 * 2**20,
    CARD_HTML: 64 * 2**20,
}

#: The most bytes of the manifest.
MOST_MANIFEST_BYTES = 2**20

#: The most rows of test vectors that are written.
VECTOR_ROWS = 100

#: A missing string, as the graph gets it: tensors of strings hold no null, and the empty string is a value of its own.
#: It is one character of Unicode's private use area. A missing number is NaN.
MISSING_TEXT = "\uf8ff"

#: A missing time, as the graph gets it, in microseconds.
MISSING_TIME = -(2**63)

#: Kinds of inputs: a number; a text or category; microseconds since 1970 began; numbers of one shape; a picture.
KINDS = ("number", "string", "time", "vector", "tensor", "picture")

#: dtypes of inputs and outputs, as NumPy names them; texts are ``string``.
DTYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "string",
)
