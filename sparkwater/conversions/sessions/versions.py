"""Versions of Spark Connect's two sides."""

from __future__ import annotations

import re
from importlib.util import find_spec

import pyspark

from sparkwater.errors import ConfigurationError


def check_server(server: str) -> None:
    """Refuse a server that is older than this process's pyspark.

    Databricks' own builds of pyspark aren't compared. They may have the number of a development version, as that of
    databricks-connect 19.3.0 is 4.4.0.dev0, and its servers refuse clients by the version of their runtime.

    Parameters
    ----------
    server : str
        The version of Spark on the server.

    Raises
    ------
    ConfigurationError
        With both versions.
    """
    if find_spec("pyspark.databricks") is None:
        check_versions(pyspark.__version__, server)


def check_versions(client: str, server: str) -> None:
    """Refuse a client that is newer than its server; Spark serves older ones.

    Parameters
    ----------
    client : str
        The version of pyspark in this process.
    server : str
        The version of Spark on the server.

    Raises
    ------
    ConfigurationError
        With both versions.
    """
    theirs = first_numbers(server)
    if first_numbers(client) > theirs:
        raise ConfigurationError(
            f"pyspark {client} is newer than the Spark Connect server, which has Spark {server}: a server serves "
            "clients of its own version and older ones; here: pip install "
            f"'pyspark[connect]=={'.'.join(map(str, theirs))}.*'"
        )


def first_numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version, to compare it by: (4, 10) of 4.10.0-vendor-1."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
