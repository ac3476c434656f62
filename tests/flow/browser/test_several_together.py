"""Ensembles, searches and AutoML by the form, as a person uses it."""

from __future__ import annotations

import re
from typing import Any

from conftest import ROOT

PICTURES = {"network": "mlp", "imageShape": "14, 14, 1"}


def test_two_learners_are_stacked_and_searched(window: Any, read: str) -> None:
    person, other = window(), window()
    other.builds_on(read, "StackedEnsemble")
    person.keeps_a_learner(read, "short", epochs="1", **PICTURES)
    person.keeps_a_learner(read, "longer", epochs="2", **PICTURES)
    # Its page is as it was loaded, before they were there. With the one that came last no choice changes any more.
    other.chooses_several("learners", ["longer", "short"])
    other.page.get_by_role("region", name="Python", exact=True).filter(has_text="'longer': longer").wait_for()
    other.goes_to("Models")
    person.trains(read, "both", "StackedEnsemble", learners=["short", "longer"], numFolds="2")
    person.sees_the_end("Train both,")
    other.chooses("Model", "both")
    panel = person.looks_at("both")
    board = panel.locator(".q-table__container").filter(has_text="Leaderboard, out of fold")
    for learner in ("ensemble", "short", "longer"):
        board.get_by_role("row").filter(has_text=re.compile(rf"^\s*{learner}")).wait_for()
    for shown in ("Leaderboard of 3 models by ", "Reliability diagram. "):
        panel.get_by_role("img", name=re.compile(f"^{shown}")).wait_for()
    panel.get_by_role("heading", name="Confusion matrix").wait_for()
    person.keeps_a_picture("ensemble")
    person.trains(read, "found", "GridSearch", estimator="short", space='{"epochs": [1, 2]}', numFolds="2")
    person.sees_the_end("Train found,")
    trials = person.looks_at("found").locator(".q-table__container").filter(has_text="Trials, out of fold")
    for trial in ("epochs=1", "epochs=2"):
        trials.get_by_role("row").filter(has_text=trial).wait_for()
    panel = person.opens_tab("Score")
    person.chooses("Data to score", read)
    person.fills("Name of the scored data", "by_search")
    person.presses("Score", panel)
    panel.get_by_text("by_search is made; the page Data shows its rows.").wait_for()


def test_automl_learns_a_table(window: Any) -> None:
    person = window()
    person.previews(ROOT / "data" / "penguins.csv", "bill_length_mm")
    person.fills("Name of the data", "penguins_of_automl")
    person.presses("Read")
    person.sees_data("penguins_of_automl", "344 rows, 8 columns")
    person.fills_the_form("penguins_of_automl", "auto", "AutoML", labelCol="species (string)", maxModels="2")
    person.opens("Advanced")
    person.chooses_several("include", ["glm", "forest"])
    person.presses("Train")
    person.sees_the_end("Train auto,")
    tried = person.looks_at("auto").locator(".q-table__container").filter(has_text="Learners that were tried")
    for family in ("glm", "forest"):
        tried.get_by_role("row").filter(has_text=family).first.wait_for()
    person.keeps_a_picture("automl")
