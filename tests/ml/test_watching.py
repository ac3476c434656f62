from __future__ import annotations

import socket
import threading

import pytest
from processes import eventually

from sparkwater.ml.launch import watching
from sparkwater.ml.launch.driver_channel import DriverChannel, listen


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(watching, "GONE_SECONDS", 0.5)
    monkeypatch.setattr(watching, "_SECONDS_BETWEEN_LOOKS", 0.05)


def test_a_rank_ends_once_when_its_driver_is_gone_and_not_before():
    ends = []
    with listen("127.0.0.1", {}) as channel:
        watched = watching.watching(channel, lambda: ends.append(1))
        watched.__enter__()
        assert not eventually(lambda: bool(ends), 1.0)
    assert eventually(lambda: bool(ends), 5.0)
    assert not eventually(lambda: len(ends) > 1, 1.0)
    watched.__exit__(None, None, None)


def test_a_driver_that_was_away_for_a_moment_or_never_reached_ends_no_rank():
    ends = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    channel = DriverChannel("127.0.0.1", port, b"")
    with watching.watching(channel, lambda: ends.append(1)):
        assert not eventually(lambda: bool(ends), 1.0)
        for _ in range(4):
            with socket.create_server(("127.0.0.1", port)):
                assert not eventually(lambda: bool(ends), 0.3)
            assert not eventually(lambda: bool(ends), 0.25)
    assert ends == []
    before = threading.active_count()
    with watching.watching(None, lambda: ends.append(1)):
        assert threading.active_count() <= before
