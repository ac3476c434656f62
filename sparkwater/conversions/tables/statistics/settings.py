"""Settings of a fit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableSettings:
    """Settings of a fit; `sparkwater.conversions.TableToTensor` explains each Param.

    Attributes
    ----------
    scaling : {"standard", "robust", "quantile"}
        Scaling of numbers.
    imputation : {"mean", "median"}
        The number in place of missing ones.
    indicator : bool
        Whether missing numbers get an indicator.
    scale_vectors : bool
        Whether entries of vectors are scaled as numbers are.
    one_hot_levels, max_levels, min_level_rows : int
        Most levels that become flags; most levels of a column; rows that a level needs.
    zone : str
        Time zone of the clock that instants are read by.
    """

    scaling: str
    imputation: str
    indicator: bool
    scale_vectors: bool
    one_hot_levels: int
    max_levels: int
    min_level_rows: int
    zone: str
