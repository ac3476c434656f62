"""A workbook's files: actions as JSON, and the program that repeats them."""

from __future__ import annotations

import ast
import json
from dataclasses import fields

import nbformat
import pytest

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.actions import ACTIONS, from_json, to_json
from sparkwater.flow.workbook.actions.reading import ReadPictures
from sparkwater.flow.workbook.actions.training import Fit
from sparkwater.flow.workbook.files import notebook, script
from sparkwater.flow.workbook.workbook import Cell, Workbook, cells_of

READ = ReadPictures("digits", "/data/digits")
FIT = Fit("net", "digits", "ImageClassifier", {"epochs": 2, "learningRate": 0.1, "network": "lenet"})
HOSTILE = ReadPictures("odd", "/data/'\"\n__import__('os').system('touch /tmp/flow-was-here')\\")


def saved(*actions, **changes):
    return json.dumps({"format": "sparkwater flow", "version": 1, "actions": list(actions), **changes})


@pytest.mark.parametrize("action", [READ, FIT, HOSTILE], ids=lambda action: action.result)
def test_an_action_comes_back_from_json_as_it_was(action):
    assert from_json(json.loads(json.dumps(to_json(action)))) == action


def test_kinds_are_unique_and_have_fields():
    assert len({action.kind for action in ACTIONS}) == len(ACTIONS)
    assert all(fields(action) for action in ACTIONS)


def test_a_workbook_comes_back_with_what_succeeded():
    book = Workbook([Cell(READ), Cell(HOSTILE, "failed", 1.0, "no"), Cell(FIT, "done", 2.0)])
    cells = cells_of(book.to_json())
    assert [cell.action for cell in cells] == [READ, FIT]
    assert {cell.state for cell in cells} == {"new"}
    assert Workbook(cells).to_json() == book.to_json()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "isn't JSON"),
        ("[" * 100_000, "isn't JSON"),
        (saved({**to_json(READ), "folder": "/data/\ud800"}), "isn't JSON"),
        ("[]", "says"),
        (saved(format="other"), "says"),
        (saved(version=2), "version 2"),
        (saved(actions={}), "list"),
        (saved("x"), "action 1 .* an object with a kind"),
        (saved({"kind": "os.system"}), "no action is of kind"),
        (saved(to_json(READ), {"kind": "read_pictures"}), "action 2 .* has the fields"),
        (saved({**to_json(READ), "code": "x"}), "has the fields"),
        (saved({**to_json(READ), "folder": 3}), "folder is '3'"),
        (saved({**to_json(READ), "result": "a;b"}), "can't name a variable"),
        (saved({**to_json(READ), "result": "__builtins__"}), "can't name a variable"),
        (saved({**to_json(FIT), "estimator": "os.system"}), "no estimator"),
        (saved({**to_json(FIT), "params": {"callbacks": "x"}}), "callbacks"),
        (saved({**to_json(FIT), "params": {"network": "os:system"}}), "network"),
        (saved({**to_json(FIT), "params": {"x)": 1}}), "names no Param"),
        (saved({**to_json(FIT), "variables": {"warmStart": "f()"}}), "can't name a variable"),
        ('{"format": "sparkwater flow", "version": 1, "actions": [{"kind": "fit", "result": "a", "frame": "b", '
         '"estimator": "ImageClassifier", "params": {"epochs": NaN}}]}', "finite"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_flow_is_refused_with_the_reason(text, reason):
    with pytest.raises(ConfigurationError, match=reason):
        cells_of(text)


def test_a_large_file_is_refused_unread():
    with pytest.raises(ConfigurationError, match="at most"):
        cells_of(b" " * 5_000_000)


def test_a_script_has_the_imports_first_and_the_cells_in_order():
    text = script([Cell(READ), Cell(FIT, "failed"), Cell(HOSTILE), Cell(FIT)])
    tree = ast.parse(text)
    imports = [place for place, node in enumerate(tree.body) if isinstance(node, ast.ImportFrom)]
    assert imports == list(range(1, 1 + len(imports)))
    made = [node.targets[0].id for node in tree.body if isinstance(node, ast.Assign)]
    assert made == ["spark", "digits", "odd", "net"]


def test_a_hostile_path_is_a_literal_in_the_script():
    tree = ast.parse(script([Cell(HOSTILE)]))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert called == {"read_image_folder"}
    assert HOSTILE.folder in {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}


def test_a_notebook_is_one_and_has_the_same_program():
    cells = [Cell(READ), Cell(FIT, "cancelled"), Cell(FIT)]
    book = nbformat.reads(notebook(cells), as_version=4)
    nbformat.validate(book)
    assert len(book.cells) == 3
    program = "\n".join(cell.source for cell in book.cells)
    assert {ast.dump(node) for node in ast.parse(script(cells)).body[1:]} == {
        ast.dump(node) for node in ast.parse(program).body
    }
