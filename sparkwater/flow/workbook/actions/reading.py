"""Actions that read files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import ClassVar

from sparkwater.flow.workbook.actions.base import Action
from sparkwater.flow.workbook.code import Code, literal, variable


@dataclass(frozen=True)
class ReadPictures(Action):
    """Pictures in folders that are named for their classes.

    Attributes
    ----------
    result : str
        The DataFrame: ``path``, ``content`` and ``label``.
    folder : str
        The folder above the classes' folders.
    """

    kind: ClassVar[str] = "read_pictures"

    result: str
    folder: str

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Read pictures from {PurePath(self.folder).name}"

    @property
    def paths(self) -> tuple[str, ...]:
        """The folder."""
        return (self.folder,)

    def code(self) -> Code:
        """Return its Python."""
        return Code(
            ("from sparkwater.conversions import read_image_folder",),
            (f"{variable(self.result)} = read_image_folder(spark, {literal(self.folder)})",),
        )
