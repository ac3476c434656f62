"""No page has a finding of axe's, light or dark."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import ROOT

AXE = ROOT / "build" / "node" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(window: Any, read: str, scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe is not installed; scripts/setup_node.sh build/node installs it")
    person = window(color_scheme=scheme)
    person.page.get_by_role("button", name=read, exact=True).wait_for()
    found = []
    for name in ("Data", "Build", "Jobs", "Models", "Flow"):
        person.goes_to(name)
        person.page.wait_for_timeout(500)  # what a page asks Spark for begins after it is shown
        person.page.wait_for_function("!document.querySelector('.q-spinner')")
        person.page.evaluate(AXE.read_text())
        for finding in person.page.evaluate("axe.run()")["violations"]:
            nodes = [node["html"][:200] for node in finding["nodes"][:3]]
            found.append(f"{name}: {finding['impact']}: {finding['help']}: {nodes}")
    assert found == []
