"""A person at a browser: the program as users start it, a headless Chromium, and what may not happen on any page."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import ROOT
from person import Person

CHROMIUM = shutil.which("chromium")
#: Shipped digits of each class, for training and for testing.
ROWS = {"training": 40, "testing": 10}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where there is none."""
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="chromium isn't installed: see scripts/setup_browser.sh"))


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the first shipped digits of each class."""
    folder = tmp_path_factory.mktemp("flow") / "digits"
    taken: Counter[tuple[str, str]] = Counter()
    with tarfile.open(ROOT / "data" / "mnist_png.tar.gz") as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            *_, part, label, _ = ("", "", *Path(member.name).parts)
            if member.isfile() and taken[part, label] < ROWS.get(part, 0):
                taken[part, label] += 1
                tar.extract(member, folder, filter="data")
    assert set(taken.values()) == set(ROWS.values())
    return folder


@pytest.fixture(scope="session")
def address(digits: Path) -> Iterator[str]:
    """The address that the program prints; it has the token."""
    environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "sparkwater.flow", "--master", "local[2]", "--port", "0"]
    command += ["--folder", str(digits), "--folder", str(ROOT / "data")]
    log = digits.parent / "log.txt"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=environment
        ) as process,
    ):
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            process.kill()
            pytest.fail(f"the program printed {line!r} and said {log.read_text()[-2000:]}")
        yield found[0]
        process.send_signal(2)
        process.wait(60)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def cookies(chromium: Any, address: str) -> Any:
    """The cookie of the browser that has opened the address."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(address)
    page.get_by_role("navigation", name="Pages", exact=True).wait_for()
    assert "token" not in page.url
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(scope="session")
def read(chromium: Any, address: str, cookies: Any, digits: Path) -> str:
    """The name of the digits of training, which a person has read."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, storage_state=cookies)
    person = Person(context.new_page())
    person.page.goto(address.split("?")[0])
    person.reads_digits(digits, "shown")
    context.close()
    return "shown"


@pytest.fixture
def window(chromium: Any, address: str, cookies: Any) -> Iterator[Any]:
    """Return a function that opens a window of a new person; at the end nothing has gone wrong in any of them.

    Requests to other hosts are aborted and counted; the console must have no errors.
    """
    own, elsewhere, errors, contexts = urlsplit(address).netloc, [], [], []

    def answer(route: Any) -> None:
        if urlsplit(route.request.url).netloc in ("", own):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    def open_window(url: str | None = None, **options: Any) -> Person:
        known = None if url else cookies
        settings = {"viewport": {"width": 1280, "height": 900}, "storage_state": known, **options}
        context = chromium.new_context(accept_downloads=True, **settings)
        contexts.append(context)
        context.route("**/*", answer)
        context.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page = context.new_page()
        page.goto(url or address.split("?")[0])
        return Person(page)

    open_window.errors = errors  # type: ignore[attr-defined]
    yield open_window
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert errors == []
