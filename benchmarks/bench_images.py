"""ImageToTensor against plain Pillow: the share of its speed left inside a Spark job.

2,000 JPEGs, two thirds of them 224 x 224, the others 640 x 480, become 3 x 224 x 224 tensors: by
ImageToTensor on local[2], from encoded bytes and from URIs, and by two plain processes that run the
same Pillow calls (decode with the same draft setting, resize with the same filter, a NumPy array)
and keep nothing. In turns, in one run, after a warm-up; the machine's noise cancels in the ratio.
The job's fixed cost - the same query on no rows - is measured too, and printed beside.

    python benchmarks/bench_images.py [--pictures 2000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps
from sessions import start_spark

from sparkwater.conversions import ImageToTensor

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SIDE, TASKS = 224, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = write_pictures(Path(folder), arguments.pictures)
        spark = start_spark(TASKS)
        # Plain processes of their own, started and warm before anything is measured.
        with multiprocessing.get_context("spawn").Pool(TASKS) as processes:
            for kind, frame in frames(spark, paths).items():
                compare(kind, frame, processes, paths, arguments.rounds)
        spark.stop()


def write_pictures(folder: Path, count: int) -> list[str]:
    """Write pictures with smooth random patches, as compressible as photographs, and return their paths."""
    random = np.random.default_rng(7)
    paths = []
    for number in range(count):
        width, height = (640, 480) if number % 3 == 2 else (SIDE, SIDE)
        patches = Image.fromarray(random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8))
        path = folder / f"{number:05}.jpg"
        patches.resize((width, height), Image.Resampling.BICUBIC).save(path, quality=90)
        paths.append(str(path))
    return paths


def frames(spark: SparkSession, paths: list[str]) -> dict[str, DataFrame]:
    rows = [(path, Path(path).read_bytes()) for path in paths]
    frame = spark.createDataFrame(rows, "uri string, content binary").repartition(TASKS).cache()
    frame.count()
    return {"content": frame.select("content"), "uri": frame.select("uri")}


def compare(kind: str, frame: DataFrame, processes: Any, paths: list[str], rounds: int) -> None:
    stage = ImageToTensor(inputCol=kind, outputCol="tensor", imageShape=[SIDE, SIDE, 3])
    work, no_work = stage.transform(frame), stage.transform(frame.where("false"))
    halves = [(kind, paths[part::TASKS]) for part in range(TASKS)]
    ours, plain, fixed = [], [], []
    for _ in range(rounds + 1):
        plain.append(max(processes.map(decode_half, halves, chunksize=1)))
        ours.append(seconds_of(work))
        fixed.append(seconds_of(no_work))
    ratios = [other / mine for mine, other in zip(ours[1:], plain[1:], strict=True)]
    net = [other / (mine - empty) for mine, other, empty in zip(ours[1:], plain[1:], fixed[1:], strict=True)]
    print(
        f"{kind}: ratio {statistics.median(ratios):.3f} of plain Pillow (rounds: "
        f"{', '.join(f'{ratio:.3f}' for ratio in ratios)}), {statistics.median(net):.3f} without the job's fixed "
        f"{statistics.median(fixed[1:]):.2f} s; sparkwater {len(paths) / statistics.median(ours[1:]):.0f} pictures/s, "
        f"plain {len(paths) / statistics.median(plain[1:]):.0f}",
        flush=True,
    )


def seconds_of(frame: DataFrame) -> float:
    started = time.perf_counter()
    frame.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - started


def decode_half(half: tuple[str, list[str]]) -> float:
    """Return the seconds that one plain process takes; bytes are read before the clock starts."""
    kind, paths = half
    sources: list[Any] = [Path(path).read_bytes() if kind == "content" else path for path in paths]
    started = time.perf_counter()
    for source in sources:
        with Image.open(io.BytesIO(source) if kind == "content" else source) as opened:
            opened.draft("RGB", (2 * SIDE, 2 * SIDE))
            ImageOps.exif_transpose(opened, in_place=True)
            np.asarray(opened.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
