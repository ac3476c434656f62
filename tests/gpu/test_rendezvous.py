from __future__ import annotations

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta

import psutil
import pytest

from sparkwater.gpu.collective import rendezvous
from sparkwater.gpu.collective.rendezvous import MAX_ENTRIES, MAX_VALUE_BYTES, RendezvousServer, RendezvousStore

LOOPBACK = "127.0.0.1"


@pytest.fixture
def server() -> Iterator[RendezvousServer]:
    with RendezvousServer(LOOPBACK, [LOOPBACK]) as running:
        yield running


def place_of(server: RendezvousServer) -> tuple[str, int]:
    address, port = server.endpoint.rsplit(":", 1)
    return address, int(port)


def ask(server: RendezvousServer, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.endpoint, timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def send_raw(server: RendezvousServer, data: bytes, source: str = LOOPBACK, timeout: float = 10) -> bytes:
    """Send bytes as they are; return all that comes back until the server closes."""
    with socket.create_connection(place_of(server), timeout=timeout, source_address=(source, 0)) as connection:
        answer = b""
        try:
            connection.sendall(data)
            while part := connection.recv(65536):
                answer += part
        except ConnectionError:
            pass
        return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_value_is_there_once_it_is_put(server: RendezvousServer) -> None:
    assert ask(server, "GET", "/scope/key") == (404, b"")
    assert ask(server, "PUT", "/scope/key", b"\x00value\xff\r\n")[0] == 200
    assert ask(server, "GET", "/scope/key") == (200, b"\x00value\xff\r\n")
    assert ask(server, "GET", "/scope/other")[0] == 404
    assert ask(server, "GET", "/other/key")[0] == 404


def test_values_may_be_empty_or_as_long_as_the_limit(server: RendezvousServer) -> None:
    for name, value in (("empty", b""), ("full", os.urandom(MAX_VALUE_BYTES))):
        assert ask(server, "PUT", f"/scope/{name}", value)[0] == 200
        assert ask(server, "GET", f"/scope/{name}") == (200, value)
    assert ask(server, "PUT", "/scope/more", bytes(MAX_VALUE_BYTES + 1))[0] == 413
    assert ask(server, "GET", "/scope/more")[0] == 404


def test_nobody_replaces_a_value_but_a_rank_may_repeat_itself(server: RendezvousServer) -> None:
    assert ask(server, "PUT", "/scope/key", b"mine")[0] == 200
    assert ask(server, "PUT", "/scope/key", b"mine")[0] == 200
    assert ask(server, "PUT", "/scope/key", b"yours")[0] == 409
    assert ask(server, "GET", "/scope/key") == (200, b"mine")
    ask(server, "DELETE", "/scope/key")
    assert ask(server, "GET", "/scope/key") == (200, b"mine")


@pytest.mark.parametrize(
    "path",
    ["/", "/onlyscope", "/scope/", "//key", "scope/key", "/scope/a/../../etc?x", "/sc%20ope/key", "/scope/" + "k" * 257,
     "/" + "s" * 257 + "/key", "/scope/<key>", "/scope/k\u00e9y", "http://elsewhere/scope/key"],
)  # fmt: skip
def test_a_bad_path_is_refused(server: RendezvousServer, path: str) -> None:
    answer = send_raw(server, f"PUT {path} HTTP/1.1\r\nContent-Length: 1\r\n\r\nx".encode("latin-1"))
    assert status_of(answer) == 400


@pytest.mark.parametrize(
    "header", ["", "Content-Length: \r\n", "Content-Length: -1\r\n", "Content-Length: 1x\r\n", "Content-Length: +1\r\n",
               "Content-Length: 0x1\r\n", "Content-Length: 1.0\r\n", "Content-Length: 1 1\r\n",
               "Content-Length: \xb2\r\n", f"Content-Length: {'9' * 5000}\r\n"],
)  # fmt: skip
def test_a_missing_or_odd_content_length_is_refused(server: RendezvousServer, header: str) -> None:
    answer = send_raw(server, f"PUT /scope/key HTTP/1.1\r\n{header}\r\nx".encode("latin-1"))
    assert status_of(answer) == 400
    assert ask(server, "GET", "/scope/key")[0] == 404


def test_a_gigabyte_is_refused_before_it_is_sent(server: RendezvousServer) -> None:
    answer = send_raw(server, b"PUT /scope/key HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", timeout=3)
    assert status_of(answer) == 413
    over = send_raw(server, b"PUT /scope/key HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n", timeout=3)
    assert status_of(over) in (400, 413)
    assert ask(server, "GET", "/scope/key")[0] == 404


def test_a_full_store_takes_no_more_and_keeps_what_it_has(server: RendezvousServer) -> None:
    server.values.update({f"/scope/{number}": b"value" for number in range(MAX_ENTRIES - 1)})
    assert ask(server, "PUT", "/scope/last", b"value")[0] == 200
    assert ask(server, "PUT", "/scope/more", b"value")[0] == 409
    assert ask(server, "GET", "/scope/more")[0] == 404
    assert ask(server, "GET", "/scope/last") == (200, b"value")


def test_a_value_that_breaks_off_is_not_stored(server: RendezvousServer) -> None:
    with socket.create_connection(place_of(server), timeout=10) as connection:
        connection.sendall(b"PUT /scope/key HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_WR)
        assert status_of(connection.recv(65536)) == 409
    assert ask(server, "GET", "/scope/key")[0] == 404


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of a second for the rest of a request, where it is five otherwise."""
    assert rendezvous._StoreHandler.timeout == rendezvous.REQUEST_TIMEOUT_SECONDS
    monkeypatch.setattr(rendezvous._StoreHandler, "timeout", 1.0)


@pytest.mark.parametrize("request_", [b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET /" + b"a" * 70_000 + b"\r\n\r\n",
                                      b"POST /scope/key HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"])  # fmt: skip
@pytest.mark.usefixtures("impatient")
def test_what_is_no_request_does_no_harm(server: RendezvousServer, request_: bytes) -> None:
    assert b" 200 " not in send_raw(server, request_)
    assert ask(server, "PUT", "/scope/key", b"value")[0] == 200


def test_a_stranger_gets_nothing(server: RendezvousServer) -> None:
    assert ask(server, "PUT", "/scope/key", b"secret")[0] == 200
    assert send_raw(server, b"GET /scope/key HTTP/1.1\r\n\r\n", source="127.0.0.2") == b""
    assert send_raw(server, b"PUT /scope/own HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", source="127.0.0.2") == b""
    assert ask(server, "GET", "/scope/own")[0] == 404
    assert b"secret" in send_raw(server, b"GET /scope/key HTTP/1.1\r\n\r\n", source=LOOPBACK)


def test_an_admitted_address_other_than_its_own_is_served() -> None:
    with RendezvousServer(LOOPBACK, [LOOPBACK, "127.0.0.3"]) as server:
        assert status_of(send_raw(server, b"GET /scope/key HTTP/1.1\r\n\r\n", source="127.0.0.3")) == 404


@pytest.mark.usefixtures("impatient")
def test_slow_connections_do_not_keep_others_from_being_served(server: RendezvousServer) -> None:
    slow = [socket.create_connection(place_of(server), timeout=10) for _ in range(50)]
    try:
        for number, connection in enumerate(slow):
            connection.sendall(
                [b"", b"PUT /scope/sl", b"PUT /scope/slow HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"][number % 3]
            )
        for number in range(20):
            assert ask(server, "PUT", f"/scope/key-{number}", b"value")[0] == 200
            assert ask(server, "GET", f"/scope/key-{number}") == (200, b"value")
        # They aren't kept for ever either.
        slow[0].settimeout(rendezvous.REQUEST_TIMEOUT_SECONDS + 10)
        assert slow[0].recv(100) == b""
    finally:
        for connection in slow:
            connection.close()


def test_many_ranks_that_connect_at_the_same_moment_are_all_served(server: RendezvousServer) -> None:
    count, wrong = 64, []
    together = threading.Barrier(count, timeout=20)

    def one_rank(rank: int) -> None:
        try:
            for number in range(3):
                together.wait()
                status, _ = ask(server, "PUT", f"/global/{rank}-{number}", str(rank).encode() * 100)
                if status != 200:
                    wrong.append(f"rank {rank}: {status}")
        except (OSError, threading.BrokenBarrierError) as error:
            wrong.append(f"rank {rank}: {error!r}")
            together.abort()

    threads = [threading.Thread(target=one_rank, args=(rank,), daemon=True) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert not any(thread.is_alive() for thread in threads)
    for rank in range(count):
        assert ask(server, "GET", f"/global/{rank}-2") == (200, str(rank).encode() * 100)


def test_it_listens_on_its_own_address_only(server: RendezvousServer) -> None:
    port = place_of(server)[1]
    listening = [entry.laddr for entry in psutil.Process().connections("inet") if entry.status == psutil.CONN_LISTEN]
    assert [entry.ip for entry in listening if entry.port == port] == [LOOPBACK]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.5", port), timeout=5)


@pytest.mark.parametrize("fails", [False, True])
def test_port_and_thread_are_gone_after_the_block(fails: bool) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    try:
        with RendezvousServer(LOOPBACK, [LOOPBACK]) as server:
            place = place_of(server)
            assert any(thread.name == "rendezvous" for thread in threading.enumerate() if thread.ident not in before)
            assert ask(server, "GET", "/scope/key")[0] == 404
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert fails
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place, timeout=5)
    left = [t for t in threading.enumerate() if t.ident not in before and t.name == "rendezvous"]
    assert left == []


def test_a_server_that_is_left_forgets_everything() -> None:
    with RendezvousServer(LOOPBACK, [LOOPBACK]) as first:
        assert ask(first, "PUT", "/scope/key", b"value")[0] == 200
    with RendezvousServer(LOOPBACK, [LOOPBACK]) as second:
        assert ask(second, "GET", "/scope/key")[0] == 404


def test_torchs_store_sets_gets_and_waits(server: RendezvousServer) -> None:
    store = RendezvousStore(server.endpoint, timedelta(seconds=10))
    store.set("0/text", "word")
    store.set("bytes", b"\x00\xff")
    assert store.get("0/text") == b"word"
    assert store.get("bytes") == b"\x00\xff"
    later = threading.Timer(0.3, store.set, ("late", b"here"))
    later.start()
    store.wait(["bytes", "late"])
    assert store.get("late") == b"here"
    later.join()
    with pytest.raises(RuntimeError, match="409"):
        store.set("bytes", b"other")


def test_torchs_store_gives_up_after_its_timeout_with_the_key(server: RendezvousServer) -> None:
    store = RendezvousStore(server.endpoint, timedelta(seconds=0.2))
    with pytest.raises(TimeoutError, match="absent"):
        store.get("absent")
