"""What a person does with the web face, by what is seen: words, roles and labels."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any


def epochs_done(person: Any) -> int:
    """Return the epochs of the training that has the name long."""
    words = person.job("Train long,").get_by_text(re.compile(r"^\d+ of 5000 epochs")).text_content()
    return int(re.match(r"\d+", words)[0])


def test_from_the_address_to_a_confusion_matrix_and_a_script(window: Any, digits: Path, tmp_path: Path) -> None:
    person = window()
    person.reads_digits(digits, "mine")
    person.keeps_a_picture("data")
    person.trains("mine", "net", network="lenet", epochs="1")
    person.sees_the_end("Train net,")
    person.keeps_a_picture("jobs")
    person.looks_at("net").get_by_role("heading", name="Confusion matrix").wait_for()
    person.keeps_a_picture("models")
    person.cell("Train net,").get_by_text(re.compile("^done, ")).wait_for()
    person.keeps_a_picture("flow")
    program = person.downloads("Download script", tmp_path)
    made = [node.targets[0].id for node in ast.parse(program.read_text()).body if isinstance(node, ast.Assign)]
    assert [name for name in made if name in ("spark", "mine", "net")] == ["spark", "mine", "net"]
    assert json.loads(person.downloads("Download notebook", tmp_path).read_text())["nbformat"] == 4
    saved = json.loads(person.downloads("Save", tmp_path).read_text())
    actions = {action.get("result"): action for action in saved["actions"]}  # the window of another test may have more
    assert actions["mine"]["kind"] == "read_pictures"
    assert {"kind": "fit", "frame": "mine"}.items() <= actions["net"].items()


def test_a_training_is_seen_in_two_windows_outlives_reload_and_closing_and_is_cancelled(window: Any, read: str) -> None:
    person, other = window(), window()
    person.trains(read, "long", network="lenet", epochs="5000")
    speed = re.compile("rows a second")
    person.job("Train long,").get_by_text(speed).wait_for()
    other.goes_to("Jobs")
    other.job("Train long,").get_by_text(speed).wait_for()
    person.page.reload()
    person.job("Train long,").get_by_text(speed).wait_for()
    person.keeps_a_picture("running")
    before = epochs_done(person)
    other.page.close()
    person.page.close()  # nobody looks
    person, other = window(), window()
    person.goes_to("Jobs")
    other.goes_to("Jobs")
    person.job("Train long,").get_by_text(speed).wait_for()
    assert epochs_done(person) > before
    other.presses("Cancel", other.job("Train long,"))
    other.sees_the_end("Train long,", "Cancelled")
    person.sees_the_end("Train long,", "Cancelled")
    person.cell("Train long,").get_by_text(re.compile("cancelled; not in scripts")).wait_for()


def test_a_wrong_token_and_a_used_one_open_nothing_and_say_what_to_do(window: Any, address: str) -> None:
    window(address).sees("Not allowed")
    person = window(f"{address}x")
    person.sees("Not allowed")
    person.sees(re.compile("Open the address that was printed"))
    window.errors.clear()  # the browser tells of the refusal


def test_a_file_that_is_no_flow_is_refused_on_the_page(window: Any, tmp_path: Path) -> None:
    file = tmp_path / "flow.json"
    file.write_text(
        '{"format": "sparkwater flow", "version": 1, "actions": [{"kind": "read_pictures", "result": "x", '
        '"folder": "/etc"}, {"kind": "run_code", "code": "import os"}]}'
    )
    person = window()
    person.opens_a_flow(file)
    person.sees(re.compile("action 2 of the flow is refused: no action is of kind 'run_code'"))
