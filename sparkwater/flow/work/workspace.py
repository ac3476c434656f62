"""The variables of a flow, and the running of its actions."""

from __future__ import annotations

import builtins
import itertools
import threading
from typing import TYPE_CHECKING, Any

from sparkwater.conversions.sessions.session import session_of
from sparkwater.errors import ConfigurationError
from sparkwater.flow.work.folders import Folders
from sparkwater.flow.work.parquet import check_classes
from sparkwater.flow.workbook.actions import Action
from sparkwater.flow.workbook.actions.tables import ReadParquet
from sparkwater.flow.workbook.code import Code, variable

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

#: The reason why URIs of pictures aren't read: they lead out of the folders, and to other hosts.
NO_URIS = (
    "a flow reads none, as they may lead anywhere; read the folder of the pictures on the page Data, or use Python"
)

#: What pages say when the session has ended.
LOST = "The Spark session has ended, and all variables with it. Save the flow, start anew, open it there and run it."


class Workspace:
    """A Spark session, the folders, and the variables that actions made.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession or None
        The session; None where it is still starting, until `attach`.
    folders : Folders
        The folders that actions may read and write.
    """

    def __init__(self, spark: SparkSession | None, folders: Folders) -> None:
        self.folders = folders
        self._lock = threading.Lock()
        self._spark = spark
        self._failure = ""
        self._known_lost = False
        self._names: dict[str, Any] = {}
        self._imported: set[str] = set()
        self._changes = 0

    @property
    def spark(self) -> SparkSession:
        """The session.

        Raises
        ------
        ConfigurationError
            If it is starting, did not start, or has ended.
        """
        if self._spark is None:
            raise ConfigurationError(self._failure or "Spark is starting; try again in some seconds")
        if self.lost:
            raise ConfigurationError(LOST)
        return self._spark

    @property
    def lost(self) -> bool:
        """True where the session has ended; asks the JVM."""
        self._known_lost = self._spark is not None and session_of(self._spark).stopped
        return self._known_lost

    @property
    def known_lost(self) -> bool:
        """True where the session had ended when `lost` was last read; asks no JVM."""
        return self._known_lost

    @property
    def ready(self) -> bool:
        """True where there is a session."""
        return self._spark is not None

    @property
    def failure(self) -> str:
        """Why Spark didn't start; empty where it did, or is about to."""
        return self._failure

    @property
    def changes(self) -> int:
        """Number of times that variables were made or forgotten."""
        return self._changes

    def attach(self, spark: SparkSession) -> None:
        """Take the session that has started."""
        self._spark = spark

    def give_up(self, failure: str) -> None:
        """Say why there won't be a session."""
        self._failure = failure

    def check(self, action: Action, coming: frozenset[str] = frozenset()) -> Code:
        """Return an action's Python, before it runs.

        A name is given once: what reads a variable gets the same value whenever it runs, so a script repeats
        what ran side by side.

        Parameters
        ----------
        action : Action
            The action.
        coming : frozenset of str
            Names of variables that other actions are about to make.

        Raises
        ------
        ConfigurationError
            If a path lies outside of the folders, something is there that would not, or may not be replaced, or a
            variable's name is taken.
        """
        self.check_paths(action)
        code = action.code()
        if action.result is not None:
            variable(action.result)
        with self._lock:
            taken = code.assigned & (self._names.keys() | coming)
            imports = (code.assigned | self._names.keys() | coming) & (code.imported | self._imported)
        if taken:
            raise ConfigurationError(f"{min(taken)!r} is the name of a variable already; take another one")
        if imports:
            raise ConfigurationError(f"{min(imports)!r} is the name of an import; take another one")
        return code

    def check_paths(self, action: Action) -> None:
        """Refuse an action with a path outside of the folders, or at which is what it may not replace."""
        for path in action.paths:
            self.folders.within(path)
        for path in action.replaced:
            self.folders.check_replaceable(path)
        for path in action.created:
            self.folders.check_free(path)

    def in_the_way(self, action: Action) -> list[str]:
        """Return the paths that an action creates and that are there already."""
        return [path for path in action.created if self.folders.within(path).exists()]

    def written(self, action: Action) -> list[Path]:
        """Return the paths that an action writes, with links resolved."""
        return [self.folders.within(path) for path in (*action.created, *action.replaced)]

    def lost_by(self, action: Action) -> list[str]:
        """Return the paths at which an action replaces what is there."""
        return [path for path in action.replaced if self.folders.within(path).exists()]

    def run(self, action: Action) -> Any:
        """Run an action's Python, and return the value of its result; None where it makes none.

        Raises
        ------
        ConfigurationError
            As `check` does; and all that the Python raises. Nothing is kept of an action that fails.
        """
        code = self.check(action)
        for path in action.paths:
            places = self.folders.below(path)
            if isinstance(action, ReadParquet):
                check_classes(places)
        with self._lock:
            self._imported |= code.imported
            names = {**self._names, "spark": self.spark, "__builtins__": builtins, "__name__": "flow"}
        from sparkwater.conversions.images.uris import no_uris

        with no_uris(NO_URIS):
            exec(compile(code.text, f"<{action.kind}>", "exec"), names)  # noqa: S102 - identifiers and literals alone
        with self._lock:
            self._names.update({name: names[name] for name in sorted(code.assigned)})
            self._changes += 1
        return None if action.result is None else names[action.result]

    def value(self, name: str) -> Any:
        """Return a variable.

        Raises
        ------
        ConfigurationError
            If there is none of the name.
        """
        variables = self.variables()
        if name not in variables:
            raise ConfigurationError(f"there is no {name!r} in this flow; there are {', '.join(variables) or 'none'}")
        return variables[name]

    def variables(self) -> dict[str, Any]:
        """Return the variables that actions made, in order."""
        with self._lock:
            return dict(self._names)

    def fresh(self, name: str) -> str:
        """Return a name that isn't taken: the given one, or with a number after it."""
        taken = {*self.variables(), *self._imported}
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        return next(each for each in itertools.chain([name], numbered) if each not in taken)

    def frames(self) -> list[str]:
        """Return the names of DataFrames."""
        from pyspark.sql import DataFrame

        return [name for name, value in self.variables().items() if isinstance(value, DataFrame)]

    def models(self) -> list[str]:
        """Return the names of fitted models."""
        from pyspark.ml import Model

        return [name for name, value in self.variables().items() if isinstance(value, Model)]

    def clear(self) -> None:
        """Forget all variables."""
        with self._lock:
            self._names, self._imported = {}, set()
            self._changes += 1
