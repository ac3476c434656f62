"""The web face: a newcomer's seconds to a trained model, the page's weight, and a training's speed while it is open.

The newcomer is a program in Chromium that clicks without thinking, from the start of ``python -m sparkwater.flow`` on.
For the speed, LeNet learns the shipped digits with a window on the page of jobs and without any, in turns that change
their order, beside the server in one Spark session. Rows a second are those of all epochs but the first.

    python benchmarks/bench_flow.py [--pairs 4] [--epochs 6] [--workers 1] [--data build/mnist_png]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from sessions import check_digits, start_spark

from sparkwater.flow import serve
from sparkwater.flow.workbook.actions.reading import ReadPictures
from sparkwater.flow.workbook.actions.training import Fit

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from flow_servers import serving
from person import Person

GOAL = 0.97
SIZE = {"width": 1280, "height": 900}
WEIGHT = "() => performance.getEntries().reduce((sum, entry) => sum + (entry.transferSize || 0), 0)"
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=4, help="pairs of trainings (%(default)s)")
    parser.add_argument("--epochs", type=int, default=6, help="of each training (%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="ranks of each training (%(default)s)")
    parser.add_argument("--data", default="build/mnist_png", help="folder of digits (%(default)s)")
    arguments = parser.parse_args()
    check_digits(arguments.data)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        newcomer(browser, Path(arguments.data).resolve())
        speed(browser, Path(arguments.data).resolve(), arguments)
        browser.close()


def newcomer(browser: Browser, data: Path) -> None:
    """Print the seconds from the command to each thing that a newcomer sees."""
    began = time.perf_counter()

    def passed(words: str) -> None:
        print(f"{time.perf_counter() - began:6.1f} s  {words}", flush=True)

    with serving("-m", "sparkwater.flow", "--port", "0", "--folder", str(data)) as server:
        passed("the address is printed")
        person = Person(browser.new_page(viewport=SIZE))
        person.page.goto(server.address)
        person.page.get_by_role("navigation", name="Pages", exact=True).wait_for()
        passed("the page is there")
        loads(person.page, "first visit")
        person.sees("Files")
        passed("Spark is ready")
        person.opens_folder("training")
        person.presses("Read pictures here")
        person.fills("Name of the data", "digits")
        person.presses("Read")
        person.sees_data("digits", "10,000 rows, 3 columns")
        passed("10,000 digits are read and measured")
        person.trains("digits", "lenet", epochs="2")
        person.sees_the_end("Train lenet,")
        passed("LeNet has learned them for two epochs")
        person.looks_at("lenet").get_by_role("heading", name="Confusion matrix").wait_for()
        passed("its confusion matrix is seen")
        person.page.reload()
        loads(person.page, "another visit")
        person.page.close()


def loads(page: Any, words: str) -> None:
    """Print a page's weight and its first paint."""
    page.wait_for_load_state("networkidle")
    print(f"          {words}: {page.evaluate(WEIGHT) / 1e3:,.0f} KB, first paint after {page.evaluate(PAINT):,.0f} ms")


def speed(browser: Browser, data: Path, arguments: argparse.Namespace) -> None:
    """Print a training's rows a second with the page open, and closed."""
    spark = start_spark(2)
    served = serve(spark, [data], port=0)
    jobs = served.desk.jobs
    jobs.complete(ReadPictures("digits", str(data / "training")))
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    page.goto(served.invite())
    page.close()

    def rows_a_second(name: str) -> float:
        params = {"featuresCol": "content", "epochs": arguments.epochs, "numWorkers": arguments.workers}
        jobs.complete(Fit(name, "digits", "ImageClassifier", {**params, "imageShape": [28, 28, 1]}))
        records = served.desk.workspace.value(name).summary.records[1:]
        return sum(record.rows for record in records) / sum(record.seconds for record in records)

    @contextmanager
    def opened() -> Iterator[None]:
        page = context.new_page()
        page.goto(f"{served.url}jobs")
        yield
        assert page.get_by_role("region", name="The chosen job").is_visible()
        page.close()

    rows_a_second("warm_up")
    ratios = []
    for pair in range(arguments.pairs):
        measured = {}
        for is_open in (True, False) if pair % 2 else (False, True):
            name = f"pair_{pair}_{'open' if is_open else 'closed'}"
            if is_open:
                with opened():
                    measured[is_open] = rows_a_second(name)
            else:
                measured[is_open] = rows_a_second(name)
        ratios.append(measured[True] / measured[False])
        print(f"{measured[True]:8,.0f} rows a second with the page open, {measured[False]:8,.0f} closed", flush=True)
    print(f"open / closed: {statistics.median(ratios):.3f}, of pairs {', '.join(f'{ratio:.3f}' for ratio in ratios)}")
    print(f"(goal: at least {GOAL}; {arguments.workers} ranks on 2 slots)")
    served.stop()
    spark.stop()


if __name__ == "__main__":
    main()
