"""The web face where there is much: 1,000 jobs, a folder of 10,000 files, a table of 2,000 columns.

A program in Chromium clicks, and measures the seconds from a click until what it asked for is on the page. Then it
looks at how long the server computes for a window that is left open on each page.

    python benchmarks/bench_flow_sizes.py [--jobs 1000] [--files 10000] [--columns 2000]
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psutil
from playwright.sync_api import sync_playwright
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sessions import start_spark

from sparkwater.flow import serve
from sparkwater.flow.workbook.actions import Action
from sparkwater.flow.workbook.code import Code

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from person import Person

SIZE = {"width": 1280, "height": 900}
#: Seconds for which a window is left open.
OPEN = 10
_ROWS = 1_000


@dataclass(frozen=True)
class Numbers(Action):
    """A DataFrame of numbers."""

    kind: ClassVar[str] = "numbers"

    result: str

    @property
    def title(self) -> str:
        """Its words in lists."""
        return f"Make {self.result}"

    def code(self) -> Code:
        """Return its Python."""
        return Code((), (f"{self.result} = spark.range(10)",))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1_000, help="jobs that have run (%(default)s)")
    parser.add_argument("--files", type=int, default=10_000, help="files of a folder (%(default)s)")
    parser.add_argument("--columns", type=int, default=2_000, help="columns of a table (%(default)s)")
    arguments = parser.parse_args()
    spark = start_spark(2)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        root = Path(name).resolve()
        write_files(spark, root, arguments.files, arguments.columns)
        served = serve(spark, [root], port=0)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        person = Person(browser.new_page(viewport=SIZE))
        person.page.goto(served.invite())
        folder(person, arguments.files)
        table(person, arguments.columns)
        for number in range(arguments.jobs):
            served.desk.jobs.complete(Numbers(f"numbers_{number}"))
        jobs(person)
        browser.close()
        served.stop()
    spark.stop()


def write_files(spark: SparkSession, root: Path, files: int, columns: int) -> None:
    """Write a folder of many files, and a table of many columns."""
    (root / "many").mkdir()
    for number in range(files):
        (root / "many" / f"{number}.png").touch()
    numbers = [(F.rand(seed=place) * 100).alias(f"column_{place}") for place in range(columns - 1)]
    wide = spark.range(_ROWS).select((F.col("id") % 3).cast("string").alias("label"), *numbers)
    wide.coalesce(1).write.csv(str(root / "wide"), header=True)


@contextmanager
def timed(words: str) -> Iterator[None]:
    """Print the seconds that a block takes."""
    began = time.perf_counter()
    yield
    print(f"{time.perf_counter() - began:6.2f} s  {words}", flush=True)


def left_open(person: Person, words: str) -> None:
    """Print the share of a core that this process, which is the server, takes for the open page."""
    process = psutil.Process()
    before = process.cpu_times()
    person.page.wait_for_timeout(1_000 * OPEN)
    after = process.cpu_times()
    share = (after.user + after.system - before.user - before.system) / OPEN
    print(f"{share:8.1%}  of a core while {words} is open", flush=True)


def folder(person: Person, files: int) -> None:
    """Measure the list of files."""
    with timed(f"the folder of {files:,} files is listed"):
        person.picks("many")
        person.sees(re.compile(f"^{files:,} files; page 1 of "))
    with timed("its next page"):
        person.presses("next page")
        person.sees(re.compile("; page 2 of "))
    with timed("a search in it"):
        person.fills("Search files and folders", f"{files - 1}.")
        person.sees("1 file")


def table(person: Person, columns: int) -> None:
    """Measure a table of many columns: its preview, its facts, its form."""
    person.page.reload()
    person.picks("wide")
    with timed(f"the first rows of a table of {columns:,} columns are shown"):
        person.presses(re.compile("^part-.*csv$"))
        person.page.get_by_role("combobox", name="Type of label", exact=True).wait_for()
    person.fills("Name of the data", "wide")
    with timed("it is read, and the columns of a page are measured"):
        person.presses("Read")
        person.sees_data("wide", f"{_ROWS:,} rows, {columns:,} columns")
    with timed("the next page of columns is measured"):
        person.presses("next page", person.page.get_by_role("tabpanel").locator("visible=true").last)
        person.sees(re.compile(f"^{columns:,} columns; page 2 of "))
        person.page.get_by_role("button", name="column_25", exact=True).wait_for()
    with timed("its first rows are shown"):
        person.opens_tab("First rows").get_by_role("table").first.wait_for()
    with timed("the form for it is there"):
        person.builds_on("wide", "DeepLearningClassifier")
    with timed("a field of the form is filled, and the Python shows it"):
        person.fills("epochs", "7")
        person.page.get_by_role("region", name="Python", exact=True).filter(has_text="epochs=7").wait_for()


def jobs(person: Person) -> None:
    """Measure the pages where many jobs have run."""
    last = person.page.get_by_role("group", name=re.compile("^Cell 1$"))
    seen: dict[str, Callable[[], None]] = {
        "Data": lambda: person.page.get_by_role("button", name="numbers_0", exact=True).wait_for(),
        "Build": lambda: person.page.get_by_role("region", name="Python", exact=True).wait_for(),
        "Jobs": lambda: person.page.get_by_role("region", name="The chosen job", exact=True).wait_for(),
        "Models": lambda: person.page.get_by_role("heading", level=1).wait_for(),
        "Flow": lambda: last.wait_for(),
    }
    for name, is_seen in seen.items():
        with timed(f"the page {name}"):
            person.goes_to(name)
            is_seen()
        left_open(person, name)
    person.goes_to("Jobs")
    with timed("the next page of jobs"):
        before = person.page.get_by_role("button", name=re.compile("^Show job ")).first.get_attribute("aria-label")
        person.presses("Next page")
        person.page.wait_for_function(
            "before => document.querySelector('[aria-label^=\"Show job\"]').ariaLabel !== before", arg=before
        )


if __name__ == "__main__":
    main()
