"""Folds, and predictions of rows by models that never saw them."""

from __future__ import annotations

from sparkwater._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {"folds": ("assign_folds",), "cross_fitting": ("cross_fit",)},
)
