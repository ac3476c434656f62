"""The pages of forms and of models, as a person uses them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def test_a_bad_value_in_each_kind_of_field_is_told_at_the_field(window: Any, read: str) -> None:
    person = window()
    person.builds_on(read)
    person.opens("Advanced")
    person.opens("Expert")
    for label, bad, message in (
        ("epochs", "many", "epochs='many'; accepted: numbers from 0 up"),
        ("batchSize", "2.5", "batchSize=2.5; accepted: integers from 1 up"),
        ("imageShape", "28, wide", "imageShape=[28, 'wide']; accepted: [height, width, channels]"),
        ("classWeight", "heavy", "classWeight='heavy'; accepted: none, balanced"),
        ("inputMean", "half", "inputMean=['half']; accepted: a finite number a channel"),
        ("augmentation", "[{]", "augmentation='[{]' is no JSON"),
    ):
        person.fills(label, bad)
        field = person.page.locator("label.q-field").filter(has=person.page.get_by_label(label, exact=True))
        field.get_by_role("alert").filter(has_text=message).wait_for()
        person.fills(label, "")
        field.get_by_role("alert").wait_for(state="detached")
    person.fills("Name of the model", "two words")
    person.sees(re.compile("^'two words' can't name a variable"))
    person.presses("Train")
    person.sees(re.compile("^Refused: 'two words' can't name a variable"))


def test_a_press_counts_while_the_python_grows_and_what_fit_refuses_is_told(window: Any, read: str) -> None:
    person = window()
    person.builds_on(read)
    python = person.page.get_by_role("region", name="Python", exact=True)
    person.fills("numWorkers", "64")
    python.filter(has_text="numWorkers=64").wait_for()
    train = person.page.get_by_role("button", name="Train", exact=True).bounding_box()
    person.page.get_by_label("imageShape", exact=True).fill("28, 28, 1")  # is sent when the press takes the focus
    person.page.mouse.move(train["x"] + train["width"] / 2, train["y"] + train["height"] / 2)
    person.page.mouse.down()
    python.filter(has_text="imageShape=[28, 28, 1],").wait_for()  # an argument a line: it has grown
    person.page.mouse.up()
    person.sees(re.compile("^Refused: numWorkers=64, but the cluster runs 2 tasks"))
    person.sees(re.compile("^numWorkers=64, but the cluster runs 2 tasks"))
    assert person.page.title().startswith("Build")


def test_a_network_is_drawn_and_its_python_shown_while_the_form_is_filled(window: Any, read: str) -> None:
    person = window()
    person.builds_on(read)
    person.fills("imageShape", "20, 20, 1")
    person.page.get_by_role("img", name=re.compile("lenet, rows of 1 x 20 x 20")).wait_for()
    person.chooses("network", "mlp")
    person.page.get_by_role("img", name=re.compile("mlp, rows of 1 x 20 x 20")).wait_for()
    python = person.page.get_by_role("region", name="Python")
    python.get_by_text("imageShape=[20, 20, 1]").wait_for()
    assert "network='mlp'" in python.text_content()
    assert f".fit({read})" in python.text_content()
    styles = python.evaluate("code => [getComputedStyle(code).whiteSpace, getComputedStyle(code).overflowX]")
    assert styles == ["pre", "auto"]  # its lines are as they are written
    person.keeps_a_picture("build")


def test_a_model_is_looked_at_used_and_kept(window: Any, read: str, digits: Path) -> None:
    person = window()
    person.trains(read, "used", network="mlp", imageShape="14, 14, 1", epochs="2")
    person.sees_the_end("Train used,")
    person.looks_at("used").get_by_role("img", name=re.compile(r"^loss \(logloss\) by epoch")).wait_for()
    person.keeps_a_picture("model")
    panel = person.opens_tab("Mistakes")
    person.chooses("Data", read)
    person.presses("Show the worst", panel)
    panel.get_by_role("img", name=re.compile("taken for")).first.wait_for()
    panel.get_by_role("region", name=re.compile(f"^Python: Rows of {read} that used gets wrong")).wait_for()
    person.keeps_a_picture("mistakes")
    panel = person.opens_tab("Nearest")
    person.chooses("Data", read)
    person.fills("Name of the new data", "used_features")
    person.presses("Add deep features", panel)
    # Scored data of other tests has vectors, too.
    person.chooses("Pictures to start from", "used_features")
    person.chooses("Pictures to search in", "used_features")
    person.presses("Find the nearest", panel)
    panel.get_by_text(re.compile("^Framed.* without the picture itself")).wait_for()
    assert panel.get_by_role("listitem").locator("visible=true").count() >= 12
    person.keeps_a_picture("nearest")
    panel = person.opens_tab("Score")
    person.chooses("Data to score", read)
    person.fills("Name of the scored data", "judged")
    person.presses("Score", panel)
    panel.get_by_text("judged is made; the page Data shows its rows.").wait_for()
    person.presses("Compare", panel)  # with several models, another button has the name
    panel.get_by_text(re.compile("Confusion matrix of 10 classes, rows of judged")).wait_for()
    panel = person.opens_tab("Save and export")
    person.chooses("Folder", str(digits))
    person.presses("Save", panel)
    panel.get_by_text(f"Written to {digits}/models/used.").wait_for()
    person.fills("Name of the new folder", "../outside")
    person.presses("Save", panel)
    panel.get_by_text(re.compile("is no whole path of this machine")).wait_for()
    assert (digits / "models" / "used" / "metadata").is_dir()
    assert not (digits.parent / "outside").exists()
