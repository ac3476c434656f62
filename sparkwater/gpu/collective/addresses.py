"""Addresses by which the ranks reach each other."""

from __future__ import annotations

import ipaddress
import socket

import psutil

from sparkwater.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


def own_address(hosts: tuple[str, ...], rank: int) -> str:
    """Return the IPv4 address at which the other ranks reach this one.

    Loopback where all share a host: a machine's own name may resolve to an address that nothing
    can reach. Otherwise the address of the interface that leads to another rank's host.
    """
    others = [host for host in hosts if host != hosts[rank]]
    if not others:
        return LOOPBACK
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((others[0], 9))  # a datagram socket sends nothing to connect
        return str(probe.getsockname()[0])


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
