"""Consent to run code that saved stages name: networks of the user's own, and stages of other packages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkwater.errors import UnsafeLoadError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Session configuration that allows networks as `StageReader.allowing` does, separated by commas: for pipelines.
ALLOWED_NETWORKS = "spark.sparkwater.allowedNetworks"

#: Packages whose stages are loaded without consent; the last one names Spark's own classes on the JVM.
_TRUSTED = ("pyspark.ml", "sparkwater", "org.apache.spark.ml")

#: Consent of the readers that this thread is in; Spark's readers of pipelines hand none on.
_GIVEN: ContextVar[tuple[str, ...]] = ContextVar("sparkwater_consent", default=())


@dataclass(frozen=True)
class Consent:
    """Names of packages and networks whose code may run while a stage is loaded or used.

    Attributes
    ----------
    allowed : tuple of str
        Import paths of networks, ``package.module:factory``; and packages or modules, in which all networks and
        all classes of stages are allowed.
    """

    allowed: tuple[str, ...] = ()

    @classmethod
    def given(cls) -> Consent:
        """Return the consent of the readers around this one."""
        return cls(_GIVEN.get())

    def extended(self, *names: str) -> Consent:
        """Return this consent with more names."""
        return Consent((*self.allowed, *names))

    @contextmanager
    def handed_on(self) -> Iterator[None]:
        """Give this consent to the readers that are made in a ``with`` block."""
        before = _GIVEN.set(self.allowed)
        try:
            yield
        finally:
            _GIVEN.reset(before)

    def check_network(self, spark: SparkSession, network: Any, path: str) -> None:
        """Refuse a network's import path without consent; nothing has been imported yet.

        Parameters
        ----------
        spark : pyspark.sql.SparkSession
            Its configuration ``spark.sparkwater.allowedNetworks`` counts as well.
        network : Any
            The network's name. Registered names, instances and ONNX graphs need no consent: they run no foreign code.
        path : str
            The file or folder that names it.

        Raises
        ------
        UnsafeLoadError
            With the call that allows it.
        """
        if not isinstance(network, str) or ":" not in network or network.startswith("onnx:"):
            return
        module = network.partition(":")[0]
        if not any(entry == network or _holds(entry, module) for entry in self._with_configured(spark)):
            raise UnsafeLoadError(
                f"{path!r} names the network {network!r}, whose code would run; if you trust it, load with "
                f"read().allowing({network!r}).load(path), or set {ALLOWED_NETWORKS} (which pipelines need)"
            )

    def check_class(self, name: str, path: str) -> None:
        """Refuse a stage's class of a package without consent; nothing has been imported yet.

        Raises
        ------
        UnsafeLoadError
            With the call that allows it.
        """
        module = name.rpartition(".")[0]
        if not any(_holds(entry, module) for entry in (*_TRUSTED, *self.allowed)):
            raise UnsafeLoadError(
                f"{path!r} asks to load {name!r}; accepted: Spark ML's and sparkwater's classes, and those of packages "
                "named with read().allowing('package')"
            )

    def check_types(self, spark: SparkSession, names: Sequence[str], path: str) -> None:
        """Refuse classes and functions in an estimator's file without consent; nothing has been imported yet.

        Parameters
        ----------
        spark : pyspark.sql.SparkSession
            Its configuration ``spark.sparkwater.allowedNetworks`` counts as well.
        names : sequence of str
            Import paths, ``package.module.name``.
        path : str
            The file.

        Raises
        ------
        UnsafeLoadError
            With the call that allows them.
        """
        for name in names:
            module = name.rpartition(".")[0]
            if not any(_holds(entry, module) for entry in self._with_configured(spark)):
                package = name.partition(".")[0]
                raise UnsafeLoadError(
                    f"{path!r} holds {name!r}, whose code would run; if you trust it, load with "
                    f"read().allowing({package!r}).load(path), or set {ALLOWED_NETWORKS} (which pipelines need)"
                )

    def _with_configured(self, spark: SparkSession) -> tuple[str, ...]:
        configured = (spark.conf.get(ALLOWED_NETWORKS, "") or "").split(",")
        return (*self.allowed, *(entry.strip() for entry in configured))


def _holds(package: str, module: str) -> bool:
    return bool(package) and ":" not in package and (module == package or module.startswith(f"{package}."))
