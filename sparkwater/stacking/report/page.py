"""The page of a report: everything in one file, without a script and without the network."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from sparkwater.ml.reports.confusion import ConfusionMatrix
from sparkwater.stacking.report import classes, matrices, plots, tables

if TYPE_CHECKING:
    from sparkwater.stacking.report.content import Content

#: The file's name in the folder, and what the whole is called in the leaderboard.
FILE, _ENSEMBLE = "report.html", "ensemble"

_STYLE = """
.sw { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 58rem; margin: 0 auto; padding: 1rem 1.5rem; }
.sw h1 { font-size: 1.6rem; margin: 0.5rem 0; } .sw h2 { font-size: 1.2rem; margin: 2.2rem 0 0.4rem; }
.sw figure { margin: 0.8rem 0; } .sw figcaption, .sw p { margin: 0.4rem 0; max-width: 46rem; }
.sw svg { max-width: 100%; height: auto; font: 13px system-ui, sans-serif; display: block; }
.sw .wide { overflow-x: auto; } .sw table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.sw th, .sw td { padding: 0.2rem 0.7rem; text-align: right; border-bottom: 1px solid #ddd; font-weight: normal; }
.sw td { white-space: nowrap; }
.sw thead th { border-bottom: 2px solid #222; white-space: nowrap; } .sw tbody th { text-align: left; }
.sw .whole th, .sw .whole td { font-weight: bold; } .sw summary { cursor: pointer; color: #00558a; }
.sw .verdict { border-left: 4px solid #0072b2; padding: 0.3rem 0.8rem; background: #f2f7fa; }
@media print { .sw { max-width: none; padding: 0; } .sw figure, .sw tr { break-inside: avoid; }
.sw h2 { break-after: avoid; } .sw svg, .sw .verdict { print-color-adjust: exact; } }
"""


class WrittenReport(str):
    """Path of a written report, which a notebook shows as the report itself."""

    _view: str

    def __new__(cls, path: str, view: str = "") -> WrittenReport:
        """Return the path with what a notebook shows."""
        report = super().__new__(cls, path)
        report._view = view
        return report

    def _repr_html_(self) -> str:
        return self._view


def write_page(content: Content, folder: str) -> WrittenReport:
    """Write the page into a folder on this machine, and return its path."""
    target = Path(folder) / FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    # A reader never finds half a page.
    part = target.with_name(f"{FILE}.part")
    part.write_text(page(content), encoding="utf-8")
    part.replace(target)
    return WrittenReport(str(target), notebook_view(content))


def page(content: Content) -> str:
    """Return the whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Stacked ensemble</title></head><body>{body(content)}</body></html>\n"
    )


def notebook_view(content: Content) -> str:
    """Return what a notebook shows: the leaderboard and the verdict, and all else in folds."""
    return body(content, folded=True)


def body(content: Content, folded: bool = False) -> str:
    """Return the report's own part of a page."""
    sections = [(name, text) for name, text in _sections(content) if text]
    (first, board), *others = sections
    if folded:
        rest = "".join(f"<details><summary>{escape(name)}</summary>{text}</details>" for name, text in others)
    else:
        rest = "".join(f"<section><h2>{escape(name)}</h2>{text}</section>" for name, text in others)
    head = f"<h1>Stacked ensemble</h1>{_said(content)}<section><h2>{escape(first)}</h2>{board}</section>"
    return f'<style>{_STYLE}</style><main class="sw">{head}{rest}</main>'


def _said(content: Content) -> str:
    facts = (
        f"{content.rows:,} rows in {content.folds} folds, {content.strategy}, {content.totalSeconds:,.1f} seconds; "
        f"fingerprint of rows and folds {content.fingerprint}"
    )
    verdict = content.verdict[:1].upper() + content.verdict[1:]
    notes = "".join(f"<p>{escape(one[:1].upper() + one[1:])}.</p>" for one in content.notes)
    return f'<p>{escape(facts)}.</p><p class="verdict">{escape(verdict)}.</p>{notes}'


def _sections(content: Content) -> list[tuple[str, str]]:
    """Return the sections, empty where there is nothing to show."""
    found = content.diagnostics
    scores = ConfusionMatrix(content.classes, found.confusion).classes if found.confusion else ()
    names = [*content.learners, _ENSEMBLE]
    kind = "probability" if len(content.classes) > 2 else f"probability of {(content.classes or ('',))[-1]}"
    return [
        ("Leaderboard", _leaderboard(content)),
        ("Meta-learner", _meta_learner(content)),
        ("Reliability of the probabilities", _figure(
            plots.reliability(found.reliability, found.calibrated, kind), _reliability_words(content),
            tables.reliability(found.reliability, found.calibrated), _calibration(content),
        )),
        ("Confusion of classes", _figure(
            matrices.confusion(found.confusion, content.classes),
            "Rows of the ensemble out of fold, by weight where rows have weights. Shades are shares of the rows of a "
            "label.", tables.matrix(found.confusion, content.classes, ",.0f") if found.confusion else "",
        )),
        ("Scores of each class", _figure(
            classes.class_scores(scores),
            "Of the rows taken for a class, precision is the share that is of it; of the class's rows, recall is the "
            "share that was found. F1 is their harmonic mean.", classes.table(scores),
        )),
        ("Correlation of errors", _figure(
            matrices.correlation(found.correlation, names),
            "Learners whose errors differ have more to give to each other. 1 means the same errors.",
            tables.matrix(found.correlation, names, ".3f") if found.correlation else "",
        )),
        ("Learning curves of networks", "".join(
            f"<h3>{escape(one.learner)}</h3>" + _figure(plots.learning_curve(one), "", tables.curve(one))
            for one in content.curves
        )),
    ]  # fmt: skip


def _leaderboard(content: Content) -> str:
    plot = plots.leaderboard(content.scores, content.metrics[0], _ENSEMBLE)
    words = (
        "All are measured on rows that their models never saw; the ensemble by a meta-learner that saw them neither."
    )
    return _figure(plot, words, "") + tables.leaderboard(content.scores, content.metrics, _ENSEMBLE)


def _meta_learner(content: Content) -> str:
    plot = plots.weights(content.scores)
    skipped = f"Without weight, and not asked when scoring: {', '.join(content.skipped)}." if content.skipped else ""
    parts = [_figure(plot, f"Share of each learner in the weights. {skipped}", "") if plot else ""]
    if content.metaLearner:
        parts.append(
            f"<p>Taken: {escape(content.metaLearner)}. Estimates of those that were tried, of fits without the fold "
            f"that they score:</p>{tables.tried(content.tried, content.metrics[0], content.metaLearner)}"
        )
    return "".join(parts)


def _reliability_words(content: Content) -> str:
    if len(content.classes) > 2:
        return "The probability is that of the predicted class, and the observed rate the share of right predictions."
    return f"The observed rate is the share of {(content.classes or ('',))[-1]!r} among the rows of a bin."


def _calibration(content: Content) -> str:
    if not content.calibration:
        return ""
    estimates = tables.tried(content.calibrationsTried, content.metrics[0], content.calibration)
    return f"<p>Calibration: {escape(content.calibration)}. Cross-validated estimates:</p>{estimates}"


def _figure(plot: str, words: str, numbers: str, more: str = "") -> str:
    """Return a plot with its words, and its numbers to unfold."""
    if not plot:
        return ""
    caption = f"<figcaption>{escape(words)}</figcaption>" if words.strip() else ""
    folded = f"<details><summary>Numbers</summary>{numbers}</details>" if numbers else ""
    return f"<figure>{plot}{caption}</figure>{folded}{more}"
