"""What a person does at a page: sees words, presses what has a name, fills what has a label."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

#: Screenshots.
PICTURES = Path(__file__).parents[1] / "build" / "flow"
#: Milliseconds until something must be seen; Spark's start is the longest wait.
PATIENCE = 150_000


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

    def presses(self, name: str | re.Pattern[str], within: Any = None) -> None:
        """Press a button, of a part of the page where several parts have one of the name."""
        place = self.page if within is None else within
        place.get_by_role("button", name=name, exact=True).locator("visible=true").first.click()

    def picks(self, words: str | re.Pattern[str]) -> None:
        """Click on words in a list."""
        self.page.get_by_text(words, exact=True).locator("visible=true").first.click()

    def fills(self, label: str, value: str) -> None:
        """Write into a field in place of what is there, and leave it."""
        field = self.page.get_by_label(label, exact=True).locator("visible=true").first
        field.fill(value)
        field.press("Tab")

    def chooses(self, label: str, option: str | re.Pattern[str]) -> None:
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
                self.page.get_by_role("listbox").wait_for(state="detached")  # it fades, beside the next one
                return

    def chooses_several(self, label: str, options: list[str]) -> None:
        """Choose several of the options of a field."""
        self.page.get_by_role("combobox", name=label, exact=True).locator("visible=true").first.click()
        for option in options:
            self.page.get_by_role("option", name=option, exact=True).click()
        self.page.keyboard.press("Escape")
        self.page.get_by_role("listbox").locator("visible=true").first.wait_for(state="detached")

    def opens(self, level: str) -> None:
        """Open the fields of a level."""
        self.page.get_by_role("button", name=re.compile(rf"^{level} \(\d+\)")).click()

    def opens_a_flow(self, file: Path) -> None:
        """Give a file to the page Flow."""
        self.goes_to("Flow")
        self.presses("Open")
        self.page.locator("input[type=file]").set_input_files(file)

    def downloads(self, name: str, folder: Path) -> Path:
        """Press a button that gives a file, and return the file."""
        with self.page.expect_download() as waiting:
            self.presses(name)
        target = folder / waiting.value.suggested_filename
        waiting.value.save_as(target)
        return target

    def opens_folder(self, name: str) -> None:
        """Open a folder in the list, and wait for what is in it: what the list had before may have the same names."""
        self.presses(name)
        self.sees_folder(name)

    def sees_folder(self, name: str) -> None:
        """Wait until the list is that of a folder."""
        self.page.locator("[aria-label=Folders] [aria-current=location]").filter(has_text=name).wait_for()

    def reads_digits(self, folder: Path, name: str, rows: str = "400 rows", part: str = "training") -> None:
        """Read the digits of training, or another part of them, and give them a name."""
        self.picks(str(folder))
        self.opens_folder(part)
        self.presses("Read pictures here")
        self.fills("Name of the data", name)
        self.presses("Read")
        self.sees_data(name, f"{rows}, 3 columns")

    def previews(self, table: Path, column: str) -> None:
        """Open a file in one of the folders, and wait until its columns are shown."""
        self.presses(str(table.parent))
        self.presses(table.name)
        self.page.get_by_role("combobox", name=f"Type of {column}", exact=True).wait_for()

    def sees_data(self, name: str, rows: str | re.Pattern[str]) -> None:
        """Wait until data is the chosen one, and its rows are counted."""
        self.page.get_by_role("button", name=name, exact=True, pressed=True).wait_for()
        self.sees(rows)

    def trains(self, frame: str, name: str, kind: str = "", **fields: str | list[str]) -> None:
        """Choose data and an estimator, fill some fields of the form, and train."""
        self.fills_the_form(frame, name, kind, **fields)
        self.presses("Train")
        self.page.wait_for_function("document.title.startsWith('Jobs ')")
        self.job(f"Train {name},")

    def keeps_a_learner(self, frame: str, name: str, **fields: str | list[str]) -> None:
        """Name a network without a training, for ensembles and searches."""
        self.fills_the_form(frame, name, "ImageClassifier", **fields)
        self.presses("Keep as a learner")
        self.sees(re.compile(f"^{name} is kept."))

    def builds_on(self, frame: str, kind: str = "") -> None:
        """Choose data and an estimator, and wait until the form is theirs: the one before takes values no more."""
        python = self.page.get_by_role("region", name="Python", exact=True)
        self.goes_to("Build")
        self.chooses("Data to learn from", frame)
        python.filter(has_text=f".fit({frame})").wait_for()
        if kind:
            self.chooses("Estimator", re.compile(f"^{kind}:"))
            python.filter(has_text=f"{kind}(").wait_for()

    def fills_the_form(self, frame: str, name: str, kind: str = "", **fields: str | list[str]) -> None:
        """Choose data and an estimator, fill some fields of the form, and give a name."""
        self.builds_on(frame, kind)
        for label, value in fields.items():
            self.page.get_by_label(label, exact=True).locator("visible=true").first.wait_for()
            if isinstance(value, list):
                self.chooses_several(label, value)
            elif self.page.get_by_role("combobox", name=label, exact=True).count():
                self.chooses(label, value)
            else:
                self.fills(label, value)
        self.fills("Name of the model", name)

    def job(self, title: str) -> Any:
        """Choose the newest job whose title begins so, and return its card: other jobs are on the page too."""
        self.presses(re.compile(rf"^Show job \d+: {re.escape(title)}"))
        heading = self.page.get_by_role("heading", name=re.compile(rf"^\d+\. {re.escape(title)}"))
        card = self.page.get_by_role("region", name="The chosen job", exact=True).filter(has=heading)
        card.wait_for()
        return card

    def sees_the_end(self, title: str, state: str = "Done") -> Any:
        """Wait until the newest job whose title begins so has ended, in this state; return its card."""
        card = self.job(title)
        ended = card.get_by_role("status").filter(has_text=re.compile(r"^(Done|Failed|Cancelled)\b"))
        ended.wait_for()
        assert ended.text_content().startswith(state), card.text_content()
        return card

    def looks_at(self, model: str) -> Any:
        """Choose a model on its page, and return the panel that shows it."""
        self.goes_to("Models")
        self.chooses("Model", model)
        self.page.get_by_role("heading", name=re.compile(rf"^{re.escape(model)}, ")).wait_for()
        return self.page.get_by_role("tabpanel").locator("visible=true").last

    def opens_tab(self, name: str) -> Any:
        """Open one of a page's tabs, and return its panel."""
        self.page.get_by_role("tab", name=name, exact=True).click()
        self.page.get_by_role("tab", name=name, exact=True, selected=True).wait_for()
        return self.page.get_by_role("tabpanel").locator("visible=true").last

    def cell(self, title: str) -> Any:
        """Return the last cell with a title on the page Flow, which has pages of its own where there are many."""
        self.goes_to("Flow")
        cell = self.page.get_by_role("group", name=re.compile(r"^Cell \d+$")).filter(
            has=self.page.get_by_role("heading", name=re.compile(rf"^\d+\. {re.escape(title)}"))
        )
        self.page.get_by_role("group", name=re.compile(r"^Cell \d+$")).first.wait_for()
        onward = self.page.get_by_role("button", name="Next page", exact=True).locator("visible=true")
        while not cell.count() and onward.count() and onward.is_enabled():
            onward.click()
            self.page.wait_for_timeout(300)
        cell.last.wait_for()
        return cell.last

    def keeps_a_picture(self, name: str) -> None:
        """Save a screenshot, to be looked at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(PICTURES / f"{name}.png"), full_page=True)
