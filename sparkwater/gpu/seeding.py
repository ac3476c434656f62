"""Random seeds, derived from one seed by purpose, and computations that give the same bits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose.

    Seeds of different purposes, or of different epochs, are as good as independent; the same
    arguments give the same seed on every machine and in every process.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed what networks draw from on a device, and on the CPU.

    The same numbers as after ``torch.manual_seed``, which also goes through the stack for each kind of
    device that isn't there: 3 % of a small network's step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


@contextmanager
def same_bits() -> Iterator[None]:
    """Let cuDNN take only algorithms that give the same bits each time, inside the ``with`` block."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
