"""Pictures scored by a bundle, in a Python that has neither Spark nor torch; a part of `bench_stacked_bundle.py`.

    python scored_elsewhere.py BUNDLE PICTURES ROUNDS

PICTURES is a JSON list of paths. The last line is a JSON object: labels, probabilities, seconds.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from pathlib import Path

began = time.perf_counter()
from sparkwater.bundle import Bundle  # noqa: E402 - the import is what is measured

IMPORTED = time.perf_counter() - began

#: Pictures that are scored one by one.
SINGLES = 500


def main(folder: str, listing: str, rounds: int) -> None:
    there = [name for name in ("pyspark", "torch", "pyarrow", "pandas") if importlib.util.find_spec(name)]
    if there:
        sys.exit(f"{sys.executable} has {', '.join(there)}: an environment of sparkwater[scorer] alone is needed")
    encoded = [Path(path).read_bytes() for path in json.loads(Path(listing).read_text())]
    started = time.perf_counter()
    bundle = Bundle.load(folder)
    loaded = time.perf_counter() - started
    single, singles, batches = Bundle.load(folder, threads=1), [], []
    for picture in encoded[:SINGLES]:
        started = time.perf_counter()
        single.predict(picture)
        singles.append(1000 * (time.perf_counter() - started))
    for _ in range(rounds):
        started = time.perf_counter()
        found = bundle.predict(encoded)
        batches.append(time.perf_counter() - started)
    seconds = {"import": IMPORTED, "load": loaded, "batches": batches, "singles": singles}
    print(
        json.dumps({"labels": list(found["predictedLabel"]), "probability": found["probability"].tolist(), **seconds})
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
