"""Network weights as safetensors bytes."""

from __future__ import annotations

import hashlib

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from sparkwater.errors import CheckpointError


def dump_weights(network: nn.Module) -> bytes:
    """Return a network's state as safetensors."""
    state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
    return safetensors.torch.save(state)


def load_weights(network: nn.Module, weights: bytes) -> None:
    """Put weights from safetensors into a network; names and shapes must be the network's own.

    Raises
    ------
    CheckpointError
        If the bytes are damaged or belong to another network.
    """
    try:
        network.load_state_dict(safetensors.torch.load(weights))
    except (SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(f"the weights don't fit the network: {error}") from error


def digest(weights: bytes) -> str:
    """Return the SHA-256 of weights, in hexadecimal."""
    return hashlib.sha256(weights).hexdigest()
