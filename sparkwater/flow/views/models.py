"""Fitted models as plain values: facts, curves, confusion of classes, tables; driver side, no Spark job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sparkwater.flow.views import ensembles
from sparkwater.flow.views.curves import Curves, training_curves
from sparkwater.flow.views.numbers import count_text
from sparkwater.flow.views.plots import PlotView
from sparkwater.flow.views.tables import Matrix, Table, Value, table_of
from sparkwater.ml.reports.confusion import ConfusionMatrix
from sparkwater.ml.reports.summary import TrainingSummary
from sparkwater.ml.reports.tables import COLUMNS
from sparkwater.stacking.automl.summary import AutoMLSummary
from sparkwater.stacking.search.records import SearchSummary
from sparkwater.stacking.summary import EnsembleSummary

if TYPE_CHECKING:
    from sparkwater.flow.workbook.actions.training import Fit
    from sparkwater.gpu.records import EpochRecord

#: Rows of a table, and columns with the largest importance, at most.
_ROWS, _IMPORTANT = 200, 30
_TITLES = {"thresholds": "By threshold", "gainsLift": "Gains and lift", "quantiles": "By quantile"}
#: Parts of the views of summaries that aren't those of one network.
_PARTS: Mapping[type[Any], Callable[[Any], ensembles.Parts]] = {
    EnsembleSummary: ensembles.ensemble_parts,
    AutoMLSummary: ensembles.automl_parts,
    SearchSummary: ensembles.search_parts,
}


@dataclass(frozen=True)
class ModelView:
    """All that a model's summary says.

    Attributes
    ----------
    name, kind : str
        Its variable, and its class.
    facts : tuple of (str, str)
        Short facts with their names.
    curves : tuple of Curves
        Curves by epoch.
    matrix : Matrix or None
        Confusion of classes.
    plots : tuple of PlotView
        Other plots.
    tables : tuple of Table
        Tables, the most important first.
    notes : tuple of str
        Sentences.
    network : object
        The `sparkwater.gpu.inspection.describe.NetworkDescription`; None for models that are no network.
    """

    name: str
    kind: str
    facts: tuple[tuple[str, str], ...]
    curves: tuple[Curves, ...] = ()
    matrix: Matrix | None = None
    plots: tuple[PlotView, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    network: Any = field(default=None, compare=False)


def paragraphs(notes: Sequence[str]) -> list[tuple[bool, str]]:
    """Return notes, each with whether it is a table made of blanks, whose lines come one after the other."""
    found: list[tuple[bool, str]] = []
    for note in notes:
        table = "  " in note
        if table and found and found[-1][0]:
            found[-1] = (True, f"{found[-1][1]}\n{note}")
        else:
            found.append((table, note))
    return found


def model_view(name: str, model: Any) -> ModelView:
    """Return what there is to say of a fitted model."""
    summary, kind = getattr(model, "summary", None) if _has_summary(model) else None, type(model).__name__
    if isinstance(summary, TrainingSummary):
        return _network_view(name, kind, model, summary)
    for known, parts_of in _PARTS.items():
        if isinstance(summary, known):
            parts = parts_of(summary)
            shown = (parts.facts, parts.curves, parts.matrix, parts.plots, parts.tables, parts.notes)
            return ModelView(name, kind, *shown)
    return _spark_view(name, kind, model, summary)


def _has_summary(model: Any) -> bool:
    return bool(getattr(model, "hasSummary", hasattr(model, "summary")))


def _network_view(name: str, kind: str, model: Any, summary: TrainingSummary) -> ModelView:
    return ModelView(
        name,
        kind,
        tuple(_training_facts(summary)),
        training_curves(summary.records, summary.bestEpoch),
        matrix_of(summary.confusionMatrix, _judged(summary)),
        tables=tuple(_training_tables(model, summary)),
        notes=tuple(f"checkpoint lost: {reason}" for reason in summary.lostCheckpoints),
        network=model.describeNetwork(),
    )


def _training_facts(summary: TrainingSummary) -> list[tuple[str, str]]:
    workers = f"{summary.numWorkers} ({summary.collective}, {summary.device})"
    facts = [
        ("Network", str(summary.resolved["network"])),
        ("Epochs", f"{len(summary.records)}, ended by {summary.stoppedBy}"),
        ("Rows trained", f"{summary.numRows:,}"),
        ("Rows to validate on", f"{summary.numValidationRows:,}"),
        ("Rows skipped", f"{summary.numSkipped:,}"),
        ("Workers", workers),
        ("Seconds", f"{summary.totalSeconds:.1f}"),
    ]
    if summary.bestEpoch is not None:
        facts.insert(2, ("Best epoch", f"{summary.bestEpoch + 1}, whose weights the model has"))
    if summary.numWeightless:
        facts.append(("Rows of weight 0", f"{summary.numWeightless:,}"))
    if summary.restarts:
        facts.append(("Restarts", f"{summary.restarts}, went on from step {summary.resumedAt}"))
    return facts


def _judged(summary: TrainingSummary) -> str:
    return "validation rows" if summary.numValidationRows else "training rows"


def matrix_of(matrix: Any, rows: str) -> Matrix | None:
    """Return a confusion matrix with what its rows are; None of all else."""
    return Matrix(matrix.labels, matrix.counts, rows) if isinstance(matrix, ConfusionMatrix) else None


def _model_record(summary: TrainingSummary) -> EpochRecord | None:
    """Return the epoch whose weights the model has; None for a training of no epochs."""
    if not summary.records:
        return None
    return summary.records[-1 if summary.bestEpoch is None else summary.bestEpoch]


def _training_tables(model: Any, summary: TrainingSummary) -> list[Table]:
    tables, record = [], _model_record(summary)
    if record is not None:
        held_out: dict[str, float | None] = dict(record.validation or {})
        rows = [
            (metric, value, held_out.get(metric))
            for metric, value in record.training.items()
            if value is not None or held_out.get(metric) is not None
        ]
        tables.append(table_of("Metrics", ("metric", "training rows", "validation rows"), rows))
    tables += _class_tables(summary)
    for name, content in summary.tables.items():
        tables.append(table_of(_TITLES.get(name, name), COLUMNS[name], content[:_ROWS]))
    encoder = getattr(model.fitted, "encoder", None)
    if encoder is not None:
        columns = ("column", "type", "kind", "entries", "missing", "levels", "remark")
        found: list[Sequence[Value]] = [
            (one.name, one.type, one.kind, one.entries, one.missing, one.levels, one.remark)
            for one in encoder.report.columns[:_ROWS]
        ]
        tables.append(table_of("Columns as the network gets them", columns, found))
    if summary.skippedRows:
        tables.append(table_of("Rows that were skipped, the first ones", ("row", "reason"), summary.skippedRows))
    chosen = [(name, _short(value)) for name, value in summary.resolved.items()]
    return [*tables, table_of("Choices that were open", ("Param", "value"), chosen)]


def _class_tables(summary: TrainingSummary) -> list[Table]:
    title = f"By class, {_judged(summary)}"
    if summary.confusionMatrix is not None:
        columns = ("class", "rows", "precision", "recall", "F1", "error")
        scores = summary.confusionMatrix.classes
        rows = [(one.label, one.rows, one.precision, one.recall, one.f1, one.error) for one in scores]
        return [table_of(title, columns, rows)]
    if summary.labelScores:
        columns = ("label", "rows", "precision", "recall", "F1", "AUC")
        found = [(one.label, one.rows, one.precision, one.recall, one.f1, one.auc) for one in summary.labelScores]
        return [table_of(title, columns, found)]
    return []


def _short(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _spark_view(name: str, kind: str, model: Any, summary: Any) -> ModelView:
    """Return what Spark's own models say of themselves."""
    names = {"numClasses": "Classes", "numFeatures": "Features", "getNumTrees": "Trees", "totalNumNodes": "Nodes"}
    facts = [
        (title, count_text(value)) for each, title in names.items() if isinstance(value := _told(model, each), int)
    ]
    history = getattr(summary, "objectiveHistory", None) or ()
    curves = (Curves("objective", {"training rows": tuple(map(float, history))}),) if len(history) else ()
    importances, tables = _told(model, "featureImportances"), []
    if importances is not None:
        ranked = sorted(enumerate(importances.toArray().tolist()), key=lambda one: -one[1])[:_IMPORTANT]
        tables.append(table_of("Importance of the entries", ("entry", "importance"), ranked))
    return ModelView(name, kind, tuple(facts), curves, tables=tuple(tables))


def _told(model: Any, name: str) -> Any:
    """Return a property of a model; None where it has none."""
    return getattr(model, name, None)


def alike(models: Sequence[str], viewed: str | None, fits: Mapping[str, Fit]) -> list[str]:
    """Return the models that were trained on the same data as one of them; metrics of others say nothing beside it.

    Parameters
    ----------
    models : sequence of str
        Names of models.
    viewed : str or None
        The one of them.
    fits : mapping of str to Fit
        The trainings that are known, by their models.
    """
    return [name for name in models if _data_of(name, fits) == _data_of(viewed, fits)]


def _data_of(model: str | None, fits: Mapping[str, Fit]) -> str | None:
    fit = fits.get(model or "")
    return fit.frame if fit else None


def comparison(models: Sequence[tuple[str, Any]], fits: Mapping[str, Fit] = MappingProxyType({})) -> Table:
    """Return one table of several models, a row each: what they are, and their metrics on the rows that judge.

    Parameters
    ----------
    models : sequence of (str, object)
        Names and fitted models. Those without a summary have empty cells.
    fits : mapping of str to Fit
        The trainings that are known, by their models: they have the names of the data.
    """
    lines = [_line(name, model, fits.get(name)) for name, model in models]
    fixed = ("model", "data", "class", "network", "rows", "epochs", "seconds", "judged on")
    # The logloss of networks is the logLoss of ensembles: one column, whose words are those that come first.
    words: dict[str, str] = {}
    for _, line in lines:
        for metric in line:
            words.setdefault(metric.lower(), metric)
    found = [{metric.lower(): value for metric, value in line.items() if value is not None} for _, line in lines]
    metrics = list(dict.fromkeys(metric for line in found for metric in line))
    rows = [(*start, *map(measured.get, metrics)) for (start, _), measured in zip(lines, found, strict=True)]
    return table_of("Comparison", (*fixed, *(words[metric] for metric in metrics)), rows)


def _line(name: str, model: Any, fit: Fit | None) -> tuple[tuple[Value, ...], dict[str, float | None]]:
    """Return the first cells of a model's row, and its metrics."""
    summary = getattr(model, "summary", None) if _has_summary(model) else None
    first = (name, fit.frame if fit else None, type(model).__name__)
    if isinstance(summary, TrainingSummary):
        record = _model_record(summary)
        start = (summary.resolved["network"], summary.numRows, len(summary.records), round(summary.totalSeconds, 1))
        held_out = fit.variables.get("validationDataFrame") if fit else None
        judged = f"{_judged(summary)}, {held_out}" if held_out else _judged(summary)
        return (*first, *start, judged), dict(record.judged) if record else {}
    if isinstance(summary, (EnsembleSummary, AutoMLSummary, SearchSummary)):
        network, values = ensembles.line_of(summary)
        seconds = round(summary.totalSeconds, 1)
        return (*first, network, summary.rows, None, seconds, "rows out of fold"), values
    return (*first, None, None, None, None, None), {}
