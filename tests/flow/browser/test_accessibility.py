"""No page has a finding of axe's, light or dark, full or with errors on it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import ROOT

AXE = ROOT / "build" / "node" / "node_modules" / "axe-core" / "axe.min.js"
#: Rules of axe whose findings follow from colours.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


class Audit:
    """Findings on the pages of a window, in the colours of day and night."""

    def __init__(self, page: Any) -> None:
        self.page, self.found = page, []

    def of(self, state: str) -> None:
        """Add what axe finds on the page as it is now; in the colours of the night what it finds of colours."""
        self.page.wait_for_function("!document.querySelector('.q-spinner')")
        if self.page.evaluate("typeof axe === 'undefined'"):
            self.page.evaluate(AXE.read_text())
            self.page.add_style_tag(content="* { transition: none !important }")  # colours would change slowly
        for scheme, rules in (("dark", COLOURS), ("light", {})):
            self.page.emulate_media(color_scheme=scheme)
            is_dark = str(scheme == "dark").lower()
            self.page.wait_for_function(f"document.body.classList.contains('body--dark') === {is_dark}")
            for finding in self.page.evaluate("rules => axe.run(document, rules)", rules)["violations"]:
                nodes = [node["html"][:200] for node in finding["nodes"][:3]]
                self.found.append(f"{state}, {scheme}: {finding['impact']}: {finding['help']}: {nodes}")


def test_axe_finds_nothing(window: Any, read: str) -> None:
    if not AXE.exists():
        pytest.skip("axe is not installed; scripts/setup_node.sh build/node installs it")
    person = window()
    audit = Audit(person.page)
    person.presses(read)
    person.sees_data(read, "400 rows, 3 columns")
    audit.of("Data")
    person.opens_tab("First rows").get_by_text("Pictures in content").wait_for()
    audit.of("Data, first rows")
    person.fills_the_form(read, "two words", imageShape="14, 14, 1", network="mlp", epochs="many")
    person.page.get_by_role("alert").filter(has_text="epochs='many'").first.wait_for()
    person.opens("Advanced")
    audit.of("Build, with errors")
    # Spark's own estimator finds out within the job that there are no vectors.
    person.trains(read, "failing", "LogisticRegression")
    person.sees_the_end("Train failing,", "Failed")
    audit.of("Jobs, with a failed one")
    person.trains(read, "looked_at", "ImageClassifier", network="mlp", imageShape="14, 14, 1", epochs="2")
    person.sees_the_end("Train looked_at,")
    audit.of("Jobs")
    person.looks_at("looked_at").get_by_role("heading", name="Confusion matrix").wait_for()
    audit.of("Models")
    panel = person.opens_tab("Mistakes")
    person.chooses("Data", read)
    person.presses("Show the worst", panel)
    panel.get_by_role("img", name=re.compile("taken for")).first.wait_for()
    audit.of("Models, mistakes")
    panel = person.opens_tab("Network")
    panel.get_by_role("img", name=re.compile("^Drawing of")).wait_for()
    person.presses('Expand "Layers"', panel)
    panel.get_by_role("region", name="Layers").wait_for()
    audit.of("Models, network")
    panel = person.opens_tab("Save and export")
    person.fills("Name of the new folder", "../outside")
    person.presses("Save", panel)
    panel.get_by_role("alert").filter(has_text="no whole path").wait_for()
    audit.of("Models, with an error")
    person.cell("Train failing,")
    audit.of("Flow")
    assert audit.found == []
