"""Context variables in other threads."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from typing import Any


def in_context(work: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for other threads, several at a time, which has the context variables of this thread."""
    context = copy_context()

    def run(*given: Any) -> Any:
        return context.copy().run(work, *given)  # one context can't be entered twice at a time

    return run
