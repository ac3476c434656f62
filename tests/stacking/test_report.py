"""The report of an ensemble: one page that says what the summary says, and loads nothing."""

from __future__ import annotations

import json
import math
import pickle
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.ml.reports.confusion import ConfusionMatrix
from sparkwater.plots.drawing.palette import SKY
from sparkwater.stacking.automl.summary import AutoMLSummary, Entry
from sparkwater.stacking.diagnostics import Diagnostics, ReliabilityBin
from sparkwater.stacking.report import plots, svg
from sparkwater.stacking.report.classes import class_scores
from sparkwater.stacking.report.page import notebook_view, page
from sparkwater.stacking.scores import Curve, Score, Tried
from sparkwater.stacking.search.records import SearchSummary, Trial
from sparkwater.stacking.summary import EnsembleSummary

LEARNERS = ("convnet", "forest", 'a <b> & "c" that has quite a long name indeed')
SCORES = tuple(
    Score(name, value, 0.01, value * 0.9, value * 1.1, value / 4, weight, seconds, 12.0)
    for name, value, weight, seconds in zip(
        ("ensemble", *LEARNERS), (0.1, 0.12, 0.4, 0.9), (None, 0.7, 0.3, 0.0), (None, 12.5, 3.0, 1.0), strict=True
    )
)
BINS = tuple(ReliabilityBin(i / 10, (i + 1) / 10, 10 * (i + 1), i / 10 + 0.05, min(1.0, i / 8)) for i in range(10))


def summary(**others) -> EnsembleSummary:
    """Return the summary of an ensemble that says all there can be."""
    fields = {
        "strategy": "cross-validation", "metrics": ("logLoss", "error"), "scores": SCORES, "rows": 1234, "folds": 5,
        "fingerprint": "ab12", "best": "convnet", "difference": -0.02, "differenceLow": -0.03, "differenceHigh": -0.01,
        "coefficients": ((0.7, 0.3, 0.0),), "columns": LEARNERS, "skipped": LEARNERS[2:], "notes": ("a note",),
        "fits": (), "totalSeconds": 12.0, "metaLearner": "pool", "tried": (Tried("best", 0.12, 0.1, 0.14),),
        "learners": LEARNERS, "classes": ("cat", "dog", "<owl>"), "calibration": "isotonic",
        "calibrationsTried": (Tried("none", 0.1, 0.09, 0.11), Tried("isotonic", 0.098, 0.09, 0.11)),
        "diagnostics": Diagnostics(
            BINS, BINS, ((40.0, 2.0, 0.0), (3.0, 50.0, 1.0), (0.0, 0.0, 9.0)),
            tuple(tuple(1.0 if i == j else 0.5 - 0.2 * (i + j) for j in range(4)) for i in range(4)),
        ),
        "curves": (Curve("convnet", (1.0, 0.5, 0.3), "logLoss", (0.9, None, 0.4)), Curve("lenet", (1.0, 0.5))),
    }  # fmt: skip
    return EnsembleSummary(**{**fields, **others})


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("leaderboard", "of 4 models by logLoss out of fold, best first: ensemble 0.1 (0.09 to 0.11); convnet 0.12"),
        ("weights", "convnet 0.700; forest 0.300"),
        ("reliability", "after calibration: predicted and observed differ by"),
        ("confusion", "3 classes: 99 of 105 rows are right, 94.3%"),
        (
            "classes",
            "precision, recall, F1 of 3 classes, lowest F1 first: cat precision 0.930, recall 0.952, F1 0.941;",
        ),
        ("curves", "LogLoss of the validation rows: convnet: 0.9 in epoch 1, 0.4 in epoch 3"),
    ],
)
def test_the_summary_knows_its_plots(kind: str, words: str) -> None:
    assert words in summary().plot(kind).alt


def test_plots_that_an_ensemble_has_not_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="accepted: leaderboard, weights, reliability, confusion, classes"):
        summary().plot("pie")
    regression = summary(classes=(), diagnostics=Diagnostics(), curves=())
    for kind, match in (
        ("confusion", "50 at most"),
        ("classes", "50 at most"),
        ("reliability", "for classes"),
        ("curves", "no values by epoch"),
    ):
        with pytest.raises(DataError, match=match):
            regression.plot(kind)


def test_searches_and_automl_show_what_has_a_value() -> None:
    fields = {"rows": 9, "folds": 3, "fingerprint": "", "totalSeconds": 1.0, "metrics": ("rmse", "mae")}
    trials = (Trial(0, "slow", {}, 2.0, 0.1, 1.5, 2.5), Trial(1, "broken", {}, error="no"), Trial(2, "fast", {}, 1.0))
    search = SearchSummary("GridSearch", "regression", classes=(), trials=trials, best="fast", ended="", **fields)
    assert search.plot().alt == (
        "Leaderboard of 2 models by rmse out of fold, best first: fast 1; slow 2 (1.5 to 2.5)."
    )
    entries = tuple(Entry(score, "ensemble" if score.learner == "ensemble" else "forest", {}) for score in SCORES)
    automl = AutoMLSummary("regression", found="", entries=entries, trials=(), chosen="", notes=(), **fields)
    plot = automl.plot()
    assert "4 models by rmse out of fold, best first: ensemble 0.1" in plot.alt
    assert [line.get_marker() for line in plot.axes[0].lines].count("D") == 1


class Reader(HTMLParser):
    """Reads a page: its tags with their attributes, its text, and whether all is closed."""

    VOID = ("meta", "br", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def test_searches_and_automl_are_lines_of_text_in_a_notebook() -> None:
    trials = (Trial(0, "a<b", {"depth": 1}, 0.5, 0.01, 0.4, 0.6, 0.1),)
    found = SearchSummary(
        strategy="GridSearch", kind="classification", metrics=("logLoss", "error"), classes=(), trials=trials,
        best="a<b", rows=9, folds=3, fingerprint="", ended="no <more>", totalSeconds=1.0,
    )  # fmt: skip
    line = AutoMLSummary(
        task="classification", metrics=("logLoss", "error"), found="columns", entries=(Entry(SCORES[1], "glm", {}),),
        trials=trials, chosen="convnet", rows=9, folds=3, fingerprint="", notes=(), totalSeconds=1.0,
    )  # fmt: skip
    for view, words in ((found._repr_html_(), "no &lt;more&gt;"), (line._repr_html_(), "that scores: convnet")):
        assert words in view
        assert "0.12000" in view or "0.50000" in view
        assert Reader(view).open == []


def test_a_page_is_whole_says_all_and_loads_nothing() -> None:
    text = page(summary())
    found = Reader(text)
    assert found.open == []
    assert not {"script", "link", "img", "iframe", "image", "use"} & {tag for tag, _ in found.tags}
    attributes = {name for _, given in found.tags for name in given}
    assert not {"src", "href", "onclick", "onload"} & attributes
    assert re.findall(r"https?://[^\"<\s]+", text.replace('xmlns="http://www.w3.org/2000/svg"', "")) == []
    for word in (
        "1,234 rows in 5 folds", "The ensemble beats its best learner 'convnet'", "A note.", "Leaderboard",
        "Meta-learner", "Reliability of the probabilities", "Confusion of classes", "Scores of each class",
        "Correlation of errors",
        "Learning curves of networks",
        "Calibration: isotonic", *LEARNERS, "<owl>",
    ):  # fmt: skip
        assert word in found.words, word


def test_each_picture_is_svg_with_words_for_those_who_do_not_see_it() -> None:
    text = page(summary())
    pictures = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(pictures) == 8
    for picture in pictures:
        root = ET.fromstring(picture)
        assert root.get("role") == "img"
        assert root.get("aria-label")
        width, height = (float(value) for value in root.get("viewBox").split()[2:])
        for node in root.iter():
            for name in ("x", "x1", "x2", "cx"):
                assert -1 <= float(node.get(name, 0)) <= width + 1
            for name in ("y", "y1", "y2", "cy"):
                assert -20 <= float(node.get(name, 0)) <= height + 20


def test_the_numbers_of_a_plot_are_those_of_the_scores() -> None:
    picture = ET.fromstring(plots.leaderboard(SCORES, "logLoss", "ensemble"))
    dots = [float(node.get("cx")) for node in picture.iter() if node.tag.endswith("circle")]
    assert dots == sorted(dots)
    assert len(dots) == len(LEARNERS)
    names = [node.text for node in picture.iter() if node.tag.endswith("text") and node.get("font-weight")]
    assert names == ["ensemble"]
    bars = [
        float(node.get("width")) for node in ET.fromstring(plots.weights(SCORES)).iter() if node.tag.endswith("rect")
    ]
    assert bars[0] / bars[1] == pytest.approx(7 / 3, rel=0.01)
    assert bars[2] == 0


def test_the_bar_of_a_class_is_its_f1_between_its_precision_and_its_recall() -> None:
    matrix = ConfusionMatrix(("cat", "dog", "owl"), ((8.0, 2.0, 0.0), (0.0, 10.0, 0.0), (0.0, 0.0, 0.0)))
    picture = ET.fromstring(class_scores(matrix.classes))
    assert "lowest first: owl undefined; cat 0.889; dog 0.909" in picture.get("aria-label", "")
    boxes = [node for node in picture.iter() if node.tag.endswith("rect")]
    left, dots = float(boxes[0].get("x")), [float(n.get("cx")) for n in picture.iter() if n.tag.endswith("circle")]
    bars = [float(node.get("width")) for node in boxes if node.get("fill") == SKY]
    squares = [float(node.get("x")) + 4.5 for node in boxes if node.get("fill") == "white"]
    assert bars[0] / bars[1] == pytest.approx((8 / 9) / (10 / 11), rel=0.001)
    assert [round((at - left) / bars[0] * 8 / 9, 3) for at in squares] == [1.0, 0.833]
    assert [round((at - left) / bars[0] * 8 / 9, 3) for at in dots] == [0.8, 1.0]


@pytest.mark.parametrize(
    "others",
    [
        {"classes": (), "metrics": ("rmse", "mae"), "diagnostics": Diagnostics(correlation=((1.0,) * 4,) * 4),
         "calibration": "", "calibrationsTried": (), "curves": (), "metaLearner": "", "tried": ()},
        {"scores": tuple(replace(one, weight=None) for one in SCORES), "skipped": ()},
        {"scores": (SCORES[0], replace(SCORES[1], value=math.inf, low=math.nan, high=math.inf))},
        {"scores": (replace(SCORES[0], value=0.0, low=0.0, high=0.0),)},
        {"scores": tuple(replace(SCORES[0], learner=str(i), value=10.0 ** (i - 50)) for i in range(100))},
        {"diagnostics": Diagnostics(), "classes": ("no", "yes")},
        {"diagnostics": Diagnostics(BINS[:1], (), ((1.0,) * 50,) * 50), "classes": tuple(map(str, range(50)))},
        {"curves": (Curve("one", (1.0,)), Curve("nan", (math.nan, math.inf)),
                    Curve("flat", (0.0, 0.0), "auc", (None,)))},
    ],
)  # fmt: skip
def test_a_report_of_less_or_of_strange_numbers_is_whole_too(others) -> None:
    found = Reader(page(summary(**others)))
    assert found.open == []
    assert "Leaderboard" in found.words


@pytest.mark.parametrize("values", [(0.0, 1.0), (0.013, 0.0171), (1e-6, 300.0), (5.0, 5.0), (-3.0, 8.0), (0.0, 0.0)])
def test_ticks_are_round_few_and_within_the_scale(values) -> None:
    scale = svg.Scale.over(values, 10.0, 500.0)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 14
    assert all(scale.low - 1e-12 <= tick <= scale.high * (1 + 1e-12) + 1e-12 for tick in ticks)
    assert 10 <= scale(values[0]) <= scale(values[1]) <= 500
    assert len({svg.number(tick) for tick in ticks}) == len(ticks)


def test_a_report_is_written_over_and_shown_in_a_notebook(tmp_path: Path) -> None:
    target = summary().report(str(tmp_path / "new" / "folder"))
    assert target._repr_html_() == summary()._repr_html_()
    assert pickle.loads(pickle.dumps(target)).endswith("report.html")
    assert json.loads(json.dumps({"path": target})) == {"path": str(tmp_path / "new" / "folder" / "report.html")}
    assert Path(target).read_text() == page(summary())
    summary(rows=7).report(str(tmp_path / "new" / "folder"))
    assert "7 rows" in Path(target).read_text()
    assert [one.name for one in Path(target).parent.iterdir()] == ["report.html"]
    view = summary()._repr_html_()
    assert view == notebook_view(summary())
    assert Reader(view).open == []
    assert "<html" not in view


def test_a_summary_comes_back_from_plain_values_with_its_diagnostics_and_those_of_earlier_versions() -> None:
    fields = summary().to_dict()
    assert EnsembleSummary.from_dict(fields) == summary()
    for name in ("diagnostics", "curves", "calibration", "calibrationsTried", "learners", "classes"):
        del fields[name]
    assert EnsembleSummary.from_dict(fields).diagnostics == Diagnostics()
