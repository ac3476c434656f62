"""The documentation's site in a browser: found by its search, read on a telephone, and without a finding of axe's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from conftest import ROOT

from scripts.pages.__main__ import gather

AXE = ROOT / "build" / "node" / "node_modules" / "axe-core" / "axe.min.js"
#: One of each kind.
PAGES = (
    "index.html",
    "lab/02_lenet.html",
    "lab/03_networks_of_your_own.html",
    "api/ImageClassifier.html",
    "api/ml_functions.html",
    "coming_from/deep_water.html",
    "flow.html",
    "performance.html",
    "CHANGELOG.html",
)
TELEPHONE = {"width": 360, "height": 740}
#: Words of a page that are wider than it, with none around them that scroll.
TOO_WIDE = """() => [...document.querySelectorAll('.md-content *')].filter(one => {
    if (one.getBoundingClientRect().right <= innerWidth + 1 || one.closest('svg')) return false
    for (let around = one; around; around = around.parentElement)
        if (/auto|scroll|hidden/.test(getComputedStyle(around).overflowX)) return false
    return true
}).map(one => one.outerHTML.slice(0, 100))"""


class Quiet(SimpleHTTPRequestHandler):
    """Files, without a line in the log for each."""

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the site, which is built and served."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", gather(folder)]
    subprocess.run(command, check=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    handler = partial(Quiet, directory=str(folder / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing_serious_on_the_documentation_s_pages(windows: Any, site: str, colours: str) -> None:
    if not AXE.exists():
        pytest.skip("axe is not installed; scripts/setup_node.sh build/node installs it")
    page = windows(f"{site}/{PAGES[0]}", color_scheme=colours).page
    found = []
    for name in PAGES:
        page.goto(f"{site}/{name}")
        page.evaluate(AXE.read_text())
        assert page.evaluate("document.body.dataset.mdColorScheme") == {"light": "default", "dark": "slate"}[colours]
        for finding in page.evaluate("axe.run()")["violations"]:
            if finding["impact"] in ("serious", "critical"):
                nodes = [node["html"][:150] for node in finding["nodes"][:3]]
                found.append(f"{name}: {finding['id']}: {finding['help']}, {len(finding['nodes'])}: {nodes}")
    assert not found, "\n".join(found)


def test_a_param_is_found_by_the_search(windows: Any, site: str) -> None:
    person = windows(f"{site}/index.html")
    person.page.get_by_role("textbox", name="Search").fill("gradientCompression")
    found = person.page.locator("[data-md-component=search-result]").get_by_role("link")
    found.filter(has_text=re.compile("^ImageClassifier")).first.click()
    person.page.locator("#gradientCompression").wait_for()
    assert "/api/" in person.page.url


@pytest.mark.parametrize("name", PAGES)
def test_a_telephone_shows_all_of_a_page(windows: Any, site: str, name: str) -> None:
    page = windows(f"{site}/{name}", viewport=TELEPHONE).page
    assert page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE["width"]
    assert not page.evaluate(TOO_WIDE)
