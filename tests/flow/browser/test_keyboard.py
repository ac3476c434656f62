"""From the digits to a trained model by the keyboard alone, and the focus is seen on the way."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from keyboard import Keyboard


def test_from_the_digits_to_a_model_without_a_mouse(window: Any, digits: Path) -> None:
    person = window()
    keys = Keyboard(person)
    keys.presses("button", str(digits))
    keys.presses("button", "training")
    person.sees_folder("training")
    keys.presses("button", "Read pictures here")
    keys.types("Name of the data", "by_keys")
    keys.presses("button", "Read")
    person.sees_data("by_keys", "400 rows, 3 columns")
    keys.goes_to("Build")
    keys.chooses("Data to learn from", "by_keys")
    python = person.page.get_by_role("region", name="Python", exact=True)
    python.filter(has_text=".fit(by_keys)").wait_for()  # the form is that of the data
    keys.types("imageShape", "14, 14, 1")
    keys.chooses("network", "mlp")
    keys.types("epochs", "1")
    keys.types("Name of the model", "typed")
    for typed in ("imageShape=[14, 14, 1]", "network='mlp'", "epochs=1", "typed = ", ".fit(by_keys)"):
        python.filter(has_text=typed).wait_for()
    keys.presses("button", "Train")
    person.page.wait_for_function("document.title.startsWith('Jobs ')")
    in_list = keys.reaches("button", re.compile(r"^Show job \d+: Train typed,"))
    person.page.keyboard.press("Enter")
    person.sees_the_end("Train typed,")
    person.page.wait_for_timeout(1500)  # the list is looked at each second
    assert in_list.evaluate("button => button.contains(document.activeElement)")
    keys.goes_to("Models")
    keys.chooses("Model", "typed")
    person.page.get_by_role("heading", name=re.compile("^typed, ")).wait_for()
    panel = keys.opens_tab("Score")
    keys.types("Name of the scored data", "scored_by_keys")
    keys.presses("button", "Score")
    panel.get_by_text("scored_by_keys is made; the page Data shows its rows.").wait_for()
    keys.goes_to("Flow")
    assert keys.unseen == []
