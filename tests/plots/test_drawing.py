"""Figures from plain values: what they show, what they say in words, and what files carry."""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from matplotlib import style
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

from sparkwater.errors import DataError
from sparkwater.plots import (
    Bin,
    Measured,
    Picture,
    Plot,
    class_bars,
    confusion_heat_map,
    contribution_bars,
    contribution_steps,
    contributions_swarm,
    dependence_plot,
    gallery,
    importance_plot,
    leaderboard,
    learning_curves,
    neighbor_gallery,
    reliability_diagram,
    share_bars,
)
from sparkwater.plots.drawing import palette
from sparkwater.plots.drawing.contributions import VALUES
from sparkwater.plots.drawing.curves import STYLES
from sparkwater.plots.drawing.intervals import wilson
from sparkwater.plots.drawing.pictures import channels_last

DIGIT = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)

#: Each plot, small; and words of its text alternative.
PLOTS = {
    "curves": (
        lambda: learning_curves({"loss": {"training": [2.0, 1.0, 0.5], "validation": [None, 1.2, 1.4]}}, best=1),
        "1.2 in epoch 2, 1.4 in epoch 3, lowest 1.2 in epoch 2. The model is that of epoch 2, counted from 1.",
    ),
    "confusion": (
        lambda: confusion_heat_map(["cat", "dog"], [[8, 2], [0, 5]]),
        "13 of 15 rows are right, 86.7%. The most frequent errors: 2 of cat as dog (20% of its rows).",
    ),
    "bars": (
        lambda: class_bars(["cat", "dog"], {"recall": [0.8, None], "F1": [0.5, 0.9]}),
        "lowest F1 first: cat recall 0.800, F1 0.500; dog recall undefined, F1 0.900.",
    ),
    "leaderboard": (
        lambda: leaderboard([Measured("forest", 0.3, 0.2, 0.4), Measured("all", 0.1, 0.05, 0.2)], "logLoss", ["all"]),
        "by logLoss, best first: all 0.1 (0.05 to 0.2); forest 0.3 (0.2 to 0.4).",
    ),
    "importance": (
        lambda: importance_plot([Measured("a", 0.1), Measured("b", 0.4, 0.3, 0.5)]),
        "2 features, largest first: b 0.4 (0.3 to 0.5); a 0.1.",
    ),
    "shares": (lambda: share_bars([("a", 0.2), ("b", 0.8)], "share"), "Share: b 0.800; a 0.200."),
    "reliability": (
        lambda: reliability_diagram({"before": [Bin(0.2, 0.3, 30), Bin(0.8, 0.8, 10)]}),
        "differ by 0.075 in the mean over 40 rows, at most where 0.20 was predicted and 0.30 observed",
    ),
    "dependence": (
        lambda: dependence_plot([0.0, 1.0], [1.0, 3.0], [[0.0, 2.0], [2.0, 1.0]], column="age", own=[0.1, 0.9]),
        "on age: the mean goes from 1 at 0.0 to 3 at 1.0; lowest 1 at 0.0, highest 3 at 1.0. Of 2 single rows 1 are "
        "higher at the last value than at the first, 1 lower.",
    ),
    "swarm": (
        lambda: contributions_swarm(["a", "b"], [[1, 0.5], [-2, 0.5], [0, 0.5]], [[3, 0], [1, 0], [2, math.nan]]),
        "of 3 rows, mean size by feature, largest first: a 1 (correlation with the value's rank +0.98); b 0.5.",
    ),
    "contributions": (lambda: contribution_bars(["a", "b"], [[1, 0.5], [-2, 0.5]]), "largest first: a 1.5; b 0.5."),
    "steps": (
        lambda: contribution_steps({"a": 1.0, "b": -2.0, "c": 0.25}, 0.5, "log-odds", 2),
        "from the base value 0.5 to -0.25: b -2; a +1; 1 others +0.25.",
    ),
    "gallery": (lambda: gallery([Picture(DIGIT, "7\nloss 3"), Picture(DIGIT)]), "Gallery: 2 pictures. 7, loss 3"),
    "neighbors": (
        lambda: neighbor_gallery([(Picture(DIGIT, "7"), [Picture(DIGIT, "1"), Picture(DIGIT, "9")])]),
        "Nearest neighbours of 1 pictures. 7: nearest are 1, 9",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLOTS)
def test_each_plot_says_what_it_shows_and_files_carry_it(name: str, tmp_path: Path) -> None:
    make, words = PLOTS[name]
    plot = make()
    assert isinstance(plot, Plot)
    assert plot.alt.endswith(words) or words in plot.alt, plot.alt
    plot.savefig(tmp_path / "plot.png")
    assert Image.open(tmp_path / "plot.png").text["Description"] == plot.alt


def test_svg_has_the_words_as_its_title_and_equal_plots_are_equal_pngs(tmp_path: Path) -> None:
    first = PLOTS["confusion"][0]()
    first.savefig(tmp_path / "plot.svg")
    title = re.search(r"<title>(.*?)</title>", (tmp_path / "plot.svg").read_text(), re.DOTALL)
    assert title
    assert title[1] == first.alt
    first.savefig(tmp_path / "plot.pdf", metadata={"Subject": "mine"})
    assert b"mine" in (tmp_path / "plot.pdf").read_bytes()
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        PLOTS["confusion"][0]().savefig(file)
    assert files[0].getvalue() == files[1].getvalue()


def test_a_notebook_gets_a_picture_with_its_words_of_bounded_size() -> None:
    plot = confusion_heat_map(["<b>", "dog"], [[8, 2], [0, 5]])
    html = plot._repr_html_()
    assert 'alt="Confusion matrix' in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert len(html) < 100_000


def test_plots_leave_pyplot_and_its_settings_alone() -> None:
    """In a fresh interpreter without a display, and in threads."""
    program = (
        "import sys; from sparkwater.plots import learning_curves\n"
        "learning_curves({'loss': {'training': [2.0, 1.0]}}).savefig('/dev/null', format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'pyspark' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    def render(_: int) -> bytes:
        file = io.BytesIO()
        PLOTS["leaderboard"][0]().savefig(file)
        return file.getvalue()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(render, range(8)))) == 1


def test_a_user_s_dark_style_changes_no_ink() -> None:
    with style.context("dark_background"):
        plot = PLOTS["leaderboard"][0]()
    (axes,) = plot.axes
    assert {to_rgb(label.get_color()) for label in axes.get_yticklabels()} == {to_rgb(palette.INK)}
    assert to_rgb(axes.get_facecolor()) == to_rgb("white")


DOLLARS = "$25,000-$50,000"

#: Plots with a user's text wherever there is one.
WITH_DOLLARS = (
    lambda: learning_curves({DOLLARS: {DOLLARS: [2.0, 1.0]}}),
    lambda: confusion_heat_map([DOLLARS, "dog"], [[8, 2], [0, 5]]),
    lambda: class_bars([DOLLARS], {DOLLARS: [0.8]}),
    lambda: leaderboard([Measured(DOLLARS, 0.3)], DOLLARS),
    lambda: importance_plot([Measured(DOLLARS, 0.1)], DOLLARS),
    lambda: share_bars([(DOLLARS, 0.2)], DOLLARS),
    lambda: reliability_diagram({DOLLARS: [Bin(0.2, 0.3, 30)]}, DOLLARS),
    lambda: dependence_plot([DOLLARS, "b"], [1.0, 3.0], column=DOLLARS, output=DOLLARS),
    lambda: contributions_swarm([DOLLARS], [[1], [-2]], output=DOLLARS),
    lambda: contribution_bars([DOLLARS], [[1], [-2]], output=DOLLARS),
    lambda: contribution_steps({DOLLARS: 1.0}, 0.5, DOLLARS),
    lambda: gallery([Picture(DIGIT, DOLLARS)], title=DOLLARS),
)


@pytest.mark.parametrize("make", WITH_DOLLARS)
def test_text_with_dollars_is_no_formula(make: Callable[[], Plot]) -> None:
    plot = make()
    texts = [text for text in plot.findobj(Text) if "25,000" in text.get_text()]
    assert texts
    # What matplotlib draws, and whether it takes it for a formula.
    assert all(text._preprocess_math(text.get_text())[1] is False for text in texts)
    assert all(DOLLARS in text._preprocess_math(text.get_text())[0] for text in texts)
    assert DOLLARS in plot.alt


def luminance(color: object) -> float:
    """Return the lightness of a colour, L* of CIELAB."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(color)]
    shade = float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
    return 116 * shade ** (1 / 3) - 16


def test_lines_differ_without_colour_and_maps_by_lightness() -> None:
    assert len({(str(dash), mark) for _, dash, mark in STYLES}) == len({mark for *_, mark in STYLES}) == len(STYLES)
    shades = [luminance(VALUES(place)[:3]) for place in np.linspace(0, 1, 50)]
    assert np.all(np.diff(shades) > 0)
    assert shades[-1] < 85  # visible on white
    assert luminance(palette.INK) < 20


def test_counts_and_shares_are_in_the_cells_of_few_classes() -> None:
    texts = {text.get_text() for text in confusion_heat_map(["a", "b"], [[1500, 500], [0, 5]]).axes[0].texts}
    assert texts == {"1,500\n75%", "500\n25%", "5\n100%"}
    many = confusion_heat_map([str(at) for at in range(70)], np.eye(70).tolist()).axes[0]
    assert not many.texts
    assert len(many.get_xticklabels()) <= 60


def test_a_share_says_none_or_all_of_such_rows_alone() -> None:
    plot = confusion_heat_map(["a", "b"], [[999, 1], [0, 5000]])
    assert {text.get_text() for text in plot.axes[0].texts} == {"999\n>99%", "1\n<1%", "5,000\n100%"}
    assert "5,999 of 6,000 rows are right, >99.9%. The most frequent errors: 1 of a as b (<1% of its rows)." in plot.alt


@pytest.mark.parametrize("lowest", [0.0, 0.7])
def test_the_axis_of_scores_ends_where_scores_do_and_cuts_no_point(lowest: float) -> None:
    (axes,) = class_bars(["a", "b"], {"recall": [1.0, lowest], "F1": [0.9, 1.0]}).axes
    left, right = axes.get_xlim()
    assert right == 1
    assert 0 <= left <= lowest
    marks = [found for found in axes.collections if isinstance(found, PathCollection)]
    assert marks
    assert not any(found.get_clip_on() for found in marks)


def test_epochs_are_counted_from_one() -> None:
    (axes,) = learning_curves({"loss": {"training": [2.0, 1.0, 0.5]}}, best=1).axes
    values, mark = axes.lines
    assert list(values.get_xdata()) == [1, 2, 3]
    assert set(mark.get_xdata()) == {2}


def test_metrics_of_equal_values_are_one_panel_under_both_names() -> None:
    loss, validation = {"training": [2.0, 1.0]}, {"validation": [1.5, 1.2]}
    rounded = {"training": [2.0 + 1e-7, 1.0]}
    plot = learning_curves({"loss": loss, "logloss": rounded | validation, "error": {"training": [0.5, 0.25]}})
    assert [axes.get_title("left") for axes in plot.axes if axes.get_visible()] == ["loss (= logloss)", "error"]
    assert len(plot.axes[0].lines) == 2
    assert plot.alt.startswith("Learning curves. Loss (= logloss): training: 2 in epoch 1, 1 in epoch 2")
    for other in ({"training": [2.0, 1.1]}, {"training": [2.0, None, 1.0]}, {"validation": [2.0, 1.0]}):
        assert len(learning_curves({"loss": loss, "logloss": other}).axes) == 2


def test_points_of_equal_contributions_lie_beside_each_other() -> None:
    plot = contributions_swarm(["a"], [[1.0]] * 30 + [[0.0]])
    points = np.concatenate(
        [found.get_offsets() for found in plot.axes[0].collections if isinstance(found, PathCollection)]
    )
    heights = points[points[:, 0] == 1.0, 1]
    assert len(set(heights.round(6))) == 30
    assert np.abs(heights).max() < 0.5


@pytest.mark.parametrize(("rate", "rows"), [(0.0, 10), (1.0, 10), (0.5, 1), (0.3, 1000)])
def test_wilson_s_interval_holds_the_rates_that_the_normal_test_does_not_refuse(rate: float, rows: float) -> None:
    for end in wilson(rate, rows):
        assert 0 <= end <= 1
        if 1e-9 < end < 1 - 1e-9:
            assert abs(rate - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / rows))


def test_pictures_of_all_layouts_are_shown() -> None:
    grey = channels_last(DIGIT)
    assert grey.shape == (8, 8, 3)
    assert grey.max() == 63  # as dark as it is
    assert channels_last(DIGIT[0]).shape == (8, 8, 3)
    colour = np.zeros((3, 5, 8), np.uint8)
    colour[0] = 200
    assert (channels_last(colour)[0, 0] == (200, 0, 0)).all()
    assert channels_last(colour.transpose(1, 2, 0)).shape == (5, 8, 3)
    floats = channels_last(np.array([[-1.0, 0.0, 3.0]]))
    assert floats.min() == 0
    assert floats.max() == 1
    for wrong in (np.zeros(5), np.zeros((2, 8, 8)), np.zeros((0, 8)), np.array([[math.inf, 0.0]])):
        with pytest.raises(DataError, match="a picture"):
            channels_last(wrong)


def test_nothing_to_show_is_said() -> None:
    nothing = (
        lambda: learning_curves({"loss": {"training": [None, math.nan]}}),
        lambda: confusion_heat_map(["a"], [[0]]),
        lambda: class_bars([], {"F1": []}),
        lambda: leaderboard([Measured("a", math.inf)], "logLoss"),
        lambda: importance_plot([]),
        lambda: share_bars([], "share"),
        lambda: reliability_diagram({"before": []}),
        lambda: dependence_plot([], []),
        lambda: contributions_swarm(["a"], []),
        lambda: contribution_steps({}, 0.0),
        lambda: gallery([]),
        lambda: neighbor_gallery([]),
    )
    for make in nothing:
        with pytest.raises(DataError):
            make()


@pytest.mark.parametrize("largest", [1.0, 0.003])
def test_a_share_stands_beside_its_bar_however_small_it_is(largest: float) -> None:
    plot = share_bars([("a", largest), ("b", largest / 3)], "share")
    plot.canvas.draw()
    (axes,) = plot.axes
    gaps = [
        text.get_window_extent().x0 - bar.get_window_extent().x1
        for text, bar in zip(axes.texts, axes.patches, strict=True)
    ]
    assert all(0 < gap < 12 for gap in gaps), gaps
