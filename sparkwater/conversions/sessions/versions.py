"""Versions of Spark Connect's two sides."""

from __future__ import annotations

import re

from sparkwater.errors import ConfigurationError


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
    theirs = _numbers(server)
    if _numbers(client) > theirs:
        raise ConfigurationError(
            f"pyspark {client} is newer than the Spark Connect server, which has Spark {server}: a server serves "
            "clients of its own version and older ones; here: pip install "
            f"'pyspark[connect]=={'.'.join(map(str, theirs))}.*'"
        )


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:2]]
