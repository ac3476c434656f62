"""Row keys, from an id or from content, and fingerprints of rows with their folds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from sparkwater.conversions.stages.columns import find_field
from sparkwater.conversions.stages.plain_values import hash_columns

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

#: The column with a row's key; unique.
ROW = "__sparkwater_row"


@dataclass(frozen=True)
class Fingerprint:
    """A fingerprint of pairs of row and value, in any order: frames with the same pairs have the same one.

    Attributes
    ----------
    rows : int
        Rows counted.
    total, mixed : int
        Sum and exclusive or of a 64-bit hash of each pair.
    """

    rows: int
    total: int
    mixed: int

    @classmethod
    def over(cls, parts: Iterable[Fingerprint]) -> Fingerprint:
        """Return the fingerprint of several parts together."""
        rows, total, mixed = 0, 0, 0
        for part in parts:
            rows, total, mixed = rows + part.rows, total + part.total, mixed ^ part.mixed
        return cls(rows, total, mixed)

    @property
    def digest(self) -> str:
        """The fingerprint as 16 characters."""
        return hashlib.sha256(f"{self.rows}:{self.total}:{self.mixed}".encode()).hexdigest()[:16]


def fingerprint_columns(*pair: Column) -> list[Column]:
    """Return the aggregates that make a `Fingerprint`: rows, total, mixed."""
    hashed = F.xxhash64(*pair)
    total = F.coalesce(F.sum(hashed.cast("decimal(38,0)")), F.lit(0))
    return [F.count(F.lit(1)), total, F.coalesce(F.bit_xor(hashed), F.lit(0))]


def row_hash(frame: DataFrame, idCol: str | None, *salt: int) -> Column:
    """Return a 64-bit hash of a row's id, or of all its columns where there is none.

    Raises
    ------
    SchemaError
        If there is no such column, or one that has no hash.
    """
    names = [find_field(frame.schema, idCol).name] if idCol else frame.columns
    return hash_columns(frame.schema, names, *salt)
