"""``exportBundle``: models as files that are scored without Spark."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Exported:
    """Mixin for models that go along in a bundle."""

    def exportBundle(self, path: str, sample: DataFrame, overwrite: bool = False, licence: str | None = None) -> None:
        """Write the model as a bundle, which is scored without Spark and torch; driver side.

        Parameters
        ----------
        path : str
            The folder.
        sample : pyspark.sql.DataFrame
            Rows of real input, as ``transform`` takes them; up to 100 of them are readable in the bundle.
        overwrite : bool
            Whether a folder at the path is replaced.
        licence : str, optional
            Licence of the model, such as ``Apache-2.0``.

        Raises
        ------
        ConfigurationError, SchemaError, DataError
            See `sparkwater.bundle.export_bundle`.
        """
        # The package that reads all models is above them, so it is found by name.
        export = import_module("sparkwater.bundle").export_bundle
        export(self, path, sample, overwrite=overwrite, licence=licence)
