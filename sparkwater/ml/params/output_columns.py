"""Checks of the names of output columns."""

from __future__ import annotations

from collections.abc import Iterable

from sparkwater.conversions.stages.settings import Settings
from sparkwater.errors import ConfigurationError


def check_output_columns(stage: Settings, params: Iterable[str]) -> None:
    """Refuse two output columns of the same name; an empty one leaves a column out.

    Parameters
    ----------
    stage : Settings
        The stage that adds the columns.
    params : iterable of str
        The Params that name them.

    Raises
    ------
    ConfigurationError
        With both Params.
    """
    taken: dict[str, str] = {}
    for param in params:
        name = stage.getOrDefault(param)
        if name and name in taken:
            raise ConfigurationError(f"{param}={name!r}, as {taken[name]} is; accepted: a name of its own, or ''")
        taken[name] = param
