"""A person without a mouse: Tab until a thing has the focus, which must be seen, and then keys."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from person import Person
from PIL import Image

#: Tabs until something is out of reach.
FAR = 80
#: Points around a thing in which its focus may show, and how many must look otherwise, by how much of 255.
AROUND, POINTS, STEP = 6, 40, 60
_HAS_FOCUS = "thing => thing === document.activeElement || thing.contains(document.activeElement)"
#: The frame of a field shows its focus.
_BOX = "thing => (thing.closest('.q-field') || thing).getBoundingClientRect().toJSON()"


class Keyboard:
    """The keys of a person's window."""

    def __init__(self, person: Person) -> None:
        self.person, self.page = person, person.page
        #: Things whose focus isn't seen.
        self.unseen: list[str] = []

    def reaches(self, role: str, name: str | re.Pattern[str]) -> Any:
        """Press Tab until a thing has the focus; return it."""
        thing = self.page.get_by_role(role, name=name, exact=True).locator("visible=true").first
        thing.wait_for()
        for _ in range(FAR):
            if thing.evaluate(_HAS_FOCUS):
                break
            self.page.keyboard.press("Tab")
        else:
            raise AssertionError(f"no {role} {name!r} within {FAR} tabs")
        self._look(thing, f"{role} {name}")
        return thing

    def presses(self, role: str, name: str | re.Pattern[str]) -> None:
        """Press Enter at a thing."""
        self.reaches(role, name)
        self.page.keyboard.press("Enter")

    def types(self, label: str, value: str) -> None:
        """Write into a field in place of what is there."""
        self.reaches("textbox", label)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(value)

    def chooses(self, label: str, option: str | re.Pattern[str]) -> None:
        """Choose one of the options of a field by arrows."""
        self.reaches("combobox", label)
        self.page.keyboard.press("ArrowDown")
        wanted = self.page.get_by_role("option", name=option, exact=True)
        wanted.wait_for()
        for _ in range(FAR):
            if "q-manual-focusable--focused" in (wanted.get_attribute("class") or ""):
                break
            self.page.keyboard.press("ArrowDown")
        else:
            raise AssertionError(f"no option {option!r} of {label}")
        self.page.keyboard.press("Enter")
        wanted.wait_for(state="detached")

    def opens_tab(self, name: str) -> Any:
        """Open a tab by arrows from the open one, which Tab reaches, and return its panel."""
        self.reaches(
            "tab", str(self.page.get_by_role("tab", selected=True).locator("visible=true").last.text_content())
        )
        tab = self.page.get_by_role("tab", name=name, exact=True).locator("visible=true").first
        for _ in range(FAR):
            if tab.evaluate(_HAS_FOCUS):
                break
            self.page.keyboard.press("ArrowRight")
        self.page.keyboard.press("Enter")
        self.page.get_by_role("tab", name=name, exact=True, selected=True).wait_for()
        return self.page.get_by_role("tabpanel").locator("visible=true").last

    def goes_to(self, name: str) -> None:
        """Use the navigation."""
        self.presses("link", name)
        self.page.wait_for_function("title => document.title.startsWith(title)", arg=f"{name} ")

    def _look(self, thing: Any, words: str) -> None:
        """Note a thing that looks the same with the focus and without it."""
        thing.scroll_into_view_if_needed()
        box = thing.evaluate(_BOX)
        with_focus = self._picture(box)
        thing.evaluate("() => { window.focused = document.activeElement; window.focused.blur() }")
        without = self._picture(box)
        self.page.evaluate("window.focused.focus({focusVisible: true})")
        differ = np.abs(with_focus - without).max(axis=-1) >= STEP
        if differ.sum() < POINTS:
            self.unseen.append(words)

    def _picture(self, box: dict[str, float]) -> Any:
        size = self.page.viewport_size
        left, top = max(0, box["x"] - AROUND), max(0, box["y"] - AROUND)
        right = min(size["width"], box["x"] + box["width"] + AROUND)
        bottom = min(size["height"], box["y"] + box["height"] + AROUND)
        clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        shot = self.page.screenshot(clip=clip, animations="disabled")
        return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=np.int16)
