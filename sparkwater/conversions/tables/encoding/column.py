"""Fitted columns: the entries that each gives to a row's tensor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

if TYPE_CHECKING:
    from typing_extensions import Self

Entries = npt.NDArray[np.float32]
Problems = dict[int, str]

TOO_FAR = "the value is infinite, or too far from those of the training rows"


@dataclass(frozen=True)
class FittedColumn(ABC):
    """A column of the training rows, and its entries in a row's tensor.

    Attributes
    ----------
    name : str
        The column.
    type : str
        Its Spark type, as ``simpleString`` names it.
    """

    kind: ClassVar[str]
    name: str
    type: str

    @property
    @abstractmethod
    def entries(self) -> tuple[str, ...]:
        """Names of the entries, in order."""

    @property
    def width(self) -> int:
        """The count of entries."""
        return len(self.entries)

    @property
    def ids(self) -> int:
        """The count of ids of a column whose one entry is an id; 0 where the entries are numbers."""
        return 0

    @abstractmethod
    def encode(self, array: pa.Array, out: Entries) -> Problems:
        """Write the entries of rows.

        Parameters
        ----------
        array : pyarrow.Array
            The column.
        out : numpy.ndarray of float32
            Shape ``(rows, width)``, to be filled. Rows with a problem hold anything.

        Returns
        -------
        dict of int to str
            Rows that can't be used, and why.

        Raises
        ------
        SchemaError
            If the array holds something else than the training rows' column.
        """

    @abstractmethod
    def more(self) -> dict[str, Any]:
        """Return the fields beside name and type as JSON's types."""

    def to_dict(self) -> dict[str, Any]:
        """Return the column as JSON's types, for `from_dict`."""
        return {"kind": self.kind, "name": self.name, "type": self.type, **self.more()}

    @classmethod
    @abstractmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the column that `to_dict` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it isn't one.
        """


def float32(values: npt.NDArray[Any]) -> Entries:
    """Return numbers as float32; those beyond its range are infinite."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values, dtype=np.float32)


def problems_of(rows: npt.NDArray[np.bool_], text: str) -> Problems:
    """Return one problem of the marked rows."""
    return dict.fromkeys(np.flatnonzero(rows).tolist(), text)
