"""`Bundle`: a trained model as files, that is scored without Spark and torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkwater.bundle.format import MODEL, PREPROCESSING, SIGNATURE, VECTORS
from sparkwater.bundle.scorer.columns import encode
from sparkwater.bundle.scorer.folder import BundleFiles, read_files
from sparkwater.bundle.scorer.pictures import Preprocessing, read_preprocessing
from sparkwater.bundle.scorer.problems import without_problems
from sparkwater.bundle.scorer.report import describe
from sparkwater.bundle.scorer.rows import columns_of
from sparkwater.bundle.scorer.session import Session
from sparkwater.bundle.scorer.signature import Signature, read_signature
from sparkwater.bundle.scorer.vectors import INPUT, OUTPUT, PICTURE, difference, read_vectors
from sparkwater.errors import CheckpointError, ConfigurationError, DataError

#: Rows that are decoded and scored together: decoded pictures of a large batch would fill the memory.
BLOCK_ROWS = 1024

#: Levels of 255 by which decoders of JPEG may differ.
_DECODERS_DIFFER = 8


@dataclass(frozen=True)
class Verified:
    """The result of a comparison with test vectors.

    Attributes
    ----------
    rows : int
        Rows that were scored.
    pictures : int
        Pictures that were decoded.
    differences : dict of str to float
        Of each output, the largest difference from what is expected.
    """

    rows: int
    pictures: int
    differences: dict[str, float]


class Bundle:
    """A bundle, ready to score; safe to use from several threads.

    Made by `load`.

    Attributes
    ----------
    path : str
        The folder.
    manifest : dict
        Format, versions, hashes, row counts and metrics.
    signature : Signature
        Inputs and outputs.
    """

    def __init__(
        self,
        files: BundleFiles,
        signature: Signature,
        pictures: dict[str, Preprocessing],
        session: Session,
    ) -> None:
        self.path = files.path
        self.manifest = files.manifest
        self.signature = signature
        # The graph's bytes aren't kept: the session has them in a form of its own.
        self._vectors = files.content[VECTORS]
        self._pictures = pictures
        self._session = session
        self._picture = _only_picture(signature)

    @classmethod
    def load(cls, path: str | os.PathLike[str], threads: int | None = None) -> Bundle:
        """Load a bundle, check all its files against their hashes, and score its test vectors.

        Nothing in a bundle is executed but the graph's operators. Hashes show damage. They don't show who wrote the
        bundle: compare the hash of its manifest with one from a source that you trust, where that matters.

        Parameters
        ----------
        path : str or os.PathLike
            The folder, on a local disk.
        threads : int, optional
            Threads of one run; onnxruntime's choice without it.

        Raises
        ------
        CheckpointError
            If a file is missing, damaged or too large, the bundle is of another format, onnxruntime refuses the
            graph, or its outputs for the test vectors are others than expected.
        UnsafeLoadError
            If it names or holds files that no bundle has, or links.
        """
        if threads is not None and (type(threads) is not int or threads < 1):
            raise ConfigurationError(f"threads={threads!r}; accepted: whole numbers from 1 up, or None")
        files = read_files(path)
        signature = read_signature(files.json(SIGNATURE))
        pictures = read_preprocessing(files.json(PREPROCESSING))
        _check_pictures(signature, pictures)
        session = Session(files.content[MODEL], signature, threads)
        bundle = cls(files, signature, pictures, session)
        bundle.verify()
        return bundle

    def predict(self, rows: Any, outputs: Sequence[str] | None = None) -> dict[str, npt.NDArray[Any]]:
        """Return the model's outputs for rows.

        Parameters
        ----------
        rows : list of dict, dict of arrays, pandas.DataFrame, pyarrow.Table, pyarrow.RecordBatch, or pictures
            Inputs are found by name; other columns are passed over. Pictures are encoded bytes, paths, PIL images or
            uint8 pixels; where a picture is the only input, one of them or a list will do. An array of pixels is one
            picture with the axes ``(height, width)`` or ``(height, width, 3)``, and several with one axis more.
        outputs : sequence of str, optional
            The outputs that are wanted; all without it.

        Returns
        -------
        dict of str to numpy.ndarray
            The outputs by name, ``(rows, *shape)``; texts are arrays of objects.

        Raises
        ------
        SchemaError
            If a column is missing, or holds values of another type or shape.
        DataError
            If a row has a value that a stage refuses, such as a missing or an unseen one, or a picture can't be
            decoded; with the row. Rows that a stage of the pipeline skips have NaN and None for outputs.
        ConfigurationError
            If there is no such output.
        """
        wanted = self._wanted(outputs)
        columns = columns_of(rows, [each.name for each in self.signature.inputs], self._picture)
        count = len(next(iter(columns.values())))
        blocks = [self._score(columns, start, wanted) for start in range(0, max(count, 1), BLOCK_ROWS)]
        return {
            name: blocks[0][place] if len(blocks) == 1 else np.concatenate([block[place] for block in blocks])
            for place, name in enumerate(wanted)
        }

    def verify(self) -> Verified:
        """Score the test vectors, and decode the pictures among them.

        Raises
        ------
        CheckpointError
            If an output or a decoded picture is another than expected.
        """
        vectors = read_vectors(self._vectors)
        inputs = {each.tensor: _vector(vectors, INPUT + each.name) for each in self.signature.inputs}
        found, problem = self._session.scored(inputs, self.signature)
        if problem is not None:
            raise CheckpointError(f"{self.path!r}: the graph refuses a row of its test vectors: {problem}")
        differences = {}
        for output, values in zip(self.signature.outputs, found, strict=True):
            expected = _vector(vectors, OUTPUT + output.name)
            largest, tolerated = difference(values, expected, output.absolute, output.relative)
            if not tolerated:
                raise CheckpointError(
                    f"{self.path!r}: output {output.name!r} differs by {largest:.3g} from its test vectors; at most "
                    f"{output.absolute:g} + {output.relative:g} * |expected| is tolerated"
                )
            differences[output.name] = largest
        rows = len(next(iter(inputs.values())))
        return Verified(rows, self._verify_pictures(vectors), differences)

    def describe(self) -> str:
        """Return the model, its inputs and outputs, its metrics and its versions as text."""
        return describe(self.manifest, self.signature, self._pictures)

    def __repr__(self) -> str:
        return f"Bundle({self.path!r})"

    def _wanted(self, outputs: Sequence[str] | None) -> dict[str, str]:
        """Return the tensors of outputs, by their names."""
        known = {output.name: output.tensor for output in self.signature.outputs}
        unknown = [name for name in outputs or () if name not in known]
        if unknown:
            raise ConfigurationError(f"there is no output {unknown[0]!r}; the bundle gives {', '.join(known)}")
        return known if outputs is None else {name: known[name] for name in outputs}

    def _score(self, columns: Any, start: int, wanted: dict[str, str]) -> list[npt.NDArray[Any]]:
        inputs = {
            each.tensor: encode(columns[each.name][start : start + BLOCK_ROWS], each, self._pictures, start)
            for each in self.signature.inputs
        }
        if self.signature.problem is None:
            return self._session.run(inputs, list(wanted.values()))
        *found, problems = self._session.run(inputs, [*wanted.values(), self.signature.problem])
        return without_problems(found, problems, self.signature.problems, start)

    def _verify_pictures(self, vectors: dict[str, npt.NDArray[Any]]) -> int:
        """Return the count of pictures that were decoded as expected."""
        count = 0
        for name, encoded in vectors.items():
            if not name.startswith(PICTURE):
                continue
            column, _, row = name.removeprefix(PICTURE).rpartition(":")
            if column not in self._pictures or not row.isdigit() or int(row) >= len(vectors[INPUT + column]):
                raise CheckpointError(f"the test vectors are damaged: {name!r} is no picture of theirs")
            expected = vectors[INPUT + column][int(row)].astype(np.int64)
            try:
                found = self._pictures[column].tensor(encoded.tobytes())
            except DataError as error:
                raise CheckpointError(f"{self.path!r}: picture {row} of {column!r}: {error}") from error
            if np.abs(found - expected).max() > _DECODERS_DIFFER:
                raise CheckpointError(f"{self.path!r}: picture {row} of {column!r} is decoded otherwise than expected")
            count += 1
        return count


def _only_picture(signature: Signature) -> str | None:
    first = signature.inputs[0]
    return first.name if len(signature.inputs) == 1 and first.kind == "picture" else None


def _check_pictures(signature: Signature, pictures: dict[str, Preprocessing]) -> None:
    unknown = [name for name in pictures if name not in {each.name for each in signature.inputs}]
    if unknown:
        raise CheckpointError(f"{PREPROCESSING} names {unknown[0]!r}, which is no input")
    for each in signature.inputs:
        if each.kind != "picture":
            continue
        way = pictures.get(each.name)
        if way is None or (way.channels, way.height, way.width) != each.shape or each.dtype != "uint8":
            raise CheckpointError(f"{PREPROCESSING} doesn't say how {each.name!r} becomes {each.dtype} {each.shape}")


def _vector(vectors: dict[str, npt.NDArray[Any]], name: str) -> npt.NDArray[Any]:
    if name not in vectors:
        raise CheckpointError(f"the test vectors have no {name!r}")
    return vectors[name]
