"""Bundles: trained models as files that are scored without Spark and torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sparkwater._lazy import lazy_exports

if TYPE_CHECKING:
    from sparkwater.bundle.export.exporting import export_bundle as export_bundle
    from sparkwater.bundle.scorer.bundle import Bundle as Bundle
else:
    __getattr__, __dir__, __all__ = lazy_exports(
        __name__, {"export.exporting": ("export_bundle",), "scorer.bundle": ("Bundle",)}
    )
