"""The documentation's pictures of the web face, on the shipped digits: `make flow-pictures`.

They are no test, and kept in docs/flow: look at them before they are committed.
"""

from __future__ import annotations

import io
import itertools
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from PIL import Image

PICTURES = ROOT / "docs" / "flow"
#: Size of a window, and bytes of a picture at most.
SIZE, MOST_BYTES = {"width": 1280, "height": 860}, 150_000


@pytest.fixture(scope="session")
def digits() -> Iterator[Path]:
    """The shipped digits, in a folder whose name pages may show."""
    folder = new_folder("digits")
    try:
        shutil.copytree(ROOT / "build" / "mnist_png", folder, dirs_exist_ok=True)
        yield folder
    finally:
        shutil.rmtree(folder)


def new_folder(name: str) -> Path:
    """Return a new folder for this user alone, with a number after its name where another one has the name.

    Pictures are the same each time they are made, and short; with `tempfile`'s random letters they weren't.
    """
    for number in itertools.count(1):
        folder = Path(tempfile.gettempdir()) / (name if number == 1 else f"{name}_{number}")
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            return folder
    raise AssertionError("there are always more numbers")


def keep(person: Any, name: str) -> None:
    """Keep what the window shows, in as few colours as it needs."""
    person.page.mouse.move(0, SIZE["height"] - 1)  # no tooltip
    person.page.evaluate("scrollTo(0, 0)")
    person.page.wait_for_timeout(700)
    shot = Image.open(io.BytesIO(person.page.screenshot(animations="disabled"))).convert("RGB")
    PICTURES.mkdir(exist_ok=True)
    target = PICTURES / f"{name}.png"
    shot.quantize(256, dither=Image.Dither.NONE).save(target, optimize=True)
    assert target.stat().st_size < MOST_BYTES


def test_pictures(window: Any, digits: Path) -> None:
    person = window(viewport=SIZE)
    person.reads_digits(digits, "digits", "10,000 rows")
    keep(person, "data")
    person.goes_to("Build")
    person.page.get_by_role("img", name=re.compile("^Drawing of lenet")).wait_for()
    person.fills("epochs", "8")
    keep(person, "build")
    person.fills_the_form("digits", "lenet", network="lenet", epochs="8", numWorkers="2")
    person.opens("Advanced")
    person.fills("validationFraction", "0.1")
    person.presses("Train")
    card = person.job("Train lenet,")
    card.get_by_text(re.compile("^[5-7] of 8 epochs")).wait_for()
    keep(person, "jobs")
    person.sees_the_end("Train lenet,")
    person.looks_at("lenet").get_by_role("heading", name="Confusion matrix").wait_for()
    person.page.set_viewport_size({"width": SIZE["width"], "height": 1570})  # down to the end of the matrix
    keep(person, "models")
    person.page.set_viewport_size(SIZE)
    person.goes_to("Data")
    person.reads_digits(digits, "test_digits", "2,000 rows", "testing")
    person.looks_at("lenet")
    panel = person.opens_tab("Mistakes")
    person.chooses("Data", "test_digits")
    person.presses("Show the worst", panel)
    panel.get_by_role("img", name=re.compile("taken for")).last.wait_for()
    keep(person, "mistakes")
    panel = person.opens_tab("Score")
    person.chooses("Data to score", "test_digits")
    person.fills("Name of the scored data", "scored")
    person.presses("Score", panel)
    panel.get_by_text("scored is made; the page Data shows its rows.").wait_for()
    person.cell("Train lenet,")
    keep(person, "flow")
