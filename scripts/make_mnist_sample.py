"""The MNIST sample data/mnist_png.tar.gz: 10,000 training and 2,000 testing digits, classes in proportion.

    python scripts/make_mnist_sample.py IDX_FOLDER data/mnist_png.tar.gz

IDX_FOLDER holds MNIST's four idx files. The same files give the same archive, byte for byte.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sparkwater.conversions.images.idx import PARTS, read_idx_pair, write_pngs

ROWS = {"training": 10_000, "testing": 2_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("idx_folder", type=Path)
    parser.add_argument("archive", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        for part, prefix in PARTS.items():
            pictures, labels = read_idx_pair(arguments.idx_folder, prefix)
            write_pngs(tree / part, pictures, labels, stratified(labels, ROWS[part]))
        write_archive(tree, arguments.archive)


def stratified(labels: npt.NDArray[np.uint8], rows: int) -> npt.NDArray[np.int64]:
    """Return rows of each class, as many as its share, evenly spaced; largest remainders make up the total."""
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * rows / len(labels)
    wanted = np.floor(shares).astype(int)
    wanted[np.argsort(wanted - shares, kind="stable")[: rows - wanted.sum()]] += 1
    chosen = [_spaced(np.flatnonzero(labels == label), count) for label, count in zip(classes, wanted, strict=True)]
    return np.sort(np.concatenate(chosen))


def _spaced(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    return rows[np.arange(count) * len(rows) // count]


def write_archive(tree: Path, archive: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(tree.rglob("*.png")):
            member = tarfile.TarInfo(path.relative_to(tree).as_posix())
            member.size = path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(member, file)
    archive.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))


if __name__ == "__main__":
    main()
