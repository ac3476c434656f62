"""A person at a browser: the program as users start it, a headless Chromium, and what may not happen on any page."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import FORKED, ROOT
from digits import unpack_first_digits
from flow_servers import Server, serving
from flow_windows import Windows

CHROMIUM = shutil.which("chromium")
#: Letters of the program's log in the report of a failure.
_LOG = 4000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where there is none."""
    if CHROMIUM is None:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="chromium isn't installed: see scripts/setup_browser.sh"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a failure tell what its windows show, and what the program said last."""
    report = yield
    if report.when == "call" and report.failed and "windows" in item.funcargs:
        try:
            report.sections += item.funcargs["windows"].tell(item.name)
        except Exception as error:  # the test's own failure is what counts
            report.sections.append(("windows", f"can't be looked at: {error}"))
        if "server" in item.funcargs:
            report.sections.append(("the program's log", item.funcargs["server"].log.read_text()[-_LOG:]))
    return report


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the first shipped digits of each class."""
    folder = tmp_path_factory.mktemp("flow") / "digits"
    unpack_first_digits(folder)
    return folder


@pytest.fixture(scope="session")
def server(digits: Path) -> Iterator[Server]:
    """The program."""
    folders = [f"--folder={folder}" for folder in (digits, ROOT / "data")]
    with serving("-m", "sparkwater.flow", "--master", "local[2]", "--port", "0", *folders, **FORKED) as running:
        yield running


@pytest.fixture(scope="session")
def address(server: Server) -> str:
    """The address that the program prints; it has the token."""
    return server.address


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
    opened = Windows(chromium)
    person = opened(address.split("?")[0], storage_state=cookies)
    with opened.telling("read"):
        person.reads_digits(digits, "shown")
    opened.close()
    return "shown"


@pytest.fixture
def windows(chromium: Any) -> Iterator[Windows]:
    """Windows of new persons; at the end nothing has gone wrong in any of them."""
    opened = Windows(chromium)
    yield opened
    opened.close()


@pytest.fixture
def window(windows: Windows, address: str, cookies: Any) -> Windows:
    """Windows on the server that all tests share, for a browser that has opened its address."""
    windows.usual = {"url": address.split("?")[0], "storage_state": cookies}
    return windows
