"""A workbook: the actions of a session in their order, and the files that repeat them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.actions import Action, from_json, to_json

#: What a file says that it is.
_FORMAT = "sparkwater flow"
_VERSION = 1
#: Larger files are no workbooks: a cell has some hundred bytes.
MOST_BYTES = 4 * 1024 * 1024
_MOST_CELLS = 10_000


@dataclass(frozen=True)
class Cell:
    """An action and how it ended.

    Attributes
    ----------
    action : Action
        The action.
    state : str
        "done", "failed" or "cancelled"; "new" where it hasn't run since it was read from a file.
    seconds : float or None
        Its running time.
    error : str
        Why it failed.
    """

    action: Action
    state: str = "done"
    seconds: float | None = None
    error: str = ""

    @property
    def repeats(self) -> bool:
        """True where scripts have it: failed and cancelled actions made nothing."""
        return self.state in ("done", "new")


class Workbook:
    """Cells in their order; any thread may read and add.

    Parameters
    ----------
    cells : iterable of Cell
        The first cells.
    """

    def __init__(self, cells: Iterable[Cell] = ()) -> None:
        self._cells = tuple(cells)
        self._lock = threading.Lock()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells."""
        return self._cells

    def add(self, cell: Cell) -> None:
        """Append a cell."""
        with self._lock:
            self._cells = (*self._cells, cell)

    def replace(self, cells: Iterable[Cell]) -> None:
        """Put other cells in place of all."""
        with self._lock:
            self._cells = tuple(cells)

    def to_json(self) -> str:
        """Return the text of a file: the actions that `Cell.repeats`, never code."""
        actions = [to_json(cell.action) for cell in self._cells if cell.repeats]
        content = {"format": _FORMAT, "version": _VERSION, "actions": actions}
        return json.dumps(content, indent=1, allow_nan=False) + "\n"


def cells_of(text: str | bytes) -> tuple[Cell, ...]:
    """Return the cells of what `Workbook.to_json` gave, as new ones; nothing runs.

    Raises
    ------
    ConfigurationError
        If it is no such file, or an action in it is refused; the message says which, and why.
    """
    if len(text) > MOST_BYTES:
        raise ConfigurationError(f"the file has {len(text)} bytes; a flow has at most {MOST_BYTES}")
    try:
        content = json.loads(text)
        json.dumps(content, ensure_ascii=False).encode()  # half a letter, such as \ud800, couldn't be shown or written
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"the file is no flow, it isn't JSON: {error}") from error
    return tuple(_cell(place, action) for place, action in enumerate(_actions(content), 1))


def _actions(content: Any) -> list[Any]:
    if type(content) is not dict or content.get("format") != _FORMAT:
        raise ConfigurationError(f'the file is no flow: one says {{"format": "{_FORMAT}"}}')
    if content.get("version") != _VERSION:
        raise ConfigurationError(f"the flow is of version {str(content.get('version'))[:20]}; this reads {_VERSION}")
    actions = content.get("actions")
    if type(actions) is not list or len(actions) > _MOST_CELLS:
        raise ConfigurationError(f"a flow has a list of at most {_MOST_CELLS} actions")
    return actions


def _cell(place: int, content: Any) -> Cell:
    try:
        return Cell(from_json(content), "new")
    except ConfigurationError as error:
        raise ConfigurationError(f"action {place} of the flow is refused: {error}") from error
