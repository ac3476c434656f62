"""Addresses by which the ranks reach each other."""

from __future__ import annotations

import ipaddress
import logging
import socket
from contextlib import suppress

import psutil

from sparkwater.errors import ConfigurationError

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"

#: A host of many containers has a bridge for each of their networks.
MAX_ADDRESSES = 6

#: Hosts whose names are looked up; more of them say nothing new.
_HOSTS_LOOKED_UP = 3


def own_addresses(hosts: tuple[str, ...], rank: int) -> list[str]:
    """Return the IPv4 addresses at which the other ranks may reach this one, the likeliest first.

    Loopback where all share a host: a machine's own name may resolve to an address that nothing
    can reach. Otherwise those of the interfaces that lead to the other ranks' hosts, then all others.
    A host's name may resolve to nothing here, or to loopback, and then leads nowhere.

    Raises
    ------
    ConfigurationError
        If this host has none but loopback, and the ranks have several hosts.
    """
    others = [host for host in dict.fromkeys(hosts) if host != hosts[rank]]
    if not others:
        return [LOOPBACK]
    leading = [_leading_to(there) for host in others[:_HOSTS_LOOKED_UP] for there in _resolved(host)]
    found = dict.fromkeys(
        address for address in [*leading, named_address(), *_of_interfaces()] if _is_reachable(address)
    )
    if not found:
        raise ConfigurationError(
            f"rank {rank} runs on a host that has no network address but loopback, {hosts[rank]}, and there are ranks "
            f"on {', '.join(others[:_HOSTS_LOOKED_UP])}; give it a network that leads there, or set numWorkers=1"
        )
    return list(found)[:MAX_ADDRESSES]


def named_address() -> str:
    """Return the address that this host's own name leads to; empty where it leads nowhere.

    Horovod 0.28.1 adds up at this address, whatever interface it is given (its contexts of process sets don't hand
    the interface on), and ends the process where there is none.
    """
    try:
        found = socket.getaddrinfo(socket.gethostname(), None, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except OSError:
        return ""
    for family, kind, protocol, _, place in found:
        with suppress(OSError), socket.socket(family, kind, protocol) as bound:
            bound.bind(place)
            return str(place[0])
    return ""


def interface_of(address: str) -> str:
    """Return the name of the network interface that has an address.

    Raises
    ------
    ConfigurationError
        If none has it.
    """
    for name, entries in psutil.net_if_addrs().items():
        if any(entry.family == socket.AF_INET and _covers(entry.address, address) for entry in entries):
            return name
    raise ConfigurationError(f"no network interface of this host has the address {address}")


def _covers(own: str, address: str) -> bool:
    if own == address:
        return True
    # All of 127.0.0.0/8 is the loopback interface.
    return ipaddress.ip_address(address).is_loopback and ipaddress.ip_address(own).is_loopback


def _resolved(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_DGRAM)
    except OSError as error:
        logger.info("the host name %s leads nowhere from here: %s", host, error)
        return []
    return [str(entry[4][0]) for entry in found]


def _leading_to(there: str) -> str:
    """Return the own address from which packets to another one are sent; empty where there is no way."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((there, 9))  # a datagram socket sends nothing to connect
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def _of_interfaces() -> list[str]:
    entries = [entry for found in psutil.net_if_addrs().values() for entry in found]
    return [str(entry.address) for entry in entries if entry.family == socket.AF_INET]


def _is_reachable(address: str) -> bool:
    if not address or ":" in address:
        return False
    return not (ipaddress.ip_address(address).is_loopback or ipaddress.ip_address(address).is_link_local)
