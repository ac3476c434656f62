"""ONNX of torch's operators whose usual form onnxruntime lacks in float64, or that loses digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset20

#: Its types of operands are narrower than what it takes.
op: Any = opset20


def operators() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return translations of operators for ``torch.onnx.export``."""
    aten = torch.ops.aten
    return {
        aten.softplus.default: _softplus,
        aten.log_sigmoid.default: _log_sigmoid,
        aten.log_sigmoid_forward.default: _log_sigmoid_forward,
    }


def _softplus(self: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """``log(1 + exp(beta x)) / beta`` as ``max(beta x, 0) + log(1 + exp(-|beta x|))``, for any size of ``x``."""
    del threshold  # beyond it the sum is beta x within rounding
    factor = op.CastLike(op.Constant(value_float=beta), self)
    scaled = op.Mul(self, factor)
    return op.Div(op.Add(op.Max(scaled, _zero(self)), _remainder(scaled)), factor)


def _log_sigmoid(self: Any) -> Any:
    """``log(sigmoid(x))`` as ``min(x, 0) - log(1 + exp(-|x|))``."""
    return op.Sub(op.Min(self, _zero(self)), _remainder(self))


def _log_sigmoid_forward(self: Any) -> Any:
    """`_log_sigmoid` with the buffer that torch keeps for gradients."""
    return _log_sigmoid(self), op.Identity(self)


def _remainder(values: Any) -> Any:
    one = op.CastLike(op.Constant(value_float=1.0), values)
    return op.Log(op.Add(one, op.Exp(op.Neg(op.Abs(values)))))


def _zero(values: Any) -> Any:
    return op.CastLike(op.Constant(value_float=0.0), values)
