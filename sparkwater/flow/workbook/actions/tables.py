"""Actions that read tables, and change the types of their columns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.actions.base import Action
from sparkwater.flow.workbook.code import Code, call, literal, variable
from sparkwater.flow.workbook.column_types import TypeChange, change_lines

_FUNCTIONS = ("from pyspark.sql import functions as F",)


@dataclass(frozen=True)
class ReadCsv(Action):
    """Texts with a delimiter: CSV, TSV and their kin.

    Attributes
    ----------
    result : str
        The DataFrame.
    path : str
        A file, or a folder of files with the same columns.
    delimiter : str
        Text between two values.
    header : bool
        Whether the first line has the names.
    null_text : str
        Text that stands for a missing value, beside an empty one.
    types : tuple of TypeChange
        Types of columns; others are text.
    """

    kind: ClassVar[str] = "read_csv"

    result: str
    path: str
    delimiter: str = ","
    header: bool = True
    null_text: str = ""
    types: tuple[TypeChange, ...] = ()

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Read the table {PurePath(self.path).name}"

    @property
    def paths(self) -> tuple[str, ...]:
        """The file or folder."""
        return (self.path,)

    @property
    def options(self) -> dict[str, Any]:
        """Options of Spark's reader.

        Raises
        ------
        ConfigurationError
            If there is no delimiter.
        """
        if not self.delimiter or "\n" in self.delimiter:
            raise ConfigurationError(f"the delimiter {self.delimiter!r} is not accepted; give the text between values")
        null = {"nullValue": self.null_text} if self.null_text else {}
        # A quote within quotes is written twice (RFC 4180, section 2), as Excel and pandas do; Spark's default is \".
        return {"sep": self.delimiter, "header": self.header, "escape": '"', **null}

    def code(self) -> Code:
        """Return its Python."""
        name = variable(self.result)
        read = f"{name} = {call('spark.read.csv', literal(self.path), **self.options)}"
        return Code(_FUNCTIONS if self.types else (), (read, *change_lines(name, name, self.types)))


@dataclass(frozen=True)
class _ReadWhole(Action):
    """Files that hold their types.

    Attributes
    ----------
    result : str
        The DataFrame.
    path : str
        A file, or a folder of files with the same columns.
    """

    result: str
    path: str

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Read the table {PurePath(self.path).name}"

    @property
    def paths(self) -> tuple[str, ...]:
        """The file or folder."""
        return (self.path,)


@dataclass(frozen=True)
class ReadParquet(_ReadWhole):
    """Parquet."""

    kind: ClassVar[str] = "read_parquet"

    def code(self) -> Code:
        """Return its Python."""
        return Code((), (f"{variable(self.result)} = spark.read.parquet({literal(self.path)})",))


@dataclass(frozen=True)
class ReadJson(_ReadWhole):
    """JSON.

    Attributes
    ----------
    whole_files : bool
        Whether a file is one document, a list or an object; else each line is an object.
    """

    kind: ClassVar[str] = "read_json"

    whole_files: bool = False

    def code(self) -> Code:
        """Return its Python."""
        more = {"multiLine": True} if self.whole_files else {}
        return Code((), (f"{variable(self.result)} = {call('spark.read.json', literal(self.path), **more)}",))


@dataclass(frozen=True)
class ChangeTypes(Action):
    """Other types for columns of a DataFrame: values that can't be changed become null.

    Attributes
    ----------
    result : str
        The new DataFrame.
    frame : str
        The DataFrame.
    types : tuple of TypeChange
        Columns and their types.
    """

    kind: ClassVar[str] = "change_types"

    result: str
    frame: str
    types: tuple[TypeChange, ...]

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Change types of {self.frame}"

    def code(self) -> Code:
        """Return its Python."""
        if not self.types:
            raise ConfigurationError("no column gets another type; change at least one")
        return Code(_FUNCTIONS, change_lines(variable(self.result), variable(self.frame), self.types))
