"""Reconstructions: rows beside those that an autoencoder gives back for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from sparkwater.conversions.tensors.arrow import as_torch
from sparkwater.gpu.networks.inference import BATCH_ROWS, TrainedNetwork, ready_network
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.tasks import ReconstructionTask

#: From the network's outputs and the inputs, ``(rows, size)``, to values of each row.
_Part = Callable[[TrainedNetwork, ReconstructionTask, torch.Tensor, torch.Tensor], torch.Tensor]


def _error(
    trained: TrainedNetwork, task: ReconstructionTask, outputs: torch.Tensor, inputs: torch.Tensor
) -> torch.Tensor:
    del trained
    return task.losses(outputs, inputs).double()


def _errors(
    trained: TrainedNetwork, task: ReconstructionTask, outputs: torch.Tensor, inputs: torch.Tensor
) -> torch.Tensor:
    del trained
    return task.errors(outputs, inputs)


def _rows(
    trained: TrainedNetwork, task: ReconstructionTask, outputs: torch.Tensor, inputs: torch.Tensor
) -> torch.Tensor:
    del inputs
    assert isinstance(trained.scaling, Scaling)  # autoencoders have one input
    rebuilt = torch.from_numpy(task.respond(outputs.double().numpy())).float()
    return trained.scaling.undo(rebuilt.reshape(len(rebuilt), *trained.shape))


#: What can be had of a reconstruction: the error of each row, float64 ``(rows,)``; that of each entry of the input,
#: float32 ``(rows, size)``; the rebuilt rows, float32 in the units of the tensors, ``(rows, *trained.shape)``.
PARTS: dict[str, _Part] = {"error": _error, "errors": _errors, "rows": _rows}


def reconstruct(
    trained: TrainedNetwork, tensors: npt.NDArray[np.generic], parts: Sequence[str]
) -> dict[str, npt.NDArray[np.generic]]:
    """Return parts of the reconstruction of rows.

    Parameters
    ----------
    trained : TrainedNetwork
        A network that learned a `ReconstructionTask`.
    tensors : numpy.ndarray
        Rows as they came, at least one: ``(rows, *trained.shape)``.
    parts : sequence of str
        Names in `PARTS`.
    """
    compute, task = ready_network(trained), trained.task
    assert isinstance(task, ReconstructionTask)  # no other task gives rows back
    found: dict[str, list[torch.Tensor]] = {name: [] for name in parts}
    with torch.inference_mode():
        for block in torch.split(as_torch(tensors), BATCH_ROWS):
            outputs, inputs = compute.compared(task, block, block)
            for name in parts:
                found[name].append(PARTS[name](trained, task, outputs, inputs))
    return {name: np.asarray(torch.cat(values).numpy()) for name, values in found.items()}
