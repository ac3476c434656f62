"""The sum of all ranks' gradients, and with it the few numbers that travel along."""

from __future__ import annotations

import torch

from sparkwater.gpu.collectives import Communicator
from sparkwater.gpu.parameters import FlatParameters

#: What gradients travel in, by the names that the estimator takes; ``none`` for float32, as they are.
COMPRESSIONS = {"none": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def sum_gradients(flat: FlatParameters, compression: str, communicator: Communicator) -> None:
    """Replace the gradients and the extra slots by their sums over all ranks.

    Compressed gradients are rounded to 16 bits on each rank, added in 16 bits, and are float32 again
    afterwards: half the bytes. The extra slots always travel as float32.
    """
    if compression == "none":
        communicator.all_reduce_(flat.message)
        return
    rounded = flat.gradients.to(COMPRESSIONS[compression])
    communicator.all_reduce_(rounded)
    flat.gradients.copy_(rounded)
    communicator.all_reduce_(flat.extra)
