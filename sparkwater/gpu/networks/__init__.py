"""The networks that there are by name, and how to add yours.

A registered network is a function of the shape of one input and a number of classes. Importing this
package fills the registry.
"""

from __future__ import annotations

from sparkwater.gpu.networks.lenet import lenet
from sparkwater.gpu.networks.registry import (
    NetworkEntry,
    NetworkFactory,
    build_network,
    check_network,
    find_network,
    register_network,
)

__all__ = [
    "NetworkEntry",
    "NetworkFactory",
    "build_network",
    "check_network",
    "find_network",
    "lenet",
    "register_network",
]
