"""The refusal of plots by other names than there are; free of matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

from sparkwater.errors import ConfigurationError


def check_kind(kind: str, kinds: Sequence[str]) -> None:
    """Refuse names of plots that there aren't.

    Raises
    ------
    ConfigurationError
        With those that there are.
    """
    if kind not in kinds:
        raise ConfigurationError(f"kind={kind!r} is not accepted; accepted: {', '.join(kinds)}")
