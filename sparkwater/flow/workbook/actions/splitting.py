"""The action that splits a DataFrame into parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.actions.base import Action
from sparkwater.flow.workbook.code import Code, call, variable

#: The column that holds a row's hundredth meanwhile.
_COLUMN = "flow_hundredth"


@dataclass(frozen=True)
class SplitFrame(Action):
    """Parts of a DataFrame by a hash of each row: the same ones in any order and partitioning.

    Attributes
    ----------
    result : str
        The first part.
    frame : str
        The DataFrame.
    percent : int
        Share of the first part, in percent of the rows. A part has about so many rows.
    others : tuple of (str, int)
        Names of the other parts with their shares; all shares are 100 together.
    seed : int
        Another seed gives other parts.
    together : str
        Column whose equal values share a part; by default all columns, so equal rows share a part.
    """

    kind: ClassVar[str] = "split_frame"

    result: str
    frame: str
    percent: int
    others: tuple[tuple[str, int], ...]
    seed: int = 42
    together: str = ""

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """All parts with their shares."""
        return ((self.result, self.percent), *self.others)

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Split {self.frame} into {', '.join(f'{name} ({share} %)' for name, share in self.parts)}"

    def code(self) -> Code:
        """Return its Python.

        Raises
        ------
        ConfigurationError
            If names are there twice, or shares aren't 100 % together.
        """
        names = [variable(name) for name, _ in self.parts]
        shares = [share for _, share in self.parts]
        if len(names) < 2 or len({*names, self.frame}) <= len(names):
            raise ConfigurationError("give two parts or more, each a name of its own, other than the whole's")
        if sum(shares) != 100 or min(shares) < 1:
            raise ConfigurationError(f"the shares are {' + '.join(map(str, shares))} %; accepted: 1 up, 100 together")
        return Code(("from sparkwater.stacking import assign_folds",), tuple(self._lines()))

    def _lines(self) -> Iterator[str]:
        more: dict[str, Any] = {"idCol": self.together} if self.together else {}
        dealt = call("assign_folds", variable(self.frame), "100", seed=self.seed, **more, foldCol=_COLUMN)
        end = 0
        for name, share in self.parts:
            start, end = end, end + share
            rows = f"{_COLUMN} >= {int(start)} and {_COLUMN} < {int(end)}"
            yield f"{variable(name)} = {dealt}.where({rows!r}).drop({_COLUMN!r})"
