"""The device that a rank computes on, from what Spark gave its task."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from sparkwater.errors import ConfigurationError

DEVICES = ("auto", "cpu", "cuda")


def select_device(requested: str, addresses: Sequence[str], local_rank: int, local_size: int) -> torch.device:
    """Return the device of this rank; no two ranks of a host get the same GPU.

    Parameters
    ----------
    requested : {"auto", "cpu", "cuda"}
        ``auto`` takes a GPU where this rank has one to itself, else the CPU.
    addresses : sequence of str
        The GPU addresses in the task's resources, as Spark gives them; empty where it manages none.
    local_rank, local_size : int
        This rank's number on its host, and how many there are.

    Raises
    ------
    ConfigurationError
        If ``cuda`` is asked for and this rank has no GPU to itself.
    """
    if requested == "cpu":
        return torch.device("cpu")
    available = torch.cuda.device_count()
    if addresses and available:
        index = visible_index(addresses[0])
        if index < available:
            return torch.device("cuda", index)
    if not addresses and available >= local_size:
        return torch.device("cuda", local_rank)
    if requested == "auto":
        return torch.device("cpu")
    raise ConfigurationError(
        f"device='cuda', but rank {local_rank} of {local_size} on this host has no GPU to itself: Spark gave the task "
        f"{list(addresses) or 'none'} and torch {torch.__version__} sees {available}; accepted: auto, cpu, or a GPU "
        "a task (spark.task.resource.gpu.amount=1)"
    )


def visible_index(address: str) -> int:
    """Return torch's index for a GPU address of Spark's, within ``CUDA_VISIBLE_DEVICES`` where that is set.

    Raises
    ------
    ConfigurationError
        If the address is neither among the visible GPUs nor a number.
    """
    visible = [entry.strip() for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry.strip()]
    if address in visible:
        return visible.index(address)
    if len(visible) == 1:
        return 0  # whoever started this worker gave it one GPU of its own
    if address.isdigit():
        return int(address)
    raise ConfigurationError(f"Spark gave the GPU {address!r}; CUDA_VISIBLE_DEVICES lists {visible or 'none'}")
