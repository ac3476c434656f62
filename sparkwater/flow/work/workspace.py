"""The variables of a flow, and the running of its actions."""

from __future__ import annotations

import ast
import builtins
import threading
from typing import TYPE_CHECKING, Any

from sparkwater.errors import ConfigurationError
from sparkwater.flow.work.folders import Folders
from sparkwater.flow.workbook.actions import Action
from sparkwater.flow.workbook.code import Code, variable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


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
        self._names: dict[str, Any] = {}
        self._imported: set[str] = set()

    @property
    def spark(self) -> SparkSession:
        """The session.

        Raises
        ------
        ConfigurationError
            If it is starting, or did not start.
        """
        if self._spark is None:
            raise ConfigurationError(self._failure or "Spark is starting; try again in some seconds")
        return self._spark

    @property
    def ready(self) -> bool:
        """Whether there is a session."""
        return self._spark is not None

    @property
    def failure(self) -> str:
        """Why Spark didn't start; empty where it did, or is about to."""
        return self._failure

    def attach(self, spark: SparkSession) -> None:
        """Take the session that has started."""
        self._spark = spark

    def give_up(self, failure: str) -> None:
        """Say why there won't be a session."""
        self._failure = failure

    def run(self, action: Action) -> Any:
        """Run an action's Python, and return the value of its result; None where it makes none.

        Raises
        ------
        ConfigurationError
            If a path lies outside of the folders, or the result's name is that of an import.
        """
        for path in action.paths:
            self.folders.within(path)
        code = action.code()
        names = self._checked(action, code)
        exec(compile(code.text, f"<{action.kind}>", "exec"), names)  # noqa: S102 - identifiers and literals alone
        return None if action.result is None else names[action.result]

    def value(self, name: str) -> Any:
        """Return a variable.

        Raises
        ------
        ConfigurationError
            If there is none of the name.
        """
        if name not in self.variables():
            raise ConfigurationError(f"there is no {name!r} in this flow; there are {', '.join(self.variables())}")
        return self._names[name]

    def variables(self) -> dict[str, Any]:
        """Return the variables that actions made, in order."""
        hidden = {"spark", "__builtins__", "__name__", *self._imported}
        return {name: value for name, value in self._names.copy().items() if name not in hidden}

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

    def _checked(self, action: Action, code: Code) -> dict[str, Any]:
        """Return the namespace to run in, after a look at the names of results and imports."""
        with self._lock:
            imported = self._imported | imported_names(code)
            result = None if action.result is None else variable(action.result)
            if taken := ({result} | self.variables().keys()) & imported:
                raise ConfigurationError(f"{sorted(map(str, taken))[0]!r} is the name of an import; take another one")
            self._imported = imported
            self._names.update(spark=self.spark, __builtins__=builtins, __name__="flow")
            return self._names


def imported_names(code: Code) -> set[str]:
    """Return the names that the imports of some Python bind."""
    nodes = [node for line in code.imports for node in ast.parse(line).body]
    found = [alias for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names]
    return {alias.asname or alias.name.split(".")[0] for alias in found}
