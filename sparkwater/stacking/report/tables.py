"""Tables of a report: the numbers of its plots."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from sparkwater.plots.drawing.palette import number

if TYPE_CHECKING:
    from sparkwater.stacking.diagnostics import ReliabilityBin
    from sparkwater.stacking.scores import Curve, Score, Tried


def table(header: Sequence[str], rows: Sequence[Sequence[str]], bold: str = "") -> str:
    """Return a table; the first column names the rows, and the row of one name is bold."""
    heads = "".join(f'<th scope="col">{escape(one)}</th>' for one in header)
    lines = []
    for name, *rest in rows:
        cells = "".join(f"<td>{escape(one)}</td>" for one in rest)
        mark = ' class="whole"' if name == bold else ""
        lines.append(f'<tr{mark}><th scope="row">{escape(name)}</th>{cells}</tr>')
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def leaderboard(scores: Sequence[Score], metrics: Sequence[str], ensemble: str) -> str:
    """Return the leaderboard."""
    header = ["", metrics[0], "95 % interval", "deviation over folds", metrics[1], "weight", "fit s", "ms / 1,000 rows"]
    rows = [
        [
            one.learner, number(one.value), f"{number(one.low)} to {number(one.high)}", number(one.deviation),
            number(one.second), _optional(one.weight, ".3f"), _optional(one.fitSeconds, ",.1f"),
            _optional(one.msPer1000Rows, ",.0f"),
        ]
        for one in scores
    ]  # fmt: skip
    return table(header, rows, ensemble)


def _optional(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def tried(estimates: Sequence[Tried], metric: str, chosen: str) -> str:
    """Return the estimates of what was tried."""
    rows = [[one.name, number(one.value), f"{number(one.low)} to {number(one.high)}"] for one in estimates]
    return table(["", metric, "95 % interval"], rows, chosen)


def matrix(values: Sequence[Sequence[float]], names: Sequence[str], form: str) -> str:
    """Return a square of numbers."""
    rows = [[name, *(format(value, form) for value in row)] for name, row in zip(names, values, strict=True)]
    return table(["", *names], rows)


def reliability(before: Sequence[ReliabilityBin], after: Sequence[ReliabilityBin]) -> str:
    """Return the bins of a reliability diagram."""
    kinds = [("as combined", before), ("calibrated", after)]
    rows = [
        [f"{one.low:.1f} to {one.high:.1f}", kind, f"{one.rows:,}", f"{one.predicted:.4f}", f"{one.observed:.4f}"]
        for kind, bins in kinds
        for one in bins
    ]
    return table(["predicted probability", "", "rows", "mean predicted", "observed rate"], rows)


def curve(one: Curve) -> str:
    """Return a learning curve."""
    header = ["epoch", "training loss", *([one.metric] if one.metric else [])]
    rows = []
    for epoch, loss in enumerate(one.loss):
        judged = one.validation[epoch] if epoch < len(one.validation) else None
        rest = ["" if judged is None else number(judged)] if one.metric else []
        rows.append([str(epoch + 1), number(loss), *rest])
    return table(header, rows)
