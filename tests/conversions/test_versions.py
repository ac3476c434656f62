"""Versions of a client and of its Spark Connect server."""

from __future__ import annotations

from pathlib import Path

import pyspark
import pytest

from sparkwater.conversions.sessions.versions import check_server, check_versions
from sparkwater.errors import ConfigurationError


@pytest.mark.parametrize(
    ("client", "server"), [("4.0.5", "4.3.0"), ("4.3.0", "4.3.1"), ("4.3.1", "4.3.0"), ("4.9.0", "4.10.0.dev1")]
)
def test_a_server_serves_older_clients(client: str, server: str) -> None:
    check_versions(client, server)


@pytest.mark.parametrize("server", ["4.9.2", "4.9.2-vendor-1"])
def test_a_newer_client_is_refused_with_what_to_install(server: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"pyspark 4\.10\.0 is newer .* Spark {server}: .*connect\]==4\.9\.\*'"
    ):
        check_versions("4.10.0", server)


def test_databricks_own_pyspark_is_not_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=rf"pyspark {pyspark.__version__} is newer .* Spark 3\.5\.2"):
        check_server("3.5.2")
    (tmp_path / "databricks").mkdir()
    (tmp_path / "databricks" / "__init__.py").touch()
    monkeypatch.setattr(pyspark, "__path__", [*pyspark.__path__, str(tmp_path)])
    check_server("3.5.2")
