"""Options of ECharts for curves, histograms and large confusion matrices, as plain values; for light and dark pages."""

from __future__ import annotations

from typing import Any

from sparkwater.flow.views.curves import Curves
from sparkwater.flow.views.data.columns import ColumnView
from sparkwater.flow.views.tables import Matrix
from sparkwater.plots.drawing.palette import AMBER, BLUE, GREEN, PURPLE, SKY, VERMILION

#: Words and axes: a plot doesn't know whether it is on white or on dark grey.
_GREY, _FAINT = "#6f7c84", "rgba(128, 140, 148, 0.3)"
#: Bars, and the largest share of a matrix: the pages' accent, lighter, which is seen on both.
_WATER, _PALE_WATER = "#1a86a3", "rgba(26, 134, 163, 0.15)"
#: Lines differ in their dashes too, for readers who don't tell colours apart.
_LINES = ((BLUE, "solid"), (VERMILION, "dashed"), (GREEN, "dotted"), (PURPLE, "solid"), (AMBER, "dashed"))
_MORE = (SKY, "dotted")
_WORDS = {"color": _GREY, "fontFamily": "system-ui, sans-serif"}


def curves_chart(curves: Curves) -> dict[str, Any]:
    """Return a line an entry, by epoch counted from 1."""
    numbers = curves.numbers
    best = numbers.index(curves.best + 1) if curves.best is not None and curves.best + 1 in numbers else None
    series = [
        _line(name, values, place, best if place == 0 else None)
        for place, (name, values) in enumerate(curves.lines.items())
    ]
    axis = {"axisLabel": {"color": _GREY}, "axisLine": {"lineStyle": {"color": _GREY}}}
    return {
        "animation": False,
        "textStyle": _WORDS,
        "legend": {"top": 0, "textStyle": _WORDS, "data": list(curves.lines)},
        "grid": {"top": 36, "left": 8, "right": 16, "bottom": 28, "containLabel": True},
        "tooltip": {"trigger": "axis", "renderMode": "richText"},
        "xAxis": {
            "type": "category",
            "name": "epoch",
            "nameLocation": "middle",
            "nameGap": 26,
            "data": list(numbers),
            **axis,
        },
        "yAxis": {"type": "value", "scale": True, "splitLine": {"lineStyle": {"color": _FAINT}}, **axis},
        "series": series,
    }


def _line(name: str, values: tuple[float | None, ...], place: int, best: int | None) -> dict[str, Any]:
    colour, dash = _LINES[place] if place < len(_LINES) else _MORE
    line: dict[str, Any] = {
        "type": "line",
        "name": name,
        "data": list(values),
        "symbol": "circle",
        "symbolSize": 5 if len(values) <= 60 else 0,
        "color": colour,
        "lineStyle": {"type": dash, "width": 2},
    }
    if best is not None:
        line["markLine"] = {
            "symbol": "none",
            "data": [{"xAxis": best}],
            "label": {"formatter": "best", "color": _GREY},
            "lineStyle": {"color": _GREY},
        }
    return line


def matrix_chart(matrix: Matrix) -> dict[str, Any]:
    """Return a heat map of shares of each class's rows; for more classes than a table shows."""
    cells = [
        [predicted, actual, round(count / (sum(row) or 1), 4), count]
        for actual, row in enumerate(matrix.counts)
        for predicted, count in enumerate(row)
        if count
    ]
    axis = {"type": "category", "data": list(matrix.labels), "axisLabel": {"color": _GREY}}
    return {
        "animation": False,
        "textStyle": _WORDS,
        "tooltip": {"renderMode": "richText"},
        "grid": {"top": 16, "left": 8, "right": 16, "bottom": 28, "containLabel": True},
        "xAxis": {**axis, "name": "predicted", "nameLocation": "middle", "nameGap": 26},
        "yAxis": {**axis, "name": "actual", "inverse": True},
        "visualMap": {
            "show": False,
            "min": 0,
            "max": 1,
            "dimension": 2,
            "inRange": {"color": [_PALE_WATER, _WATER]},
        },
        "series": [{"type": "heatmap", "data": cells, "encode": {"x": 0, "y": 1, "value": 2}}],
    }


def histogram_chart(column: ColumnView) -> dict[str, Any]:
    """Return the histogram of a column: lying bars for levels, standing ones for bins."""
    lying = column.kind == "category"
    names: dict[str, Any] = {
        "type": "category",
        "data": [bar.label for bar in column.bars],
        "axisLabel": {"color": _GREY, "width": 150, "overflow": "truncate"},
    }
    counts: dict[str, Any] = {
        "type": "value",
        "name": "rows",
        "nameLocation": "middle",
        "nameGap": 26 if lying else 44,
        "nameTextStyle": _WORDS,
        "minInterval": 1,
        "axisLabel": {"color": _GREY},
        "splitLine": {"lineStyle": {"color": _FAINT}},
    }
    bars = {
        "type": "bar",
        "data": [bar.rows for bar in column.bars],
        "barCategoryGap": "25%" if lying else "4%",
        "itemStyle": {"color": _WATER},
    }
    return {
        "animation": False,
        "textStyle": _WORDS,
        "tooltip": {"trigger": "axis", "renderMode": "richText"},
        "grid": {"left": 28, "right": 24, "top": 12, "bottom": 28, "containLabel": True},
        "xAxis": counts if lying else names,
        "yAxis": {**names, "inverse": True} if lying else counts,
        "series": [bars],
    }
