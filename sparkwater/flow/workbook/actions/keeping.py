"""Actions that write models into folders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, ClassVar, cast

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.actions.base import Action
from sparkwater.flow.workbook.code import Code, literal, variable


class _Keeping(Action):
    """Action that writes into a folder."""

    folder: str
    overwrite: bool

    @property
    def result(self) -> None:
        """None: it makes a folder, and no variable."""
        return

    @property
    def paths(self) -> tuple[str, ...]:
        """The folder."""
        return (self.folder,)

    @property
    def replaced(self) -> tuple[str, ...]:
        """The folder, where it may be there already."""
        return (self.folder,) if self.overwrite else ()

    @property
    def created(self) -> tuple[str, ...]:
        """The folder, where it may not be there yet."""
        return () if self.overwrite else (self.folder,)

    def replacing(self) -> Action:
        """Return the action that replaces what is in the folder."""
        return cast(Action, replace(cast(Any, self), overwrite=True))


@dataclass(frozen=True)
class SaveModel(_Keeping):
    """Model in a folder, as every stage of Spark ML is saved.

    Attributes
    ----------
    model : str
        The model.
    folder : str
        The whole path of the folder.
    overwrite : bool
        Whether what is there is replaced.
    """

    kind: ClassVar[str] = "save_model"

    model: str
    folder: str
    overwrite: bool = False

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Save {self.model} as {PurePath(self.folder).name}"

    def code(self) -> Code:
        """Return its Python."""
        writer = ".write().overwrite()" if self.overwrite else ""
        return Code((), (f"{variable(self.model)}{writer}.save({literal(whole(self.folder))})",))


@dataclass(frozen=True)
class ExportBundle(_Keeping):
    """Model as a bundle, which is scored without Spark and torch.

    Attributes
    ----------
    model, sample : str
        The model, and a DataFrame of real input.
    folder : str
        The whole path of the folder.
    overwrite : bool
        Whether what is there is replaced.
    """

    kind: ClassVar[str] = "export_bundle"

    model: str
    sample: str
    folder: str
    overwrite: bool = False

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Export {self.model} as the bundle {PurePath(self.folder).name}"

    def code(self) -> Code:
        """Return its Python."""
        over = ", overwrite=True" if self.overwrite else ""
        call = f"export_bundle({variable(self.model)}, {literal(whole(self.folder))}, {variable(self.sample)}{over})"
        return Code(("from sparkwater.bundle import export_bundle",), (call,))


def whole(path: str) -> str:
    """Return a path from the root; others depend on the folder that a program runs in, and are refused."""
    if not path.startswith("/"):
        raise ConfigurationError(f"{path[:200]!r} isn't a whole path, such as /data/models/digits")
    return path
