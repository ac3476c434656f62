"""Networks as ONNX models: scaling, the network, and the decoding of its outputs, in one graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import torch
from torch import nn

from sparkwater.bundle.export.networks.operators import operators
from sparkwater.bundle.graph.builder import OPSET
from sparkwater.conversions.tensors.spec import TensorSpec, parts_of
from sparkwater.errors import ConfigurationError
from sparkwater.gpu.networks.inference import TrainedNetwork, load_network
from sparkwater.gpu.networks.inputs import forward
from sparkwater.gpu.rows.scaling import Scaling, scalings_in

#: From the scaled inputs and the network's outputs to what the graph gives.
Decode = Callable[..., tuple[torch.Tensor, ...]]


class _Scaled(nn.Module):
    """`sparkwater.gpu.rows.scaling.Scaling.apply` as a layer."""

    mean: torch.Tensor
    factor: torch.Tensor

    def __init__(self, scaling: Scaling, spec: TensorSpec) -> None:
        super().__init__()
        self.is_bool, self.is_scaled = spec.dtype == "bool", bool(scaling.mean)
        shape = (1, -1, *(1,) * (len(spec.shape) - 1))[: len(spec.shape) + 1]
        factors = [1 / value for value in scaling.deviation]
        self.register_buffer("mean", torch.tensor(scaling.mean, dtype=torch.float32).view(shape))
        self.register_buffer("factor", torch.tensor(factors, dtype=torch.float32).view(shape))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return scaled float32, or ids as int64."""
        if not self.is_scaled:
            return batch if self.is_bool else batch.to(torch.int64)
        return (batch.to(torch.float32) - self.mean) * self.factor


class _Whole(nn.Module):
    """Layer from the tensors of rows, and offsets where there are some, to the outputs of the graph."""

    def __init__(self, trained: TrainedNetwork, spec: TensorSpec, decode: Decode) -> None:
        super().__init__()
        self.network = load_network(trained)
        self.scalings = nn.ModuleList(
            _Scaled(scaling, part) for scaling, part in zip(scalings_in(trained.scaling), parts_of(spec), strict=True)
        )
        self.decode = decode

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the outputs."""
        count = len(self.scalings)
        inputs = tuple(scale(tensor) for scale, tensor in zip(self.scalings, tensors[:count], strict=True))
        return self.decode(self.network, inputs[0] if count == 1 else inputs, *tensors[count:])


@dataclass(frozen=True)
class Scores:
    """Decoding of a network's outputs.

    Attributes
    ----------
    respond : callable
        From the network's outputs in float32, and offsets where there are some, to what the graph gives.
    """

    respond: Callable[..., tuple[torch.Tensor, ...]]

    def __call__(self, network: nn.Module, inputs: Any, *offsets: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what the graph gives."""
        return self.respond(forward(network, inputs).float(), *offsets)


def network_model(trained: TrainedNetwork, spec: TensorSpec, decode: Decode, offsets: bool = False) -> onnx.ModelProto:
    """Return a network as an ONNX model; its first dimension is the count of rows.

    Inputs are the tensors of a row, of the dtypes of their specs, then float64 offsets; see `input_names`.

    Parameters
    ----------
    trained : TrainedNetwork
        The network, its weights and scaling.
    spec : TensorSpec
        The spec of a row.
    decode : callable
        From the network, its scaled inputs, and offsets where there are some, to the outputs.
    offsets : bool
        Whether rows have offsets.

    Raises
    ------
    ConfigurationError
        If torch can't export it, with the operator.
    """
    parts = parts_of(spec)
    rows = [torch.zeros((2, *part.shape), dtype=getattr(torch, part.dtype)) for part in parts]
    rows += [torch.zeros(2, dtype=torch.float64)] * offsets
    names = input_names(len(rows))
    module = _Whole(trained, spec, decode).eval()
    with torch.no_grad():
        module(*rows)  # what modules keep from their first call, they keep of tensors that have values
    try:
        model = _exported(module, rows, names)
        if not all(output.type.tensor_type.shape.dim[0].dim_param for output in model.graph.output):
            raise ValueError("it takes the number of rows for a plain number, as len(x) gives it; use x.shape[0]")
        return model
    except Exception as error:  # torch has no class for all that can go wrong
        raise ConfigurationError(
            f"the network {trained.entry.name!r} can't be exported to ONNX: {_cause(error)}; a network exports where "
            "torch.onnx.export(dynamo=True) takes its operators, for any number of rows"
        ) from error


def input_names(count: int) -> list[str]:
    """Return the names of a network's inputs."""
    return [f"input{place}" for place in range(count)]


def _exported(module: nn.Module, rows: Sequence[torch.Tensor], names: Sequence[str]) -> onnx.ModelProto:
    count = torch.export.Dim("rows", min=1, max=2**31 - 1)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            tuple(rows),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(names),
            dynamic_shapes=(tuple({0: count} for _ in rows),),
            external_data=False,
            custom_translation_table=operators(),
            verbose=False,
        )
    assert program is not None  # as without dynamo
    model: onnx.ModelProto = program.model_proto
    return model


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep what the exporter logs of its passes from users; errors are raised as well."""
    loggers = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _cause(error: BaseException) -> str:
    """Return the first line of the innermost cause, which names the operator."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
