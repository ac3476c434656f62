"""The outcome of one rank's training, as a value that travels to the driver."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from sparkwater.conversions.tensors.spec import PackedSpec, TensorSpec
from sparkwater.gpu.records import EpochRecord
from sparkwater.gpu.rows.scaling import AnyScaling, PackedScaling, Scaling
from sparkwater.gpu.training.calibration import Calibration
from sparkwater.gpu.training.timings import Timings


@dataclass(frozen=True)
class Failure:
    """The failure of a rank.

    Attributes
    ----------
    error_type, message, remote_traceback : str
        Name, message and traceback of the exception.
    epoch, step : int or None
        The epoch and the step, counted from 0; None before the first step.
    first : bool
        False where it followed from another rank's failure.
    """

    error_type: str
    message: str
    remote_traceback: str
    epoch: int | None
    step: int | None
    first: bool


@dataclass(frozen=True)
class Outcome:
    """The outcome of one rank.

    Attributes
    ----------
    rank : int
        The rank, counted from 0.
    host : str
        Its host.
    device : str
        The device that it computed on.
    history : list of EpochRecord
        One record an epoch.
    scaling : Scaling or PackedScaling or None
        Scaling of the network's inputs.
    failure : Failure or None
        None where it trained to the end.
    rows, held_out, weightless, skipped : int
        Rows trained in each epoch, rows to validate on, rows left out for their weight of 0, and rows
        that couldn't be used.
    skipped_listed : list of (str, str)
        The first rows left out: name and reason.
    stopped_by : str or None
        The Param that ended the training; see `sparkwater.gpu.training.state`.
    best_epoch : int or None
        The epoch whose weights these are, where the best were kept.
    resumed_at : int
        The steps that were done already when this training went on from a checkpoint.
    lost_checkpoints : list of str
        Reasons of failed writes of checkpoints; rank 0's only.
    weights : bytes
        Safetensors; rank 0's only.
    weights_digest : str
        SHA-256 of this rank's weights; the same on all ranks.
    details : dict of str to nested lists of float
        `sparkwater.gpu.tasks.Sums.details` of the rows that judge, after the epoch of these weights; rank 0's only.
    calibration : Calibration or None
        The temperature of a classification, where it is calibrated; the same on all ranks.
    resolved : dict
        Choices of this rank: the names of Params and of other settings, and values that JSON holds.
    began : float
        Start of the rank, in seconds since the epoch.
    timings : Timings
        Seconds by kind of work.
    """

    rank: int
    host: str
    failure: Failure | None = None
    device: str = ""
    rows: int = 0
    held_out: int = 0
    weightless: int = 0
    skipped: int = 0
    skipped_listed: list[tuple[str, str]] = field(default_factory=list)
    history: list[EpochRecord] = field(default_factory=list)
    stopped_by: str | None = None
    best_epoch: int | None = None
    resumed_at: int = 0
    lost_checkpoints: list[str] = field(default_factory=list)
    scaling: AnyScaling | None = None
    weights: bytes = b""
    weights_digest: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    resolved: dict[str, Any] = field(default_factory=dict)
    began: float = 0.0
    timings: Timings = field(default_factory=Timings)

    def to_json(self) -> str:
        """Return all but the weights as JSON."""
        fields = asdict(self)
        del fields["weights"]
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str, weights: bytes) -> Outcome:
        """Return the outcome that `to_json` wrote, with its weights."""
        fields: dict[str, Any] = json.loads(text)
        failure, scaling = fields.pop("failure"), fields.pop("scaling")
        timings, calibration = fields.pop("timings"), fields.pop("calibration")
        history = [EpochRecord.from_dict(record) for record in fields.pop("history")]
        listed = [(name, reason) for name, reason in fields.pop("skipped_listed")]
        return cls(
            **fields,
            failure=Failure(**failure) if failure else None,
            scaling=_scaling(scaling) if scaling else None,
            history=history,
            skipped_listed=listed,
            weights=weights,
            timings=Timings(**timings),
            calibration=Calibration(**calibration) if calibration else None,
        )


def _scaling(fields: dict[str, Any]) -> AnyScaling:
    if "parts" not in fields:
        return _channels(fields)
    spec = PackedSpec([TensorSpec(part["dtype"], part["shape"]) for part in fields["spec"]["parts"]])
    return PackedScaling(spec, tuple(map(_channels, fields["parts"])))


def _channels(fields: dict[str, Any]) -> Scaling:
    return Scaling(tuple(fields["mean"]), tuple(fields["deviation"]))
