"""The page of data, as a person uses it: files, a look, types, columns, pictures, parts; and what goes wrong."""

from __future__ import annotations

import re

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def odd(digits):
    """A folder of files that aren't what their names say."""
    folder = digits / "odd"
    folder.mkdir()
    (folder / "empty.csv").touch()
    (folder / "a[1].csv").write_text("n;x\n1;a\n")
    (folder / "picture.csv").write_bytes(b"\x89PNG\0\0")
    (folder / "broken.parquet").write_text("no parquet")
    (folder / "broken.png").write_text("no picture")
    (folder / "table.csv").write_text("<b>n</b>;x\n1;a\n2;b\n3;7\n")
    (folder / "nothing").mkdir()
    (folder / "nothing" / "notes.md").write_text("words")
    return folder


def test_from_digits_to_parts_by_clicking(window, digits):
    person = window()
    person.presses(str(digits))
    person.opens_folder("training")
    person.presses("Read pictures here")
    person.page.get_by_role("img", name=re.compile("^picture 1: \\d")).wait_for()
    person.fills("Name of the data", "train it")
    person.presses("Read")
    person.sees(re.compile("'train it' can't name a variable"))
    person.fills("Name of the data", "digits")
    person.presses("Read")
    person.sees_data("digits", "400 rows, 3 columns")
    person.page.get_by_role("img", name="label: 10 levels; most rows, 40, at 0").wait_for()
    person.presses("label")
    person.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    person.page.get_by_role("tab", name="First rows").click()
    person.sees("Pictures in content")
    person.page.get_by_role("tab", name="Split").click()
    person.fills("Percent of part 1", "70")
    person.presses("Split")
    person.sees(re.compile(r"the shares are 70 \+ 20 %"))
    person.fills("Percent of part 1", "80")
    person.presses("Split")
    # Where a row goes follows from its content, and so from the path of its file.
    person.sees_data("digits_train", re.compile(r"^[23]\d\d rows, 3 columns$"))
    rows = int(person.page.get_by_text(re.compile(r"^\d+ rows, 3 columns$")).locator("visible=true").inner_text()[:3])
    person.cell("Split digits into digits_train (80 %)")
    person.goes_to("Data")
    person.presses("digits_test")
    person.sees_data("digits_test", f"{400 - rows} rows, 3 columns")


def test_a_table_whose_types_are_changed(window):
    person = window()
    person.previews(ROOT / "data" / "penguins.csv", "bill_length_mm")
    person.chooses("Type of species", "number")
    person.presses("Read")
    person.sees(re.compile("Column 'species': no value fits the type 'number'"))
    person.chooses("Type of species", "text, or a category")
    person.fills("Name of the data", "birds")
    person.presses("Read")
    person.sees_data("birds", "344 rows, 8 columns")
    person.page.get_by_role("img", name=re.compile("^species: 3 levels")).wait_for()


def test_files_that_are_not_what_their_names_say(window, odd):
    person = window()
    person.presses(str(odd.parent))
    person.presses("odd")
    for name, said in (
        ("empty.csv", "the file 'empty.csv' is empty"),
        ("picture.csv", "the file 'picture.csv' is no text: there are zero bytes in it"),
        ("broken.parquet", "the file 'broken.parquet' is no Parquet"),
        ("a[1].csv", "which Spark reads as a pattern; rename the file or folder"),
    ):
        person.presses(name)
        person.page.get_by_role("alert").get_by_text(said).wait_for()
    person.presses("table.csv")
    person.sees("<b>n</b>")  # text, no markup
    person.chooses("Type of x", "whole number")
    (odd / "table.csv").unlink()
    person.presses("Read")
    person.sees(re.compile("gone"))
    person.presses("broken.png")
    person.sees(re.compile("the bytes are no picture"))
    person.presses("nothing")
    person.sees("1 file")
    assert not person.page.get_by_role("button", name="Read pictures here").count()
