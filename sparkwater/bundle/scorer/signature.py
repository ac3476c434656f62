"""The signature of a bundle: its inputs and outputs by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sparkwater.bundle.format import DTYPES, KINDS
from sparkwater.errors import CheckpointError


@dataclass(frozen=True)
class Input:
    """A column that is scored.

    Attributes
    ----------
    name : str
        The column.
    tensor : str
        The graph's input.
    kind : str
        One of `sparkwater.bundle.format.KINDS`.
    dtype : str
        dtype of the graph's input.
    shape : tuple of int
        Shape of a row; ``()`` for a single value.
    zone : str
        Time zone of the clock that instants are read by.
    """

    name: str
    tensor: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    zone: str = "UTC"


@dataclass(frozen=True)
class Output:
    """A column that scoring gives.

    Attributes
    ----------
    name : str
        The column.
    tensor : str
        The graph's output.
    dtype : str
        Its dtype.
    shape : tuple of int
        Shape of a row.
    absolute, relative : float
        Tolerance: the values of test vectors are met within ``absolute + relative * abs(value)``.
    facts : dict
        What else the signature says of it, such as the classes of probabilities.
    """

    name: str
    tensor: str
    dtype: str
    shape: tuple[int, ...]
    absolute: float = 0.0
    relative: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """A reason for which a row isn't scored.

    Attributes
    ----------
    reason : str
        The stage, the column and the accepted values.
    skips : bool
        Whether the row's outputs are missing, in place of an error.
    """

    reason: str
    skips: bool


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a bundle.

    Attributes
    ----------
    inputs : tuple of Input
        In the order of the graph.
    outputs : tuple of Output
        In the order of the graph.
    problems : tuple of Problem
        Problems that a row may have, by the numbers that the graph gives, from 1 on.
    problem : str or None
        The graph's output of those numbers; None where rows have none.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    problems: tuple[Problem, ...] = ()
    problem: str | None = None


def read_signature(fields: Mapping[str, Any]) -> Signature:
    """Return the signature that a JSON object holds.

    Raises
    ------
    CheckpointError
        If it is none.
    """
    try:
        inputs, outputs = tuple(map(_input, fields["inputs"])), tuple(map(_output, fields["outputs"]))
        if not inputs or not outputs:
            raise ValueError("no inputs or no outputs")
        for names in ([each.name for each in inputs], [each.name for each in outputs]):
            if len(set(names)) < len(names):
                raise ValueError(f"a name twice in {names}")
        problems = tuple(Problem(str(each["reason"]), bool(each["skips"])) for each in fields.get("problems", []))
        problem = str(fields["problem"]) if problems else None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"the signature is damaged: {error!r}") from error
    return Signature(inputs, outputs, problems, problem)


def _input(fields: Mapping[str, Any]) -> Input:
    if fields["kind"] == "time":
        ZoneInfo(str(fields.get("zone", "UTC")))  # it has to be known here
    return Input(
        name=str(fields["name"]),
        tensor=str(fields["tensor"]),
        kind=_one_of(fields["kind"], KINDS),
        dtype=_one_of(fields["dtype"], DTYPES),
        shape=_shape(fields["shape"]),
        zone=str(fields.get("zone", "UTC")),
    )


def _output(fields: Mapping[str, Any]) -> Output:
    known = {"name", "tensor", "dtype", "shape", "absolute", "relative"}
    return Output(
        name=str(fields["name"]),
        tensor=str(fields["tensor"]),
        dtype=_one_of(fields["dtype"], DTYPES),
        shape=_shape(fields["shape"]),
        absolute=_tolerance(fields.get("absolute", 0.0)),
        relative=_tolerance(fields.get("relative", 0.0)),
        facts={name: value for name, value in fields.items() if name not in known},
    )


def _tolerance(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError(f"tolerance {value!r}")
    return float(value)


def _one_of(value: Any, accepted: tuple[str, ...]) -> str:
    if value not in accepted:
        raise ValueError(f"{value!r} is none of {', '.join(accepted)}")
    return str(value)


def _shape(sizes: Any) -> tuple[int, ...]:
    if not isinstance(sizes, list) or any(type(size) is not int or size < 1 for size in sizes):
        raise ValueError(f"shape {sizes!r}")
    return tuple(sizes)
