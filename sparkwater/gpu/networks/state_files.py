"""Files of weights: safe reading, and matching to a network's parameter names."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from sparkwater.errors import CheckpointError, ConfigurationError

#: What wrappers put before the names of weights: DataParallel, Lightning, torch.compile, and what wraps a backbone.
PREFIXES = ("module.", "model.", "backbone.", "network.", "net.", "encoder.", "_orig_mod.")

#: Under what checkpoints of training scripts hold the weights, beside optimizers and epochs.
_NESTED = ("state_dict", "model_state_dict", "model", "weights")

#: Names that an error lists.
_LISTED = 5


def read_state(content: bytes, source: str) -> dict[str, torch.Tensor]:
    """Return the weights in a file: safetensors, or a state dict that ``torch.save`` wrote.

    Parameters
    ----------
    content : bytes
        The file's bytes.
    source : str
        Its name, for messages.

    Raises
    ------
    CheckpointError
        If it is neither, or holds anything but tensors.
    """
    if content[8:9] == b"{":
        try:
            return dict(safetensors.torch.load(content))
        except (SafetensorError, ValueError, KeyError) as error:
            raise CheckpointError(f"{source!r} is damaged: {error}") from error
    try:
        loaded: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler does
        raise CheckpointError(
            f"{source!r} is neither safetensors nor a state dict of tensors by torch.save: {error}"
        ) from error
    nested = next((loaded[name] for name in _NESTED if isinstance(loaded, dict) and name in loaded), None)
    state = nested if isinstance(nested, dict) else loaded
    if not isinstance(state, dict) or not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(f"{source!r} holds no state dict: names and tensors")
    return {str(name): value for name, value in state.items()}


def fit_names(names: Sequence[str], wanted: Mapping[str, Any]) -> dict[str, str]:
    """Return each name without the prefixes that keep it from being a wanted one."""
    fitted = {name: name for name in names}
    while True:
        stripped = [{name: now.removeprefix(prefix) for name, now in fitted.items()} for prefix in PREFIXES]
        best = max(stripped, key=lambda candidate: _hits(candidate, wanted))
        # Two wrappers, one around the other: the first alone may bring no name nearer.
        changed = best if _hits(best, wanted) > _hits(fitted, wanted) else _drop_common(fitted, stripped, wanted)
        if changed is None:
            return fitted
        fitted = changed


def _drop_common(
    fitted: dict[str, str], stripped: Sequence[dict[str, str]], wanted: Mapping[str, Any]
) -> dict[str, str] | None:
    """Return the names without a prefix that all of them have, where none of them is wanted yet."""
    if _hits(fitted, wanted):
        return None
    return next((names for names in stripped if all(names[name] != now for name, now in fitted.items())), None)


def _hits(names: Mapping[str, str], wanted: Mapping[str, Any]) -> int:
    return sum(name in wanted for name in set(names.values()))


def fit_state(state: dict[str, torch.Tensor], network: nn.Module, head: str, source: str) -> dict[str, torch.Tensor]:
    """Return weights under a network's own names.

    Parameters
    ----------
    state : dict of str to torch.Tensor
        From `read_state`.
    network : torch.nn.Module
        The network, whose names and shapes they must have.
    head : str
        The layer whose weights may have other shapes.
    source : str
        Origin of the weights, for messages: ``weights='file'``.

    Raises
    ------
    CheckpointError
        If they belong to another network: with what is missing, unexpected, or of another shape.
    """
    own = network.state_dict()
    names = fit_names(list(state), own)
    fitted = {names[name]: value for name, value in state.items()}
    # Older torch counted no batches.
    missing = [name for name in own if name not in fitted and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in fitted if name not in own]
    shapes = [
        f"{name} {list(value.shape)} for {list(own[name].shape)}"
        for name, value in fitted.items()
        if name in own and value.shape != own[name].shape and name.rpartition(".")[0] != head
    ]
    problems = [
        f"{kind}: {', '.join(found[:_LISTED])}{f' and {len(found) - _LISTED} more' if len(found) > _LISTED else ''}"
        for kind, found in (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        if found
    ]
    if problems:
        raise CheckpointError(f"{source} are of another network; {'; '.join(problems)}")
    return {name: value.detach().contiguous().clone() for name, value in fitted.items()}


def fit_body(state: dict[str, torch.Tensor], network: nn.Module, head: str, source: str) -> dict[str, torch.Tensor]:
    """Return the weights of a network's first layers, as far as another network has the same ones.

    Layers are taken in their order, whole, up to the first whose names or shapes are others, and without the head.

    Parameters
    ----------
    state : dict of str to torch.Tensor
        Weights of the other network.
    network : torch.nn.Module
        The network that takes them.
    head : str
        The layer that gives its outputs.
    source : str
        Origin of the weights, for messages.

    Raises
    ------
    ConfigurationError
        If they have no layer in common.
    """
    layers: dict[str, dict[str, torch.Tensor]] = {}
    for name, value in network.state_dict().items():
        layers.setdefault(name.rpartition(".")[0], {})[name] = value
    taken: dict[str, torch.Tensor] = {}
    for layer, own in layers.items():
        if layer == head or any(name not in state or state[name].shape != value.shape for name, value in own.items()):
            break
        taken.update({name: state[name].detach().contiguous().clone() for name in own})
    if not taken:
        first = next(iter(layers), "")
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in layers.get(first, {}).items())
        theirs = ", ".join(f"{name} {list(value.shape)}" for name, value in sorted(state.items())[:_LISTED])
        raise ConfigurationError(
            f"the network begins with {shapes}, and {source} with {theirs}; accepted: a network whose first layers "
            "have the same names and shapes"
        )
    return taken
