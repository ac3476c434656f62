"""Columns of categories: strings, booleans and whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sparkwater.conversions.tables.encoding.column import Entries, FittedColumn, Problems
from sparkwater.errors import SchemaError

if TYPE_CHECKING:
    from typing_extensions import Self

#: Ids that are no level's.
MISSING, RARE, FIRST = 0, 1, 2


@dataclass(frozen=True)
class CategoryColumn(FittedColumn):
    """A category a row, as an id or as flags.

    An id is 0 for a missing category, 1 for a rare or unseen one, and 2, 3, ... for the levels. Flags are 1
    for the row's own level and 0 for the others; missing ones, and rare or unseen ones, have a flag where the
    training rows had some, else all flags are 0.

    Attributes
    ----------
    levels : pyarrow.StringArray
        The known categories, sorted; booleans and whole numbers as text.
    flags : bool
        Whether the entries are flags.
    missing_flag, rare_flag : bool
        Whether there is a flag for missing ones, and one for rare or unseen ones.
    """

    kind: ClassVar[str] = "category"
    levels: pa.StringArray
    flags: bool
    missing_flag: bool = False
    rare_flag: bool = False

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the entries."""
        if not self.flags:
            return (self.name,)
        levels = (f"{self.name}={level}" for level in self.levels.to_pylist())
        missing, rare = (f"{self.name} is missing",), (f"{self.name} is rare",)
        return (*levels, *(missing * self.missing_flag), *(rare * self.rare_flag))

    @property
    def width(self) -> int:
        """The count of entries."""
        return len(self.levels) + self.missing_flag + self.rare_flag if self.flags else 1

    @property
    def ids(self) -> int:
        """The count of ids; 0 for flags."""
        return 0 if self.flags else len(self.levels) + FIRST

    def encode(self, array: pa.Array, out: Entries) -> Problems:
        """Write the ids or flags; there are no problems."""
        ids = self.find_ids(array)
        if not self.flags:
            out[:, 0] = ids
            return {}
        out[:] = 0.0
        known = np.flatnonzero(ids >= FIRST)
        out[known, ids[known] - FIRST] = 1.0
        if self.missing_flag:
            out[:, len(self.levels)] = ids == MISSING
        if self.rare_flag:
            out[:, -1] = ids == RARE
        return {}

    def find_ids(self, array: pa.Array) -> npt.NDArray[np.int64]:
        """Return the ids of rows.

        Raises
        ------
        SchemaError
            If the array holds no categories.
        """
        texts = as_text(array)
        places = pc.fill_null(pc.index_in(texts, value_set=self.levels, skip_nulls=True), RARE - FIRST)
        ids = np.asarray(places.to_numpy(zero_copy_only=False), dtype=np.int64) + FIRST
        if texts.null_count:
            ids[np.asarray(texts.is_null().to_numpy(zero_copy_only=False), dtype=bool)] = MISSING
        return ids

    def more(self) -> dict[str, Any]:
        """Return the other fields."""
        return {
            "levels": self.levels.to_pylist(),
            "flags": self.flags,
            "missing_flag": self.missing_flag,
            "rare_flag": self.rare_flag,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the column that `to_dict` wrote."""
        return cls(
            name=str(fields["name"]),
            type=str(fields["type"]),
            levels=pa.array(fields["levels"], pa.string()),
            flags=bool(fields["flags"]),
            missing_flag=bool(fields["missing_flag"]),
            rare_flag=bool(fields["rare_flag"]),
        )


def as_text(array: pa.Array) -> pa.StringArray:
    """Return categories as Spark casts them to strings: ``true`` and ``false``, ``-12``; nulls stay.

    Raises
    ------
    SchemaError
        If they are none: fractions, dates and others.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return as_text(array.dictionary_decode())
    known = (pa.types.is_string, pa.types.is_large_string, pa.types.is_boolean, pa.types.is_integer, pa.types.is_null)
    if not any(is_kind(kind) for is_kind in known):
        raise SchemaError(f"{kind} in Arrow is no category")
    return array.cast(pa.string())
