"""Curves of settings over a training: pure functions of the share that is done, from 0 to 1, so that all ranks agree.

All begin with, or reach, the factor 1 of the setting.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def constant(share: float) -> float:  # noqa: ARG001
    """Return 1."""
    return 1.0


def flat_cosine(share: float) -> float:
    """Return 1 in the first half, and then a value along half a cosine to 0."""
    return 1.0 if share <= 0.5 else (1 + math.cos(math.pi * (2 * share - 1))) / 2


def doubling_cycles(share: float, cycles: int = 4) -> float:
    """Return a value of cycles of a cosine, from 0 up to 1 and back, each twice as long as the one before.

    ``coslog_k`` of Holzmüller, Grinsztajn and Steinwart, Better by Default, 2024, section 3 and appendix A.
    """
    return (1 - math.cos(2 * math.pi * math.log2(1 + (2**cycles - 1) * share))) / 2


#: Curves that a setting may follow while the learning rate has a schedule of its own.
CURVES: dict[str, Callable[[float], float]] = {"constant": constant, "flatCosine": flat_cosine}
