"""Executors that don't reach each other, told from what Spark says of a failed fetch."""

from __future__ import annotations

import socket

import pytest

from sparkwater.ml.launch.apart import hosts_apart

SAID = "FetchFailed ... org.apache.spark.shuffle.FetchFailedException: Failed to connect to {named}127.0.0.1:{port}"


@pytest.mark.parametrize(("named", "known_as"), [("beta/", "beta"), ("beta/", "127.0.0.1"), ("/", "127.0.0.1")])
def test_the_other_end_is_an_executor_on_another_host(named: str, known_as: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reached:
        port = reached.getsockname()[1]
        mistake = hosts_apart(SAID.format(named=named, port=port), lambda: [("alpha", 1), (known_as, port)])
    assert str(mistake).startswith(f"an executor on alpha can't fetch rows from the one on 127.0.0.1 at port {port}")


def test_an_executor_that_is_gone_is_nobodys_mistake() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert hosts_apart(SAID.format(named="/", port=port), lambda: [("alpha", 1), ("127.0.0.1", port)]) is None
