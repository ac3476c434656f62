"""First layer of the networks for tables: one tensor a row becomes numbers, flags and embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import nn

from sparkwater.errors import ConfigurationError

#: Ids of a categorical column that stand for no level: 0 for a missing value, 1 for a rare or unseen one.
SPARE_IDS = 2


class TableInput(nn.Module):
    """Layer that reads rows of tables: first numbers, then one id a categorical column.

    Ids are whole numbers in float32: 0 for a missing value, 1 for a rare or unseen one, from 2 on the levels.
    Columns of few levels become flags, one an id; the others embeddings, in one table for all of them. The
    embeddings of the ids 0 and 1 begin at 0: what no training row has adds nothing at scoring. `blank_spares` does the
    same for flags.

    Parameters
    ----------
    shape : sequence of int
        Shape of a row.
    numbers : int or None
        The first so many values are numbers; None for all that are no ids.
    categories : sequence of int
        Number of ids of each categorical column.
    one_hot : int
        Largest number of levels of a column that becomes flags.
    width : int
        Size of an embedding.
    embed : callable, optional
        Makes the layer of the numbers from their count: it takes ``(rows, numbers)``, and has its number of outputs as
        the attribute ``features``. By default numbers stay as they are.

    Attributes
    ----------
    numbers : int
        Number of numbers.
    categories : tuple of int
        Number of ids of each categorical column.
    features : int
        Number of features of a row.

    Raises
    ------
    ConfigurationError
        If numbers and ids don't make up a row.
    """

    def __init__(
        self,
        shape: Sequence[int],
        numbers: int | None = None,
        categories: Sequence[int] = (),
        *,
        one_hot: int = 9,
        width: int = 8,
        embed: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        size = math.prod(shape)
        self.categories = tuple(categories)
        self.numbers = size - len(categories) if numbers is None else numbers
        if self.numbers < 0 or self.numbers + len(categories) != size or min(categories, default=1) < 1:
            raise ConfigurationError(
                f"numbers={numbers!r} and categories={list(categories)!r} for rows of {size} values; accepted: the "
                "count of numbers, and the number of ids of each other value"
            )
        few = [place for place, count in enumerate(categories) if count <= one_hot + SPARE_IDS]
        many = [place for place, count in enumerate(categories) if count > one_hot + SPARE_IDS]
        self.number_layer = embed(self.numbers) if embed and self.numbers else nn.Identity()
        self.flags = Flags(categories, few) if few else None
        self.embeddings = Embeddings(categories, many, width) if many else None
        self._before_flags = int(getattr(self.number_layer, "features", self.numbers))
        self.features = self._before_flags + sum(part.features for part in (self.flags, self.embeddings) if part)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Return the features, ``(rows, features)``: of numbers, then flags, then embeddings."""
        rows = rows.flatten(1)
        parts = [self.number_layer(rows[:, : self.numbers])] if self.numbers else []
        if self.categories:
            ids = rows[:, self.numbers :].long()
            parts += [part(ids) for part in (self.flags, self.embeddings) if part is not None]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def blank_spares(self, weight: torch.Tensor) -> None:
        """Set what a layer makes of the flags for the ids 0 and 1 to 0, in its weights ``(outputs, features)``."""
        for start in self.flags.starts if self.flags else ():
            place = self._before_flags + start
            with torch.no_grad():
                weight[:, place : place + SPARE_IDS] = 0.0

    def sample(self, count: int) -> torch.Tensor:
        """Return rows drawn at random, by which weights can be scaled: ``(count, values)``.

        Numbers are normal with the interquartile range 1, as robust scaling gives them; all levels are as likely.
        """
        numbers = torch.randn(count, self.numbers) * _DEVIATION
        ids = [torch.randint(min(SPARE_IDS, size - 1), size, (count, 1)).float() for size in self.categories]
        return torch.cat([numbers, *ids], dim=1)


#: Standard deviation of a normal distribution of the interquartile range 1.
_DEVIATION = 0.7413


class _OneTable(nn.Module):
    """The ids of some columns as those of one table, in which the columns' own follow each other.

    Attributes
    ----------
    ids : int
        Number of ids in the table.
    starts : list of int
        First id of each column.
    """

    places: torch.Tensor

    def __init__(self, categories: Sequence[int], columns: Sequence[int]) -> None:
        super().__init__()
        *self.starts, self.ids = accumulate((categories[column] for column in columns), initial=0)
        self.register_buffer("places", torch.tensor([columns, self.starts], dtype=torch.int64), persistent=False)

    def of_columns(self, ids: torch.Tensor) -> torch.Tensor:
        """Return ids in the table, ``(rows, its columns)``, of those of all columns."""
        return ids.index_select(1, self.places[0]) + self.places[1]


class Flags(_OneTable):
    """One-hot flags of some columns.

    Attributes
    ----------
    features : int
        Number of flags.
    """

    def __init__(self, categories: Sequence[int], columns: Sequence[int]) -> None:
        super().__init__(categories, columns)
        self.features = self.ids

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the flags, float32 ``(rows, features)``, of the ids of all columns, ``(rows, columns)``."""
        flags = torch.zeros(ids.shape[0], self.ids, device=ids.device)  # len() would be a number in an export
        return flags.scatter_(1, self.of_columns(ids), 1.0)


class Embeddings(_OneTable):
    """Embeddings of some columns, normal to begin with, but for those of the ids that stand for no level.

    Attributes
    ----------
    features : int
        Values of a row.
    """

    def __init__(self, categories: Sequence[int], columns: Sequence[int], width: int) -> None:
        super().__init__(categories, columns)
        self.features = len(columns) * width
        self.table = nn.Embedding(self.ids, width)
        with torch.no_grad():
            for start in self.starts:
                self.table.weight[start : start + SPARE_IDS] = 0.0

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the embeddings, ``(rows, features)``, of the ids of all columns, ``(rows, columns)``."""
        embedded: torch.Tensor = self.table(self.of_columns(ids))
        return embedded.flatten(1)
