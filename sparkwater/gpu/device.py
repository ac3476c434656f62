"""The device of a rank, chosen from the GPUs that Spark assigned to its task."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch

from sparkwater.errors import ConfigurationError

DEVICES = ("auto", "cpu", "cuda")

#: Instructions of processors for sums of products in bfloat16, as torch names them; the last two are ARM's.
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def select_device(
    requested: str, addresses: Sequence[str], local_rank: int, local_size: int, *, shared: bool = False
) -> torch.device:
    """Return the device of this rank; no two ranks of a host get the same GPU unless they may share one.

    Where Spark manages GPUs it gave the task an address, as its discovery script printed it. On standalone
    clusters, and on YARN without isolation, that is a GPU's number on the machine; in containers, as on
    Kubernetes, its number among those that the container has. ``CUDA_VISIBLE_DEVICES``, where it is set,
    decides what torch sees and counts: see `visible_index`.

    Parameters
    ----------
    requested : {"auto", "cpu", "cuda"}
        ``auto`` takes a GPU where this rank has one to itself, else the CPU.
    addresses : sequence of str
        The GPU addresses in the task's resources, as Spark gives them; empty where it manages none.
    local_rank, local_size : int
        This rank's number on its host, and how many there are.
    shared : bool
        Whether several ranks of a host may compute on one GPU.

    Raises
    ------
    ConfigurationError
        If ``cuda`` is asked for and this rank has no GPU to itself.
    """
    if requested == "cpu":
        return torch.device("cpu")
    available = torch.cuda.device_count()
    if addresses and available:
        index = visible_index(addresses[0], [gpu_uuid(torch.device("cuda", place)) for place in range(available)])
        if index < available:
            return torch.device("cuda", index)
    if not addresses and available >= local_size:
        return torch.device("cuda", local_rank)
    if not addresses and available and shared:
        return torch.device("cuda", local_rank % available)
    if requested == "auto":
        return torch.device("cpu")
    raise ConfigurationError(
        f"device='cuda', but rank {local_rank} of {local_size} on this host has no GPU to itself: Spark gave the task "
        f"{list(addresses) or 'none'} and torch {torch.__version__} sees {available}; accepted: auto, cpu, or a GPU "
        "a task (spark.task.resource.gpu.amount=1), or allowSharedGpu=True"
    )


def device_here(requested: str) -> torch.device:
    """Return the kind of device that workers on machines like this one compute on, for a ``device`` of the learners."""
    on_gpus = requested == "cuda" or (requested == "auto" and torch.cuda.device_count() > 0)
    return torch.device("cuda" if on_gpus else "cpu")


def computes_bfloat16(device: torch.device) -> bool:
    """Return whether a device has instructions for bfloat16, without which it is much slower than float32.

    GPUs count as having them, and so do processors of which torch, before 2.11, doesn't tell.
    """
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return True
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in BFLOAT16_INSTRUCTIONS)


def gpu_uuid(device: torch.device) -> str:
    """Return the UUID of a GPU; an empty string for the CPU."""
    return f"GPU-{torch.cuda.get_device_properties(device).uuid}" if device.type == "cuda" else ""


def visible_index(address: str, uuids: Sequence[str] = ()) -> int:
    """Return torch's index for a GPU address of Spark's, within ``CUDA_VISIBLE_DEVICES`` where that is set.

    An address that the variable lists is the GPU of that name; one that it doesn't list is a position among
    the visible ones.

    Parameters
    ----------
    address : str
        A number, or a UUID.
    uuids : sequence of str
        UUIDs of the GPUs that torch sees.

    Raises
    ------
    ConfigurationError
        If the address is neither among the visible GPUs nor a number.
    """
    visible = [entry.strip() for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry.strip()]
    if address in visible:
        return visible.index(address)
    if address in uuids:
        return list(uuids).index(address)
    if len(visible) == 1:
        return 0  # whoever started this worker gave it one GPU of its own
    if address.isdigit():
        return int(address)
    raise ConfigurationError(f"Spark gave the GPU {address!r}; CUDA_VISIBLE_DEVICES lists {visible or 'none'}")
