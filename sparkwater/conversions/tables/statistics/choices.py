"""From statistics to fitted columns: which columns are left out, and how the others are scaled and numbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sparkwater.conversions.tables.encoding.categories import CategoryColumn
from sparkwater.conversions.tables.encoding.column import FittedColumn
from sparkwater.conversions.tables.encoding.numbers import NumberColumn, TensorColumn, VectorColumn
from sparkwater.conversions.tables.encoding.scaling import QuantileScaling, RobustScaling, Scaling, StandardScaling
from sparkwater.conversions.tables.encoding.time_column import TimeColumn
from sparkwater.conversions.tables.encoding.times import PARTS
from sparkwater.conversions.tables.statistics.columns import InputColumn
from sparkwater.conversions.tables.statistics.levels import FrequentLevels
from sparkwater.conversions.tables.statistics.report import ColumnReport
from sparkwater.conversions.tables.statistics.settings import TableSettings
from sparkwater.conversions.tables.statistics.sketch import NumberSketch
from sparkwater.conversions.tables.statistics.spread import NumberSpread

#: Most knots of a quantile scaling.
KNOTS = 1_000

#: Whole numbers that all differ are an identifier from so many rows up; fewer may differ by chance.
IDENTIFIER_ROWS = 100

Fitted = tuple[FittedColumn | None, ColumnReport]


@dataclass(frozen=True)
class NumberStatistics:
    """Statistics of one number a row.

    Attributes
    ----------
    sketch : NumberSketch
        Counts and bounds.
    spread : NumberSpread
        Quantiles and moments; of no rows where the number never varied.
    repeats : bool
        Whether two rows are known to have the same number, beside what the sketch tells.
    """

    sketch: NumberSketch
    spread: NumberSpread
    repeats: bool = False

    @property
    def varies(self) -> bool:
        """True where two finite numbers differ."""
        return self.sketch.low < self.sketch.high

    def fill(self, imputation: str) -> float:
        """Return the number in place of missing ones."""
        if not self.varies:
            return self.sketch.low if self.sketch.finite else 0.0
        return self.spread.mean if imputation == "mean" else float(self.spread.quantiles(np.array([0.5]))[0])


def looks_like_identifier(column: InputColumn, sketch: NumberSketch) -> bool:
    """Return whether a number may be an identifier: no two rows of the sketch's sample have the same.

    Where the sketch lacks no value it is one.
    """
    return column.may_identify and sketch.all_differ and sketch.finite >= IDENTIFIER_ROWS


def fit_number(column: InputColumn, found: NumberStatistics, settings: TableSettings) -> Fitted:
    """Return the fitted column of a number, or None where it is left out, and its report."""
    sketch, indicator = found.sketch, bool(settings.indicator and found.sketch.missing)
    facts = {"missing": sketch.missing, "infinite": sketch.infinite}
    if not sketch.finite:
        return _left_out(column, "no value is a finite number" if sketch.infinite else "all values are null", **facts)
    if not found.varies and not indicator:
        return _left_out(column, f"constant: every value is {sketch.low:g}", **facts)
    if looks_like_identifier(column, sketch) and not found.repeats:
        return _left_out(column, "identifier: no two rows have the same value", **facts)
    fitted = NumberColumn(
        name=column.name,
        type=column.type,
        scaling=scaling_of_all([found], settings.scaling) if found.varies else None,
        fill=found.fill(settings.imputation),
        indicator=indicator,
    )
    skew = found.spread.skew if found.varies else 0.0
    return fitted, _report(column, fitted, skew=skew, **facts)


def fit_time(column: InputColumn, found: Sequence[NumberStatistics], settings: TableSettings) -> Fitted:
    """Return the fitted column of a date or time, as `fit_number`."""
    whole = found[0].sketch
    indicator = bool(settings.indicator and whole.missing)
    if not whole.finite:
        return _left_out(column, "all values are null", missing=whole.missing)
    kept = [place for place, part in enumerate(found) if part.varies]
    if not kept and not indicator:
        return _left_out(column, "constant: every value is the same", missing=whole.missing)
    fitted = TimeColumn(
        name=column.name,
        type=column.type,
        zone=settings.zone,
        parts=tuple(PARTS[place] for place in kept),
        scaling=scaling_of_all([found[place] for place in kept], settings.scaling),
        fill=tuple(found[place].fill(settings.imputation) for place in kept),
        indicator=indicator,
    )
    return fitted, _report(column, fitted, missing=whole.missing)


def fit_vector(column: InputColumn, found: Sequence[NumberStatistics], settings: TableSettings) -> Fitted:
    """Return the fitted column of a vector, as `fit_number`. Rows that can't be used count as missing."""
    missing = max(entry.sketch.missing for entry in found)
    facts = {"missing": missing, "infinite": max(entry.sketch.infinite for entry in found)}
    if not any(entry.sketch.finite for entry in found):
        return _left_out(column, "no row holds a vector of finite numbers", **facts)
    if not any(entry.varies for entry in found):
        return _left_out(column, "constant: all rows hold the same vector", **facts)
    scaling: Scaling = StandardScaling((0.0,) * len(found), (1.0,) * len(found))
    if settings.scale_vectors:
        scaling = scaling_of_all(found, settings.scaling)
    fitted = VectorColumn(column.name, column.type, scaling)
    return fitted, _report(column, fitted, **facts)


def fit_tensor(column: InputColumn) -> Fitted:
    """Return the column of a tensor, and its report."""
    assert column.spec is not None  # of that role
    fitted = TensorColumn(column.name, column.type, column.spec)
    return fitted, _report(column, fitted)


def fit_category(column: InputColumn, found: FrequentLevels, settings: TableSettings) -> Fitted:
    """Return the fitted column of a category, as `fit_number`."""
    top = found.top()
    rare = found.present - sum(top["rows"].to_pylist())
    facts = {"missing": found.missing, "levels": found.different}
    if not found.present:
        return _left_out(column, "all values are null", **facts)
    if found.different == 1 and not found.missing:
        return _left_out(column, "constant: every value is the same", **facts)
    if column.may_identify and found.different == found.present:
        return _left_out(column, "identifier: no two rows have the same value", **facts)
    if not len(top) and not found.missing:
        return _left_out(column, f"no level has {settings.min_level_rows} rows or more", **facts)
    levels = sorted(top["level"].to_pylist(), key=int if column.form == "whole" else str)
    fitted = CategoryColumn(
        name=column.name,
        type=column.type,
        levels=pa.array(levels, pa.string()),
        flags=len(levels) <= settings.one_hot_levels,
        missing_flag=found.missing > 0,
        rare_flag=rare > 0,
    )
    return fitted, _report(column, fitted, known=len(levels), rare=rare / found.present, **facts)


def scaling_of_all(found: Sequence[NumberStatistics], kind: str) -> Scaling:
    """Return the scaling of numbers by their statistics; one that never varied becomes 0."""
    if kind == "standard":
        moments = [(one.spread.mean, one.spread.deviation) if one.varies else (0.0, 0.0) for one in found]
        return StandardScaling(tuple(mean for mean, _ in moments), tuple(deviation for _, deviation in moments))
    if kind == "robust":
        robust = [_robust(one) for one in found]
        return RobustScaling(tuple(center for center, _ in robust), tuple(factor for _, factor in robust))
    knots = [_knots(one) for one in found]
    return QuantileScaling(tuple(values for values, _ in knots), tuple(levels for _, levels in knots))


def _robust(found: NumberStatistics) -> tuple[float, float]:
    if not found.varies:
        return 0.0, 0.0
    low, middle, high = found.spread.quantiles(np.array([0.25, 0.5, 0.75])).tolist()
    return middle, 1.0 / (high - low) if high > low else 2.0 / (found.sketch.high - found.sketch.low)


def _knots(found: NumberStatistics) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return values and the shares of rows below them, with half of the ties."""
    spread = found.spread
    if not found.varies:
        return (0.0,), (0.5,)
    if len(spread.edges) <= KNOTS:
        return tuple(spread.edges.tolist()), tuple(spread.shares(spread.edges).tolist())
    shares = np.linspace(0.0, 1.0, KNOTS)
    values, group = np.unique(spread.quantiles(shares), return_inverse=True)
    middle = np.bincount(group, weights=shares) / np.bincount(group)
    return tuple(values.tolist()), tuple(middle.tolist())


def _left_out(column: InputColumn, reason: str, **facts: int) -> Fitted:
    return None, ColumnReport(name=column.name, type=column.type, kind=column.role, reason=reason, **facts)


def _report(column: InputColumn, fitted: FittedColumn, **facts: float) -> ColumnReport:
    more: dict[str, object] = {**facts}
    return ColumnReport(column.name, column.type, fitted.kind, fitted.width, **more)  # type: ignore[arg-type]
