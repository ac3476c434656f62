"""Sums of gradients over all ranks, in buckets that overlap with the backward pass.

Gradients come from the last layer to the first, and travel in buckets: while the backward pass computes
those of the first layers, those of the last are on their way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from sparkwater.gpu.collective.communicator import Communicator
from sparkwater.gpu.training.flat_parameters import Bucket, FlatParameters

#: What gradients travel in, by the names that the estimator takes; ``none`` for float32, as they are.
COMPRESSIONS = {"none": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

#: A bucket is full with so many bytes of gradients; a layer is never divided.
BUCKET_BYTES = 1 << 20


class GradientSum:
    """Replaces gradients and extra slots by their sums over all ranks, step by step.

    After each backward pass comes `send_rest`, and then `finish`. The first pass shows whether gradients come
    whole; from the second on they are sent from within it.

    Every rank sends the same buckets in the same order, whether it has rows in a step or not. The sums
    don't depend on timing: overlapping changes no bit. Compressed gradients are rounded to 16 bits on
    each rank, added in 16 bits, and are float32 again afterwards: half the bytes. The extra slots always
    travel as float32, and must be set before the backward pass begins.

    Parameters
    ----------
    flat : FlatParameters
        The parameters, whose message is summed.
    compression : str
        One of `COMPRESSIONS`.
    communicator : Communicator
        Open.
    bucket_bytes : int
        See `BUCKET_BYTES`.
    """

    def __init__(
        self, flat: FlatParameters, compression: str, communicator: Communicator, bucket_bytes: int = BUCKET_BYTES
    ) -> None:
        self._flat, self._compression, self._communicator = flat, compression, communicator
        self._buckets = flat.buckets(bucket_bytes)
        self._place = {id(each): place for place, bucket in enumerate(self._buckets) for each in bucket.parameters}
        self._first, self._in_parts = True, False
        self._began: list[Callable[[], None]] = []
        self._seen: Counter[int] = Counter()  # parts of each gradient
        self._arrivals: Counter[int] = Counter()  # gradients of each bucket

    @contextmanager
    def overlapping(self) -> Iterator[GradientSum]:
        """Send buckets from within backward passes inside the ``with`` block."""
        handles = [
            parameter.register_post_accumulate_grad_hook(self._arrived)  # type: ignore[no-untyped-call]
            for bucket in self._buckets
            for parameter in bucket.parameters
        ]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def send_rest(self) -> None:
        """Send the buckets that the backward pass left, if there was one."""
        while len(self._began) < len(self._buckets):
            self._send(self._buckets[len(self._began)])

    def finish(self) -> None:
        """Wait for the sums."""
        for finish in self._began:
            finish()
        if self._seen:
            # A gradient that comes in several parts would be sent before its last one.
            self._first, self._in_parts = False, self._in_parts or max(self._seen.values()) > 1
        self._began.clear()
        self._seen.clear()
        self._arrivals.clear()

    def _arrived(self, parameter: torch.Tensor) -> None:
        place = self._place[id(parameter)]
        self._arrivals[place] += id(parameter) not in self._seen
        self._seen[id(parameter)] += 1
        if self._first or self._in_parts:
            return
        if place < len(self._began):
            raise RuntimeError("a gradient came in several parts, the last of them after its sum over the ranks began")
        while len(self._began) < len(self._buckets) and self._is_complete(len(self._began)):
            self._send(self._buckets[len(self._began)])

    def _is_complete(self, place: int) -> bool:
        return self._arrivals[place] == len(self._buckets[place].parameters)

    def _send(self, bucket: Bucket) -> None:
        if self._compression == "none":
            self._began.append(self._communicator.begin_sum_(self._flat.message[bucket.start : bucket.stop]))
            return
        gradients = self._flat.gradients[bucket.start : bucket.stop]
        rounded = gradients.to(COMPRESSIONS[self._compression])
        finish = self._communicator.begin_sum_(rounded)
        # The extra slots are behind the gradients of the first bucket.
        finish_extra = None if self._began else self._communicator.begin_sum_(self._flat.extra)

        def finish_both() -> None:
            finish()
            gradients.copy_(rounded)
            if finish_extra is not None:
                finish_extra()

        self._began.append(finish_both)
