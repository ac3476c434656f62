"""What a person does at a page: sees words, presses what has a name, fills what has a label."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

#: Screenshots.
PICTURES = Path(__file__).parents[1] / "build" / "flow"
#: Milliseconds until something must be seen; Spark's start is the longest wait.
PATIENCE = 60_000


class Person:
    """A window, used by roles and labels alone."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE)

    def sees(self, words: str | re.Pattern[str]) -> None:
        """Wait until words are on the page."""
        self.page.get_by_text(words).locator("visible=true").first.wait_for()

    def goes_to(self, name: str) -> None:
        """Use the navigation."""
        self.page.get_by_role("navigation", name="Pages", exact=True).get_by_role("link", name=name, exact=True).click()
        self.page.wait_for_function("title => document.title.startsWith(title)", arg=f"{name} ")

    def presses(self, name: str | re.Pattern[str], exact: bool = True) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=exact).locator("visible=true").first.click()

    def picks(self, words: str | re.Pattern[str]) -> None:
        """Click on words in a list."""
        self.page.get_by_text(words, exact=True).locator("visible=true").first.click()

    def fills(self, label: str, value: str) -> None:
        """Write into a field in place of what is there, and leave it."""
        field = self.page.get_by_label(label, exact=True).locator("visible=true").first
        field.fill(value)
        field.press("Tab")

    def chooses(self, label: str, option: str) -> None:
        """Choose one of the options of a field; once more where the page changed meanwhile, as a person would."""
        from playwright.sync_api import TimeoutError as Missing

        for patience in (5_000, 10_000, PATIENCE):
            self.page.get_by_role("combobox", name=label, exact=True).locator("visible=true").first.click()
            try:
                self.page.get_by_role("option", name=option, exact=True).click(timeout=patience)
            except Missing:
                if patience == PATIENCE:
                    raise
                self.page.keyboard.press("Escape")
            else:
                return

    def downloads(self, name: str, folder: Path) -> Path:
        """Press a button that gives a file, and return the file."""
        with self.page.expect_download() as waiting:
            self.presses(name)
        target = folder / waiting.value.suggested_filename
        waiting.value.save_as(target)
        return target

    def reads_digits(self, folder: Path, name: str) -> None:
        """Read the digits of training, and give them a name."""
        self.picks(str(folder))
        self.picks("training")
        self.presses("Read pictures here")
        self.fills("Name of the data", name)
        self.presses("Read")
        self.page.get_by_role("button", name=name, exact=True).wait_for()
        self.sees("400 rows")

    def keeps_a_picture(self, name: str) -> None:
        """Save a screenshot, to be looked at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(PICTURES / f"{name}.png"), full_page=True)
