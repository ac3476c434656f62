"""The action that reads pictures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import ClassVar

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.actions.base import Action
from sparkwater.flow.workbook.code import Code, literal, variable

#: Ways to label pictures, with what they are in a few words.
LABELS = {
    "folder": "the name of its folder",
    "pattern": "a part of its path",
    "none": "no label",
}

#: Characters of a pattern at most.
_LONGEST_PATTERN = 200

#: Parts of a regular expression: what is escaped, a set of letters, the ends of groups with their repeat, a letter.
_TOKENS = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\)[*+{]?|.", re.DOTALL)
_REPEATS = ("*", "+", "{", "|")


@dataclass(frozen=True)
class ReadPictures(Action):
    """Pictures below a folder.

    Attributes
    ----------
    result : str
        The DataFrame: ``path``, ``content`` and, with labels, ``label``.
    folder : str
        The folder.
    labels : {"folder", "pattern", "none"}
        A picture's label: the name of its folder, a part of its path, or none.
    pattern : str
        A regular expression; the part of a path that its first group matches is the label, and a picture whose path
        doesn't match has none.
    """

    kind: ClassVar[str] = "read_pictures"

    result: str
    folder: str
    labels: str = "folder"
    pattern: str = ""

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
        name, folder = variable(self.result), literal(self.folder)
        if self.labels not in LABELS:
            raise ConfigurationError(f"labels={self.labels!r} is not accepted; accepted: {', '.join(LABELS)}")
        if self.labels == "folder":
            reads = "read_image_folder"
            return Code((f"from sparkwater.conversions import {reads}",), (f"{name} = {reads}(spark, {folder})",))
        lines, imports = [f"{name} = read_images(spark, {folder})"], ["from sparkwater.conversions import read_images"]
        if self.labels == "pattern":
            label = f"F.nullif(F.regexp_extract('path', {literal(self._checked_pattern())}, 1), F.lit(''))"
            lines.append(f"{name} = {name}.withColumn('label', {label})")
            imports.append("from pyspark.sql import functions as F")
        return Code(tuple(imports), tuple(lines))

    def _checked_pattern(self) -> str:
        shown = repr(self.pattern[:_LONGEST_PATTERN])
        if len(self.pattern) > _LONGEST_PATTERN:
            raise ConfigurationError(f"the pattern {shown}... is longer than {_LONGEST_PATTERN} characters")
        try:
            groups = re.compile(self.pattern).groups
        except (re.error, OverflowError, RecursionError) as error:
            raise ConfigurationError(f"the pattern {shown} is no regular expression: {error}") from error
        if not groups:
            raise ConfigurationError(
                f"the pattern {shown} has no group; put the label in brackets, as in /(cat|dog)_[0-9]+"
            )
        if _may_explode(self.pattern):
            raise ConfigurationError(
                f"the pattern {shown} repeats a group that has repeats or alternatives in it, such as (a+)+, which may "
                "take hours for one path; write it without"
            )
        return self.pattern


def _may_explode(pattern: str) -> bool:
    """Return whether a group repeats in which there are repeats or alternatives.

    Java tries all ways to match such a group, twice as many for each letter, and no task that does so can be cancelled.
    """
    within = [False]
    for part in _TOKENS.findall(pattern):
        if part == "(":
            within.append(False)
        elif part[0] == ")" and len(within) > 1:
            inner = within.pop()
            if inner and len(part) > 1:
                return True
            within[-1] = within[-1] or inner
        elif part in _REPEATS:
            within[-1] = True
    return False
