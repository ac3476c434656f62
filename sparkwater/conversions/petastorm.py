"""Tensor columns in Parquet, read by petastorm (``pip install sparkwater[petastorm]``).

A DataFrame with tensor columns is plain Parquet once it is written. petastorm's batch reader gives
their bytes; the transform made here turns them into arrays of the right dtype and shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sparkwater.conversions.spec import TensorSpec
from sparkwater.errors import ConfigurationError


def tensor_transform(specs: Mapping[str, TensorSpec]) -> Any:
    """Return a petastorm ``TransformSpec`` that decodes tensor columns.

    Parameters
    ----------
    specs : mapping of str to TensorSpec
        The tensor columns; other columns stay as they are.

    Returns
    -------
    petastorm.transform.TransformSpec
        For ``petastorm.make_batch_reader(url, transform_spec=...)``.

    Raises
    ------
    ConfigurationError
        If petastorm can't be imported here; it needs pyarrow < 15 and numpy < 2.
    """
    try:
        from petastorm.transform import TransformSpec
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"petastorm can't be imported ({error}); pip install 'sparkwater[petastorm]' takes pyarrow < 15, numpy < 2"
        ) from error

    def decode(frame: pd.DataFrame) -> pd.DataFrame:
        for name, spec in specs.items():
            frame[name] = [np.frombuffer(value, spec.numpy_dtype).reshape(spec.shape) for value in frame[name]]
        return frame

    fields = [(name, np.dtype(spec.dtype).type, spec.shape, False) for name, spec in specs.items()]
    return TransformSpec(decode, edit_fields=fields)
