"""Files of models and checkpoints with bytes that were changed: an error of our own each, and nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
import safetensors.torch
import torch

from sparkwater.errors import CheckpointError
from sparkwater.gpu.networks.state_files import read_state
from sparkwater.ml.fitted.files import parse_description

MODEL = {
    "network": {"name": "lenet", "arguments": {}, "head": ""},
    "inputs": [{"dtype": "uint8", "shape": [1, 16, 16], "mean": [60.0], "deviation": [30.0]}],
    "classes": [0.0, 1.0],
    "classWeights": [],
    "weightsSha256": "0" * 64,
}


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Return the bytes with a few of them changed, cut off, doubled or inserted."""
    changed = bytearray(content)
    for _ in range(dice.randint(1, 3)):
        place = dice.randrange(len(changed))
        kind = dice.randrange(4)
        if kind == 0:
            changed[place] = dice.randrange(256)
        elif kind == 1:
            del changed[place : place + dice.randint(1, 30)]
        elif kind == 2:
            changed[place:place] = changed[max(0, place - 20) : place]
        else:
            changed[place:place] = dice.choice([b"null", b"-1", b"1e999", b"[]", b"{}", b"\x00", b"\xff" * 8, b'""'])
        changed = changed or bytearray(b"x")
    return bytes(changed)


def weights(content: bytes) -> None:
    read_state(content, "file")


def description(content: bytes) -> None:
    parse_description(content, "model")


@pytest.mark.parametrize(
    ("read", "content"),
    [
        (weights, safetensors.torch.save({"fc.weight": torch.arange(6.0).view(2, 3), "fc.bias": torch.zeros(2)})),
        (description, json.dumps(MODEL).encode()),
    ],
    ids=["weights", "description"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_five_thousand_mutated_files_are_read_or_refused(read: Callable[[bytes], None], content: bytes) -> None:
    dice, refused = random.Random(7), 0
    for _ in range(5000):
        try:
            read(mutated(content, dice))
        except CheckpointError:  # noqa: PERF203 - each file for itself
            refused += 1
    assert refused > 500
