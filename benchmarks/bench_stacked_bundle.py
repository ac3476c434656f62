"""The ensemble of ``make demo-stack`` as one bundle, scored without Spark and torch: from Python and from Node.

Decoding of pictures, two networks, a forest, a regression and the combiner are one graph. All test pictures go through
``transform``, through a Python that has nothing but ``sparkwater[scorer]``, and through Node. Printed are the pictures
with another label, the largest difference of a probability, the bundle's size, seconds to load it, milliseconds for one
picture, and pictures a second. Python reads encoded pictures, Node decoded ones.

    python benchmarks/bench_stacked_bundle.py [--ensemble build/stack] [--data build/mnist_png] [--node build/node]

Without ``--scorer PYTHON`` the environment is made first, and its size printed. Both have all cores in batches, and
one thread for one picture.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from sessions import check_digits, start_spark

from sparkwater.bundle import export_bundle
from sparkwater.conversions import ImageToTensor, read_images
from sparkwater.stacking import StackedEnsembleModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROOT = Path(__file__).parents[1]


def main() -> None:
    arguments = parse_arguments()
    check_digits(arguments.data)
    if not arguments.ensemble.is_dir():
        sys.exit(f"there is no {arguments.ensemble}: run 'make demo-stack' once, or pass --ensemble")
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments, Path(folder))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ensemble", type=Path, default=Path("build/stack"))
    parser.add_argument("--data", type=Path, default=Path("build/mnist_png"))
    parser.add_argument("--node", type=Path, default=Path("build/node"), help="folder of scripts/setup_node.sh")
    parser.add_argument("--scorer", type=Path, help="a Python that has sparkwater[scorer] and nothing else")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    spark = start_spark()
    decode = ImageToTensor(inputCol="content", outputCol="features", imageShape=[28, 28, 1])
    model = PipelineModel([decode, StackedEnsembleModel.load(str(arguments.ensemble.resolve()))])
    pictures = read_images(spark, str((arguments.data / "testing").resolve()))
    pictures = pictures.repartition(2).persist()
    started = time.perf_counter()
    export_bundle(model, str(folder / "bundle"), pictures.drop("path"))
    exported = time.perf_counter() - started
    size = sum(file.stat().st_size for file in (folder / "bundle").iterdir())
    print(f"bundle: {size / 1e6:.2f} MB, exported and checked in {exported:.1f} s")
    rows = expected(model, pictures)
    (folder / "pictures.json").write_text(json.dumps([row.path.removeprefix("file:") for row in rows]))
    (folder / "pixels").write_bytes(b"".join(bytes(row.features) for row in rows))
    taken = [seconds_of(model, pictures) for _ in range(arguments.rounds + 1)][1:]
    print(f"transform: {len(rows) / statistics.median(taken):,.0f} pictures/s")
    spark.stop()
    python = arguments.scorer or scorer_only(folder / "scorer")
    report("Python", rows, scored([python, ROOT / "benchmarks" / "scored_elsewhere.py"], folder, "pictures.json",
                                  arguments.rounds))  # fmt: skip
    if (arguments.node / "node_modules").is_dir():
        (folder / "node_modules").symlink_to((arguments.node / "node_modules").resolve())
        program = folder / "scored.mjs"  # beside its packages
        program.write_bytes((ROOT / "benchmarks" / "scored_elsewhere.mjs").read_bytes())
        report("Node", rows, scored(["node", program], folder, "pixels", arguments.rounds))
    else:
        print(f"Node: no packages in {arguments.node}; 'scripts/setup_node.sh {arguments.node}' installs them")


def expected(model: PipelineModel, pictures: DataFrame) -> list[Any]:
    """Return path, pixels, label and probabilities of each picture; in the order of the paths."""
    scored = model.transform(pictures)
    return scored.select("path", "features", "predictedLabel", vector_to_array("probability").alias("probability")) \
        .orderBy("path").collect()  # fmt: skip


def seconds_of(model: PipelineModel, pictures: DataFrame) -> float:
    started = time.perf_counter()
    model.transform(pictures.drop("path")).write.format("noop").mode("overwrite").save()
    return time.perf_counter() - started


def scorer_only(folder: Path) -> Path:
    """Return the Python of a new environment with the scorer's extra; print its size."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    before = sizes(folder)
    constraints = ["--constraint", ROOT / "constraints" / "pinned.txt"]
    subprocess.run(
        [folder / "bin" / "python", "-m", "pip", "install", "--quiet", *constraints, f"{ROOT}[scorer]"], check=True
    )
    added = {name: size - before.get(name, 0) for name, size in sizes(folder).items()}
    largest = sorted(((size, name) for name, size in added.items() if size > 1e6), reverse=True)
    print(f"sparkwater[scorer]: {sum(added.values()) / 1e6:.0f} MB:", *(f"{n} {s / 1e6:.1f}" for s, n in largest))
    return folder / "bin" / "python"


def sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each package."""
    (packages,) = folder.glob("lib/*/site-packages")
    return {
        each.name: sum(file.stat().st_size for file in [each, *each.rglob("*")] if file.is_file())
        for each in packages.iterdir()
    }


def scored(command: list[Any], folder: Path, rows: str, rounds: int) -> dict[str, Any]:
    """Return what a program reports in its last line."""
    done = subprocess.run(
        [*command, folder / "bundle", folder / rows, str(rounds)], cwd=folder, stdout=subprocess.PIPE, text=True,
        check=True, env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(name: str, rows: list[Any], found: dict[str, Any]) -> None:
    others = sum(label != row.predictedLabel for label, row in zip(found["labels"], rows, strict=True))
    away = np.abs(np.array(found["probability"]) - np.array([row.probability for row in rows])).max()
    singles = sorted(found["singles"])
    imported = f"imported in {found['import']:.2f} s, " if "import" in found else ""
    print(
        f"{name}: {others} of {len(rows):,} labels differ, probabilities by {away:.1e} at most; {imported}"
        f"loaded in {found['load']:.2f} s; one picture: median {statistics.median(singles):.2f} ms, "
        f"99th percentile {singles[int(0.99 * len(singles))]:.2f} ms; "
        f"{len(rows) / statistics.median(found['batches']):,.0f} pictures/s in batches"
    )


if __name__ == "__main__":
    main()
