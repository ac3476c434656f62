from __future__ import annotations

import base64

from sparkwater.flow.views.charts import curves_chart, matrix_chart
from sparkwater.flow.views.curves import Curves
from sparkwater.flow.views.ensembles import automl_parts, line_of, search_parts
from sparkwater.flow.views.markup import matrix_table
from sparkwater.flow.views.models import paragraphs
from sparkwater.flow.views.tables import Matrix, table_of, without_empty_columns
from sparkwater.stacking.automl.summary import AutoMLSummary, Entry
from sparkwater.stacking.scores import Score
from sparkwater.stacking.search.records import SearchSummary, Trial

TRIALS = (
    Trial(0, "glm", {"regParam": 0.1}, 0.5, 0.01, 0.4, 0.6, 0.25, 2.0, family="glm"),
    Trial(1, "forest", {"numTrees": 3}, 0.25, 0.01, 0.2, 0.3, 0.125, 4.0, family="forest"),
    Trial(2, "mlp", {"epochs": 2.0}, error="no slots", family="mlp"),
)


def test_curves_hold_the_numbers_and_say_them() -> None:
    curves = Curves("error", {"training rows": (0.5, 0.25), "validation rows": (None, 0.5)}, best=1)
    chart = curves_chart(curves)
    assert [series["data"] for series in chart["series"]] == [[0.5, 0.25], [None, 0.5]]
    assert chart["xAxis"]["data"] == [1, 2]
    assert chart["legend"]["top"] == 0
    assert chart["series"][0]["markLine"]["data"] == [{"xAxis": 1}]
    assert "markLine" not in chart["series"][1]
    assert curves.alt == (
        "error by epoch. training rows: 0.5 in epoch 1, 0.25 in epoch 2, lowest 0.25 in epoch 2; "
        "validation rows: 0.5 in epoch 2, 0.5 in epoch 2, lowest 0.5 in epoch 2"
    )


def test_confusion_is_a_table_that_says_shares_and_escapes_names() -> None:
    matrix = Matrix(("a", "<b>"), ((3, 1), (0, 4)), "rows")
    assert matrix.alt == (
        "Confusion matrix of 2 classes, rows: 7 of 8 right (87.5%). Mistaken most: a taken for <b>, 1 time."
    )
    assert matrix_chart(matrix)["series"][0]["data"] == [[0, 0, 0.75, 3], [1, 0, 0.25, 1], [1, 1, 1.0, 4]]
    page = matrix_table(matrix)
    assert "<b>" not in page
    assert '<td class="flow-right" style="--share:0.750">3</td>' in page
    assert '<td class="flow-right flow-dark" style="--share:1.000">4</td>' in page
    assert '<td class="flow-wrong" style="--share:0.250">1</td>' in page
    assert '<td class="flow-wrong" style="--share:0.000">·</td>' in page
    assert "25.0%" in page
    assert "None is mistaken" in Matrix(("a",), ((2,),), "rows").alt


def test_trials_of_a_search_stand_best_first_with_what_failed() -> None:
    summary = SearchSummary("GridSearch", "classification", ("logLoss", "error"), (), TRIALS, "forest", 90, 2, "f",
                            "all were tried", 12.5)  # fmt: skip
    parts = search_parts(summary)
    (table,), (plot,) = parts.tables, parts.plots
    assert plot.alt.startswith("Leaderboard of 2 models by logLoss out of fold, best first")
    assert b"<svg" in base64.b64decode(plot.url.removeprefix("data:image/svg+xml;base64,"))
    assert [row[:3] for row in table.rows] == [
        (1, "numTrees=3", 0.25),
        (0, "regParam=0.1", 0.5),
        (2, "epochs=2.0", None),
    ]
    assert table.rows[2][-1] == "no slots"
    assert line_of(summary) == ("numTrees=3", {"logLoss": 0.25, "error": 0.125})


def test_automl_shows_its_leaderboard_and_all_that_was_tried() -> None:
    scores = [Score("forest", 0.25, 0.01, 0.2, 0.3, 0.125, 0.75, 4.0, 1.0), Score("glm", 0.5, 0.01, 0.4, 0.6, 0.25)]
    entries = tuple(Entry(score, score.learner, {}) for score in scores)
    summary = AutoMLSummary(
        task="classification", metrics=("logLoss", "error"), found="columns\nare fine", entries=entries, trials=TRIALS,
        chosen="forest", rows=90, folds=2, fingerprint="f", notes=("in time",), totalSeconds=12.5,
    )  # fmt: skip
    parts = automl_parts(summary)
    board, tried = parts.tables
    assert board.columns[:3] == ("learner", "family", "logLoss")
    assert [row[:3] for row in board.rows] == [("forest", "forest", 0.25), ("glm", "glm", 0.5)]
    assert tried.rows[2] == ("mlp", "mlp", "epochs=2.0", "no slots")
    assert parts.notes == ("in time", "columns", "are fine")
    assert [plot.title for plot in parts.plots] == ["Leaderboard"]
    assert line_of(summary) == ("forest", {"logLoss": 0.25, "error": 0.125})


def test_columns_without_a_value_are_left_out_and_notes_that_are_a_table_stay_together() -> None:
    table = table_of("t", ("a", "b", "c", "d"), [(1, None, "", 0), (None, None, "", False)])
    assert without_empty_columns(table) == table_of("t", ("a", "d"), [(1, 0), (None, False)])
    assert without_empty_columns(table_of("t", ("a",), [])) == table_of("t", ("a",), [])
    assert paragraphs(["in time", "column   type", "sex      text", "done", "x  y"]) == [
        (False, "in time"),
        (True, "column   type\nsex      text"),
        (False, "done"),
        (True, "x  y"),
    ]
