"""A bundle as MLflow's Python function: pandas in, pandas out, without Spark and torch."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sparkwater.bundle.scorer.bundle import Bundle
from sparkwater.errors import SchemaError


class BundleScorer:
    """Scorer of one bundle; safe to use from several threads.

    Parameters
    ----------
    bundle : Bundle
        The bundle.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._pictures = [each.name for each in bundle.signature.inputs if each.kind == "picture"]

    def predict(self, data: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the model's outputs for rows.

        Parameters
        ----------
        data : pandas.DataFrame
            The inputs by name; tensors and pictures are bytes.
        params : dict, optional
            MLflow's parameters of a call; there are none.

        Returns
        -------
        pandas.DataFrame
            A column an output, with the index of the rows. Vectors and tensors are an array in each row.

        Raises
        ------
        SchemaError
            If the rows are in another form, a column is missing or holds values of another type, or a picture is
            given by its path: a server would read its own files.
        DataError
            If a row has a value that the model refuses.
        """
        del params
        if not isinstance(data, pd.DataFrame):
            raise SchemaError(
                f"rows are a {type(data).__module__}.{type(data).__name__}; accepted: a pandas DataFrame. For Spark's "
                "use mlflow.pyfunc.spark_udf, or the stage that sparkwater.mlflow.load_model returns"
            )
        for name in self._pictures:
            _check_bytes(data, name)
        found = self._bundle.predict(data)
        columns = {name: values if values.ndim == 1 else list(values) for name, values in found.items()}
        return pd.DataFrame(columns, index=data.index)


def load_scorer(path: str, threads: int | None = None) -> BundleScorer:
    """Return the scorer of the bundle in a folder.

    Parameters
    ----------
    path : str
        The folder.
    threads : int, optional
        Threads of one run; onnxruntime's choice without it.

    Raises
    ------
    CheckpointError, UnsafeLoadError
        See `sparkwater.bundle.Bundle.load`.
    """
    return BundleScorer(Bundle.load(path, threads))


def _check_bytes(data: pd.DataFrame, name: str) -> None:
    for row, value in enumerate(data.get(name, ())):
        if isinstance(value, str):
            raise SchemaError(f"row {row}: {name!r} is a text; accepted: the bytes of an encoded picture")
