"""Transfer of batches to the device, ahead of their use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from sparkwater.gpu.rows.held import Batch


def feed(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield batches on a device.

    Batches not yet on a GPU are copied from pinned memory on a stream of its own: taking the next batch
    before waiting for the kernels of this one lets both go on at the same time.

    Parameters
    ----------
    batches : iterable of Batch
        On the device or on the CPU; all of a batch in the same place.
    device : torch.device
        The device of the results.
    """
    if device.type != "cuda":
        yield from batches
        return
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    for batch in batches:
        yield batch if batch.features.device == device else _copy(batch, device, copies)


def _copy(batch: Batch, device: torch.device, copies: torch.cuda.Stream) -> Batch:
    computes = torch.cuda.current_stream(device)
    with torch.cuda.stream(copies):
        moved = batch.each(lambda tensor: tensor.pin_memory().to(device, non_blocking=True))
    computes.wait_stream(copies)

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        # Its memory must not serve the next copy before the kernels are done with it.
        tensor.record_stream(computes)
        return tensor

    return moved.each(keep)
