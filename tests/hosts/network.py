"""Hosts on one machine: Linux network namespaces with addresses and host names of their own, on a common bridge.

Names of namespaces and of the folder for their files carry the process that made them, so that a later one sweeps those
of a process that is gone.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psutil

PREFIX = "swhosts-"

#: Of the networks of a process.
_NUMBERS = count()
_SETTINGS = Path("/etc/netns")
_NAMESPACES = Path("/run/netns")
_NETWORK = 0x40000000  # CLONE_NEWNET

#: The first network leads to all hosts; on the second each host is alone.
COMMON, DEAD_END = "10.77.0", "10.78.0"


def missing() -> str | None:
    """Return why there can be no hosts here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need Linux and root"
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        return "network namespaces need the programs ip (iproute2) and unshare (util-linux)"
    # Root of a container may do less.
    probe = f"probe-{os.getpid()}"
    try:
        ip("netns", "add", probe)
        ip("-n", probe, "link", "add", "bridge", "type", "bridge")
        ip("-n", probe, "link", "add", "one", "type", "veth", "peer", "two")
        ip("netns", "exec", probe, "unshare", "--uts", "hostname", "probe")
    except OSError as error:
        return f"network namespaces can't be made here: {error}"
    finally:
        ip("netns", "delete", probe, check=False)
    return None


def ip(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


class Host:
    """One host: its own addresses, its name, and what its names resolve to.

    Parameters
    ----------
    network : Network
        The network that it is in.
    number : int
        The last part of its addresses.
    name : str
        Its host name.
    known : mapping of str to str
        Its hosts file: addresses by name.
    """

    def __init__(self, network: Network, number: int, name: str, known: Mapping[str, str]) -> None:
        self.name, self.namespace, self._network = name, f"{network.prefix}{name}", network
        self.address, self.dead_end = f"{COMMON}.{number}", f"{DEAD_END}.{number}"
        self.port = f"to-{name}"[:15]
        folder = _SETTINGS / self.namespace
        folder.mkdir(parents=True)
        lines = [f"{address} {known_as}\n" for known_as, address in {"localhost": "127.0.0.1", **known}.items()]
        (folder / "hosts").write_text("".join(lines))
        ip("netns", "add", self.namespace)
        ip("link", "add", self.port, "netns", network.bridge, "type", "veth", "peer", "eth0", "netns", self.namespace)
        ip("-n", network.bridge, "link", "set", self.port, "master", "bridge", "up")
        # Both ends of the second link are here: it is up, and what is sent to it arrives nowhere.
        ip("-n", self.namespace, "link", "add", "eth1", "type", "veth", "peer", "nowhere")
        for interface, address in (("eth0", self.address), ("eth1", self.dead_end)):
            ip("-n", self.namespace, "address", "add", f"{address}/24", "dev", interface)
        for interface in ("lo", "eth0", "eth1", "nowhere"):
            ip("-n", self.namespace, "link", "set", interface, "up")

    def on(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs another one on this host; its process is the other's."""
        named = ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"']
        return [*named, self.name, *command]

    def cut(self) -> None:
        """Let nothing through to this host or from it."""
        ip("-n", self._network.bridge, "link", "set", self.port, "down")

    def restore(self) -> None:
        """Mend what `cut` did."""
        ip("-n", self._network.bridge, "link", "set", self.port, "up")

    @contextmanager
    def deaf_to(self, others: Iterable[Host]) -> Iterator[None]:
        """Let whoever calls from some other hosts hear nothing while the block runs, as a firewall does."""
        routes = [("blackhole", f"{other.address}/32") for other in others]
        try:
            for route in routes:
                ip("-n", self.namespace, "route", "add", *route)
            yield
        finally:
            for route in routes:
                ip("-n", self.namespace, "route", "delete", *route, check=False)

    def part(self, parted: bool) -> None:
        """Let nothing through between this host and others that are parted, or undo that; the rest reaches all."""
        isolated = "on" if parted else "off"
        ip("-n", self._network.bridge, "link", "set", self.port, "type", "bridge_slave", "isolated", isolated)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread, and the processes and threads that it starts, be on this host's network."""
        with Path("/proc/thread-self/ns/net").open() as home, (_NAMESPACES / self.namespace).open() as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    @property
    def processes(self) -> list[psutil.Process]:
        """All processes on this host's network, but for this one."""
        found = []
        for pid in ip("netns", "pids", self.namespace, check=False).split():
            with suppress(psutil.NoSuchProcess):
                found += [psutil.Process(int(pid))] if int(pid) != os.getpid() else []
        return found


class Network:
    """A bridge, and the hosts on it.

    Attributes
    ----------
    folder : pathlib.Path
        For files of processes on the hosts; it goes with them.
    """

    folder: Path

    def __init__(self) -> None:
        self.prefix = f"{PREFIX}{os.getpid()}-{_started(os.getpid())}-{next(_NUMBERS)}-"
        self.bridge = f"{self.prefix}bridge"
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Network:
        sweep()
        self.folder = Path(tempfile.mkdtemp(prefix=self.prefix))
        ip("netns", "add", self.bridge)
        ip("-n", self.bridge, "link", "add", "bridge", "type", "bridge")
        ip("-n", self.bridge, "link", "set", "bridge", "up")
        return self

    def __exit__(self, *_: object) -> None:
        _remove(self.prefix)

    def add(self, number: int, name: str, known: Mapping[str, str] | None = None) -> Host:
        """Return a new host, which knows its own name unless it is told what it knows."""
        self.hosts[name] = Host(self, number, name, {name: f"{COMMON}.{number}"} if known is None else known)
        return self.hosts[name]


@contextmanager
def parted(*hosts: Host) -> Iterator[None]:
    """Let nothing through between some hosts while the block runs; each of them still reaches the others."""
    try:
        for host in hosts:
            host.part(True)
        yield
    finally:
        for host in hosts:
            host.part(False)


def sweep() -> None:
    """Remove hosts whose makers are gone."""
    for name in [*_namespaces(), *(folder.name for folder in _folders(PREFIX))]:
        _, pid, started, _ = name.split("-", 3)
        if _started(int(pid)) != started:
            _remove(f"{PREFIX}{pid}-{started}-")


def _namespaces() -> list[str]:
    present = {path.name for folder in (_NAMESPACES, _SETTINGS) if folder.is_dir() for path in folder.iterdir()}
    return sorted(name for name in present if name.startswith(PREFIX))


def _folders(prefix: str) -> list[Path]:
    return sorted(Path(tempfile.gettempdir()).glob(f"{prefix}*"))


def _remove(prefix: str) -> None:
    """End all processes on hosts with this prefix, and remove the hosts and their files."""
    ours = [name for name in _namespaces() if name.startswith(prefix)]
    for namespace in ours:
        # What one of them starts meanwhile is there at the next look.
        while pids := [
            int(pid) for pid in ip("netns", "pids", namespace, check=False).split() if pid != str(os.getpid())
        ]:
            processes = []
            for pid in pids:
                with suppress(psutil.NoSuchProcess):
                    process = psutil.Process(pid)
                    process.kill()
                    processes.append(process)
            psutil.wait_procs(processes, timeout=10)
    for namespace in ours:
        ip("netns", "delete", namespace, check=False)
        shutil.rmtree(_SETTINGS / namespace, ignore_errors=True)
    for folder in _folders(prefix):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        _SETTINGS.rmdir()  # where nobody else has settings there


def _started(pid: int) -> str:
    """Return what tells a process from a later one of the same number; empty where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
