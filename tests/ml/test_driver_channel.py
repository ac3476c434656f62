from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace
from typing import Any

import pytest
from processes import eventually

from sparkwater.errors import UnreachableError
from sparkwater.gpu.collective import servers
from sparkwater.ml.launch import driver_channel
from sparkwater.ml.launch.driver_channel import DriverChannel, listen


def send(channel: DriverChannel, request: bytes) -> bytes:
    """Return what comes back for what anybody may send."""
    address = (channel.host, channel.port)
    # The driver may hang up before all is sent.
    with socket.create_connection(address, timeout=10) as connection, contextlib.suppress(OSError):
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile("rb").read()
    return b""


def test_questions_are_answered_and_told_messages_are_not():
    told: list[Any] = []
    with listen("127.0.0.1", {"double": lambda content: 2 * content, "note": told.append}) as channel:
        assert channel is not None
        channel.tell("note", {"a": 1})
        assert channel.ask("double", [1, "é"]) == [1, "é", 1, "é"]
        with pytest.raises(ConnectionError, match="gave no answer"):
            channel.ask("note", 2)
    assert told == [{"a": 1}, 2]


def test_only_who_has_the_key_is_heard():
    told: list[Any] = []
    with listen("127.0.0.1", {"note": told.append, "count": lambda _: len(told)}) as channel:
        assert channel is not None
        stranger = replace(channel, key=b"another")
        with pytest.raises(ConnectionError, match="gave no answer"):
            stranger.ask("count", None)
        genuine = channel._request("note", "as it was")
        for forged in (
            genuine.replace(b"was", b"is!"),
            genuine.partition(b" ")[2],
            b"\n",
            b"",
            b"\xff" * 100,
            b"x" * (driver_channel.MAX_MESSAGE_BYTES + 1),
            channel._request("no such kind", 1),
        ):
            assert send(channel, forged) == b""
        assert told == []
        assert channel.ask("count", None) == 0
        assert channel.key not in genuine
        assert channel.key.hex().encode() not in genuine


def test_an_answer_to_another_question_is_none():
    recorded: list[bytes] = []
    with listen("127.0.0.1", {"length": len}) as channel:
        assert channel is not None
        recorded.append(send(channel, channel._request("length", "four")))
    with socket.create_server(("127.0.0.1", 0)) as impostor:

        def answer() -> None:
            connection, _ = impostor.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(recorded[0])

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(ConnectionError, match="gave no answer"):
            replace(channel, port=impostor.getsockname()[1]).ask("length", "three")
        thread.join()


def test_who_stands_still_costs_a_limited_time(monkeypatch):
    monkeypatch.setattr(driver_channel._Connection, "timeout", 0.2)
    with listen("127.0.0.1", {"echo": lambda content: content}) as channel:
        assert channel is not None
        with socket.create_connection((channel.host, channel.port), timeout=10) as silent:
            assert silent.recv(1) == b""  # the driver hangs up
        assert channel.ask("echo", 1) == 1
    with pytest.raises(UnreachableError, match="refused"):
        channel.tell("echo", 1)


def test_long_answers_arrive_whole_and_endless_ones_are_cut_off(monkeypatch):
    with listen("127.0.0.1", {"repeat": lambda count: count * "x"}) as channel:
        assert channel is not None
        assert channel.ask("repeat", 10_000_000) == 10_000_000 * "x"
        monkeypatch.setattr(driver_channel, "MAX_ANSWER_BYTES", 1_000_000)
        with pytest.raises(ConnectionError, match="gave no answer"):
            channel.ask("repeat", 10_000_000)


def test_a_driver_that_is_silent_is_left_after_a_while(monkeypatch):
    monkeypatch.setattr(driver_channel, "_ANSWER_SECONDS", 0.2)
    released = threading.Event()
    with listen("127.0.0.1", {"wait": lambda _: released.wait(10)}) as channel:
        assert channel is not None
        with pytest.raises(TimeoutError):
            channel.ask("wait", None)
        released.set()


def test_a_driver_that_cannot_listen_says_so(caplog):
    with listen("192.0.2.1", {}) as channel:  # an address that no host has
        assert channel is None
    assert "can't listen on 192.0.2.1" in caplog.text


def test_a_message_counts_once():
    told: list[Any] = []
    with listen("127.0.0.1", {"note": told.append, "count": lambda _: len(told)}) as channel:
        assert channel is not None
        note, question = channel._request("note", "again"), channel._request("count", None)
        assert send(channel, note) == b""
        assert send(channel, question) != b""
        for _ in range(3):
            assert send(channel, note) == send(channel, question) == b""
        assert told == ["again"]
        channel.tell("note", "again")  # the same words in a message of its own
        assert channel.ask("count", None) == 2


def test_a_stranger_with_many_connections_leaves_room_for_others():
    with listen("127.0.0.1", {"echo": lambda content: content}) as channel:
        assert channel is not None
        own = ("127.0.0.2", 0)
        held = [
            socket.create_connection((channel.host, channel.port), timeout=10, source_address=own)
            for _ in range(servers.MAX_CONNECTIONS + 100)
        ]
        try:
            threads = {thread for thread in threading.enumerate() if "process_request_thread" in thread.name}
            assert len(threads) <= servers.MAX_CONNECTIONS_FROM_ONE
            assert channel.ask("echo", 1) == 1
        finally:
            for connection in held:
                connection.close()
        # The stranger's own room is free again.
        assert eventually(lambda: channel.ask("echo", 2) == 2)
        with socket.create_connection((channel.host, channel.port), timeout=10, source_address=own) as again:
            again.sendall(channel._request("echo", 3))
            assert again.makefile("rb").readline().endswith(b" 3\n")
