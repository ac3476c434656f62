"""A stranger on the network: he listens to all that passes, and talks to every port that he finds open."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from hosts.network import COMMON, Host
from hosts.sockets import half_open

#: A signed line of the driver's channel.
_GENUINE = re.compile(rb"[0-9a-f]{64} \{.*\}\n")
NONSENSE = (
    b"",
    b"\0" * 8,
    b"\xff" * 4096,
    b"GET /global/0 HTTP/1.1\r\n\r\n",
    b"GET /torch/0 HTTP/1.1\r\n\r\n",
    b"PUT /global/0 HTTP/1.1\r\nContent-Length: 999999999\r\n\r\nx",
    b"0" * 64 + b' {"kind": "gather", "content": {"round": 0, "rank": 0, "message": "null"}}\n',
)
FLOOD = 1_000


class Stranger:
    """What he does, and what he got for it.

    Attributes
    ----------
    answers : dict
        The bytes that came back, by address and port.
    heard : list of bytes
        Signed lines that passed by.
    talks : Counter
        How often he talked, by kind.
    floods : Counter
        Connections that he held open at once, by address and port.
    left_open : Counter
        Connections that were seen half open, by address and port.
    """

    def __init__(self, host: Host, targets: Sequence[Host]) -> None:
        self._host, self._targets = host, targets
        self.answers: dict[tuple[str, int], bytes] = {}
        self.heard: list[bytes] = []
        self.talks: Counter[str] = Counter()
        self.floods: Counter[tuple[str, int]] = Counter()
        self.left_open: Counter[tuple[str, int]] = Counter()
        self._done = threading.Event()

    @contextmanager
    def at_work(self, ports_of) -> Iterator[None]:
        """Listen and talk while the block runs; ports are looked up again and again."""
        with ExitStack() as ears:
            threads = [threading.Thread(target=self._talk, args=(ports_of,), daemon=True)]
            for target in self._targets:
                with target.entered():
                    ear = ears.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
                    ear.bind(("eth0", 0))
                    ear.settimeout(0.2)
                threads.append(threading.Thread(target=self._listen, args=(ear,), daemon=True))
            for thread in threads:
                thread.start()
            try:
                yield
            finally:
                self._done.set()
                for thread in threads:
                    thread.join(20)

    def _listen(self, ear: socket.socket) -> None:
        while not self._done.is_set():
            with suppress(OSError):
                found = _GENUINE.search(ear.recv(65536))
                if found and found[0] not in self.heard:
                    self.heard.append(found[0])

    def _talk(self, ports_of) -> None:
        with self._host.entered():
            flooded: set[tuple[str, int]] = set()
            while not self._done.is_set():
                for place in ports_of():
                    for word in (*NONSENSE, *self.heard[-20:]):
                        self._say(place, word)
                    if place not in flooded:
                        flooded.add(place)
                        self._flood(place)
                        self._leave_half_open(place)
                time.sleep(0.02)

    def _say(self, place: tuple[str, int], word: bytes) -> None:
        kind = "replays" if word in self.heard else "nonsense"
        with suppress(OSError), socket.create_connection(place, timeout=1) as connection:
            self.talks[kind] += 1
            connection.sendall(word)
            connection.settimeout(0.1)
            answer = connection.recv(4096)
            if answer:
                self.answers[place] = answer

    def _flood(self, place: tuple[str, int]) -> None:
        with ExitStack() as held:
            for _ in range(FLOOD):
                try:
                    connection = held.enter_context(socket.create_connection(place, timeout=1))
                except OSError:
                    break
                with suppress(OSError):
                    connection.sendall(b"PUT /global/0 HT")
                self.floods[place] += 1
            self._done.wait(1)

    def _leave_half_open(self, place: tuple[str, int]) -> None:
        """Ask for connections in the name of hosts that aren't there, whose answers nobody takes."""
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            for number in range(FLOOD):
                source = f"{COMMON}.{100 + number % 100}"
                raw.sendto(_first_packet(source, 1024 + number, *place), place)
        target = next(host for host in self._targets if host.address == place[0])
        self.left_open[place] = half_open(target, place)


def _first_packet(source: str, source_port: int, target: str, target_port: int) -> bytes:
    """Return the packet that asks for a connection (RFC 791, 9293); the kernel adds what its head lacks."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_TCP, 0) + ends
    syn, window, words = 0x02, 65535, 5

    def segment(checksum: int) -> bytes:
        return struct.pack("!HHIIBBHHH", source_port, target_port, 1, 0, words << 4, syn, window, checksum, 0)

    summed = ends + struct.pack("!HH", socket.IPPROTO_TCP, len(segment(0))) + segment(0)
    total = sum(struct.unpack(f"!{len(summed) // 2}H", summed))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head + segment(~total & 0xFFFF)
