"""Consent to import the networks that saved models and estimators name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkwater.conversions.stages.loading import StageReader
from sparkwater.errors import UnsafeLoadError
from sparkwater.gpu.networks import is_import_path

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Session configuration with the same meaning as `AllowsNetworks.allowing`, separated by commas: for pipelines.
ALLOWED_NETWORKS = "spark.sparkwater.allowedNetworks"


class AllowsNetworks:
    """Mixin for readers: ``read().allowing("package.module:factory").load(path)``."""

    _allowed: tuple[str, ...] = ()

    def allowing(self, *networks: str) -> Any:
        """Allow import paths that the saved network may have; building it runs their code.

        Parameters
        ----------
        *networks : str
            Import paths ``package.module:factory``, or packages and modules, in which everything is allowed then.
        """
        self._allowed = (*self._allowed, *networks)
        return self

    def check_allowed(self, spark: SparkSession, network: Any, path: str) -> None:
        """Refuse an import path that nobody allowed; nothing has been imported yet.

        Raises
        ------
        UnsafeLoadError
            With what to write where the code is trusted.
        """
        if not isinstance(network, str) or not is_import_path(network):
            return
        configured = (spark.conf.get(ALLOWED_NETWORKS, "") or "").split(",")
        allowed = (*self._allowed, *(entry.strip() for entry in configured))
        if not any(_covers(entry, network) for entry in allowed if entry):
            raise UnsafeLoadError(
                f"{path!r} names the network {network!r}, whose code would run; if you trust it, load with "
                f"read().allowing({network!r}).load(path), or set {ALLOWED_NETWORKS} (which pipelines need)"
            )


class NetworkStageReader(AllowsNetworks, StageReader):
    """Reads a saved estimator; an import path in it needs consent, because ``fit`` would run it."""

    def load(self, path: str) -> Any:
        """Load an estimator.

        Raises
        ------
        UnsafeLoadError
            If it names another class, or an import path that nobody allowed.
        """
        stage = super().load(path)
        self.check_allowed(self.sparkSession, stage.getNetwork(), path)
        return stage


def _covers(allowed: str, network: str) -> bool:
    if ":" in allowed:
        return allowed == network
    module = network.partition(":")[0]
    return module == allowed or module.startswith(f"{allowed}.")
