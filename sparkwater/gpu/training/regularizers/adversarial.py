"""Virtual adversarial training: a penalty on predictions that change close to a row.

Miyato, Maeda, Koyama and Ishii, Virtual Adversarial Training: A Regularization Method for Supervised and
Semi-Supervised Learning, 2018. A row is moved by a given distance in the direction in which its prediction changes
most, by one power iteration (section 3.3, algorithm 1), and the divergence of the prediction there from the one at the
row is added to the row's loss. No label is needed for it, and no other row: ranks have nothing to exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from sparkwater.gpu.networks.inputs import Inputs

#: Distance from a row at which the direction is looked for: xi in the paper, which takes the second derivative there.
PROBE = 0.5


@dataclass(frozen=True)
class Adversary:
    """Search for the direction in which a row's prediction changes most.

    Attributes
    ----------
    predict : callable
        From inputs to outputs, as in training; two calls with the same inputs give the same.
    divergences : callable
        See `sparkwater.gpu.tasks.Task.divergences`.
    radius : float
        Euclidean distance by which a row is moved, over all its inputs of floating point; others stay.
    numbers : int or None
        See `sparkwater.gpu.networks.compute.Compute`: other entries aren't moved.
    """

    predict: Callable[[Inputs], torch.Tensor]
    divergences: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    radius: float
    numbers: int | None = None

    def losses(
        self,
        inputs: Inputs,
        outputs: torch.Tensor,
        generator: torch.Generator,
        scale: Callable[[torch.Tensor], torch.Tensor] = lambda apart: apart,
    ) -> torch.Tensor:
        """Return the divergence of each row's prediction from the one at the adversary's point, ``(rows,)``.

        Its gradient is that of the prediction at this point; the one at the row is held.

        Parameters
        ----------
        inputs : torch.Tensor or tuple of torch.Tensor
            Of the network; one of them, at least, of floating point.
        outputs : torch.Tensor
            Of the network at the inputs.
        generator : torch.Generator
            Of the first directions; on the device.
        scale : callable
            Multiplies small numbers before they are differentiated in 16 bits.
        """
        held = outputs.detach()
        parts = _floats(inputs)
        first = _units(self._of_numbers([torch.empty_like(part).normal_(generator=generator) for part in parts]))
        probes = [point.requires_grad_() for point in _moved(parts, first, PROBE)]
        apart = self.divergences(held, self.predict(_replaced(inputs, probes)))
        # Not `backward`: the weights' gradients stay as they are, and nothing is sent to other ranks.
        slopes = torch.autograd.grad(scale(apart.sum()), probes, allow_unused=True, materialize_grads=True)
        points = _moved(parts, _units(self._of_numbers(slopes), first), self.radius)
        return self.divergences(held, self.predict(_replaced(inputs, points)))

    def _of_numbers(self, vectors: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        """Return vectors with 0 for ids, in place."""
        if self.numbers is not None:
            vectors[0][:, self.numbers :] = 0
        return vectors


def _floats(inputs: Inputs) -> list[torch.Tensor]:
    parts = inputs if isinstance(inputs, tuple) else (inputs,)
    return [part for part in parts if part.is_floating_point()]


def _moved(parts: Sequence[torch.Tensor], ways: Sequence[torch.Tensor], distance: float) -> list[torch.Tensor]:
    # Copies keep the layout of pictures, which a sum of two layouts need not.
    return [part.clone().add_(way, alpha=distance) for part, way in zip(parts, ways, strict=True)]


def _replaced(inputs: Inputs, moved: Sequence[torch.Tensor]) -> Inputs:
    """Return inputs with those of floating point replaced."""
    if not isinstance(inputs, tuple):
        return moved[0]
    rest = iter(moved)
    return tuple(next(rest) if part.is_floating_point() else part for part in inputs)


def _units(vectors: Sequence[torch.Tensor], otherwise: Sequence[torch.Tensor] | None = None) -> Sequence[torch.Tensor]:
    """Return each row's vector, all its parts together, at length 1; another one where it is 0 or not finite."""
    # By its largest entry first: the squares of small slopes are 0.
    sizes = [vector.reshape(len(vector), -1).abs().amax(dim=1) for vector in vectors]
    largest = torch.stack(sizes).amax(dim=0)
    shortened = [vector / _by_row(largest, vector) for vector in vectors]
    squares = [vector.reshape(len(vector), -1).square().sum(dim=1) for vector in shortened]
    lengths = torch.stack(squares).sum(dim=0).sqrt()
    units = [vector / _by_row(lengths, vector) for vector in shortened]
    if otherwise is None:
        otherwise = [torch.zeros_like(vector) for vector in vectors]
    usable = (largest > 0) & largest.isfinite()
    return [torch.where(_by_row(usable, unit), unit, other) for unit, other in zip(units, otherwise, strict=True)]


def _by_row(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.view(-1, *(1,) * (like.dim() - 1))
