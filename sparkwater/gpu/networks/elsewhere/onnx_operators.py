"""Operators of ONNX as torch modules."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from sparkwater.gpu.networks.elsewhere.onnx_given import Given
from sparkwater.gpu.networks.elsewhere.onnx_layers import (
    BatchNormalization,
    Function,
    Padded,
    WithOperand,
    concatenate,
    cut,
    gather,
    reshape,
    same_padding,
    squeeze,
    unsqueeze,
)

#: Makes a node's module.
Maker = Callable[[Given], nn.Module]

_CONVOLUTIONS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_MAXIMA = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_MEANS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


def make_module(given: Given) -> nn.Module:
    """Return the module of a node.

    Raises
    ------
    ConfigurationError
        If it is used in a way that isn't supported.
    """
    return OPERATORS[given.node.op](given)


def _convolution(given: Given) -> nn.Module:
    weight, bias = given.learned(1), given.learned(2) if given.has(2) else None
    kernel = list(weight.shape[2:])
    if len(kernel) not in _CONVOLUTIONS:
        raise given.refusal(f"has {len(kernel)} axes; accepted: 1 to 3")
    strides, dilations = given.attribute("strides", [1] * len(kernel)), given.attribute("dilations", [1] * len(kernel))
    groups = given.attribute("group", 1)
    symmetric, padding = _padding(given, kernel, strides, dilations)
    layer: nn.Module = _CONVOLUTIONS[len(kernel)](
        weight.shape[1] * groups,
        weight.shape[0],
        kernel,
        stride=strides,
        padding=symmetric,
        dilation=dilations,
        groups=groups,
        bias=bias is not None,
    )
    _fill(layer, weight=weight, bias=bias)
    return layer if padding is None else Padded(layer, padding)


def _padding(
    given: Given, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[Any, Callable[[Sequence[int]], list[int]] | None]:
    """Return pads that are the same on both sides; or none of those, and a function of the maps' sizes."""
    none, way = [0] * len(kernel), given.attribute("auto_pad", "NOTSET")
    if way in ("SAME_UPPER", "SAME_LOWER"):
        return none, same_padding(kernel, strides, dilations, way == "SAME_UPPER")
    pads = given.attribute("pads", [0] * 2 * len(kernel)) if way == "NOTSET" else [0] * 2 * len(kernel)
    before, after = pads[: len(kernel)], pads[len(kernel) :]
    if before == after:
        return before, None
    fixed = [size for pair in zip(reversed(before), reversed(after), strict=True) for size in pair]
    return none, lambda _: fixed


def _fill(layer: nn.Module, **tensors: torch.Tensor | None) -> None:
    for name, value in tensors.items():
        if value is not None:
            getattr(layer, name).data = value.clone()


def _normalisation(given: Given) -> nn.Module:
    scale, bias, mean, variance = (given.learned(place) for place in range(1, 5))
    # torch's momentum is the share of the new statistics.
    momentum = 1 - given.attribute("momentum", 0.9)
    layer = BatchNormalization(len(scale), eps=given.attribute("epsilon", 1e-5), momentum=momentum)
    _fill(layer, weight=scale, bias=bias, running_mean=mean, running_var=variance)
    return layer


def _linear(given: Given) -> nn.Module:
    if given.attribute("transA", 0):
        raise given.refusal("has transA=1; accepted: 0")
    weight = given.learned(1) * given.attribute("alpha", 1.0)
    weight = weight if given.attribute("transB", 0) else weight.T
    bias = given.learned(2).reshape(-1) * given.attribute("beta", 1.0) if given.has(2) else None
    if bias is not None and len(bias) != len(weight):
        bias = bias.expand(len(weight))
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    _fill(layer, weight=weight.contiguous(), bias=bias)
    return layer


def _product(given: Given) -> nn.Module:
    weight = given.weight(1)
    if weight is None:
        return Function("MatMul", torch.matmul)
    if weight.dim() != 2:
        raise given.refusal(f"has weights of {weight.dim()} axes; accepted: 2")
    layer = nn.Linear(weight.shape[0], weight.shape[1], bias=False)
    _fill(layer, weight=weight.T.contiguous())
    return layer


def _arithmetic(function: Callable[..., Any]) -> Maker:
    def make(given: Given) -> nn.Module:
        for place in (0, 1):
            operand = given.weight(place)
            if operand is not None:
                return WithOperand(function, operand, first=place == 0)
        name = given.node.op
        for place in (0, 1):
            if given.is_fixed(place):
                return Function(name, _with_number(given, function, place))
        return Function(name, lambda *values: reduce(function, values))

    return make


def _with_number(given: Given, function: Callable[..., Any], place: int) -> Callable[[Any], Any]:
    fixed = given.fixed_array(place)
    if fixed.size != 1:
        raise given.refusal("has a fixed operand of several whole numbers; accepted: one")
    number = fixed.reshape(-1)[0].item()
    return (lambda x: function(number, x)) if place == 0 else (lambda x: function(x, number))


def _pool(layers: dict[int, Any], means: bool) -> Maker:
    def make(given: Given) -> nn.Module:
        kernel = given.attribute("kernel_shape")
        ones = [1] * len(kernel)
        strides, dilations = given.attribute("strides", ones), given.attribute("dilations", ones)
        counts = not means or bool(given.attribute("count_include_pad", 0))
        symmetric, padding = _padding(given, kernel, strides, dilations)
        settings: dict[str, Any] = {"count_include_pad": counts} if means else {"dilation": dilations}
        if means and dilations != ones:
            raise given.refusal("has dilations; accepted: none")
        if any(2 * pad > size for pad, size in zip(symmetric, kernel, strict=True)):
            symmetric, padding = _apart(symmetric)
        ceil = bool(given.attribute("ceil_mode", 0))
        layer = layers[len(kernel)](kernel, stride=strides, padding=symmetric, ceil_mode=ceil, **settings)
        return layer if padding is None else Padded(layer, padding, 0.0 if means else -math.inf, counts)

    return make


def _apart(pads: Sequence[int]) -> tuple[list[int], Callable[[Sequence[int]], list[int]]]:
    fixed = [pad for pad in reversed(pads) for _ in (0, 1)]
    return [0] * len(pads), lambda _: fixed


def _over_maps(function: Callable[..., torch.Tensor]) -> Maker:
    def make(given: Given) -> nn.Module:
        return Function(given.node.op, lambda x: function(x, dim=tuple(range(2, x.dim())), keepdim=True))

    return make


def _reduction(function: Callable[..., torch.Tensor]) -> Maker:
    def make(given: Given) -> nn.Module:
        axes, keeps = given.fixed(1, "axes"), bool(given.attribute("keepdims", 1))
        if not axes or 0 in axes:
            raise given.refusal("goes over the rows; accepted: other axes")
        return Function(given.node.op, lambda x: function(x, dim=tuple(axes), keepdim=keeps))

    return make


def _reshape(given: Given) -> nn.Module:
    copies = not given.attribute("allowzero", 0)
    if given.has(1) and not given.is_fixed(1):
        return Function("Reshape", partial(reshape, copies=copies))
    sizes = given.fixed(1, "shape")
    if given.rows is not None and sizes and sizes[0] == given.rows:
        # Made for so many rows, and it gets others. Another size that is open leaves the rows as they are; beside it
        # no size of 0 is meant.
        copies, sizes = (True, [0, *sizes[1:]]) if -1 in sizes else (copies, [-1, *sizes[1:]])
    return Function("Reshape", lambda x: reshape(x, sizes, copies))


def _flatten(given: Given) -> nn.Module:
    axis = given.attribute("axis", 1)
    if axis == 1:
        return nn.Flatten()
    if axis <= 0:
        raise given.refusal(f"has axis={axis}; accepted: 1 and above")
    return Function("Flatten", lambda x: x.reshape(math.prod(x.shape[:axis]), -1))


def _transpose(given: Given) -> nn.Module:
    order = given.attribute("perm")
    if not order or order[0] != 0:
        raise given.refusal(f"has perm={order}; accepted: those that leave the rows first")
    return Function("Transpose", lambda x: x.permute(order))


def _concatenation(given: Given) -> nn.Module:
    axis = given.attribute("axis", 1)
    fixed = {place: tuple(given.fixed_array(place).tolist()) for place in range(len(given.node.inputs))
             if given.is_fixed(place) and given.constants[given.node.inputs[place]].ndim == 1}  # fmt: skip
    count = len(given.node.inputs)

    def join(*values: Any) -> Any:
        if fixed and isinstance(values[0], torch.Tensor):
            raise given.refusal("joins what is computed with fixed values; accepted: what is computed")
        rest = iter(values)
        return concatenate([fixed[place] if place in fixed else next(rest) for place in range(count)], axis)

    return Function("Concat", join)


def _pad(given: Given) -> nn.Module:
    pads, way = given.fixed(1, "pads"), given.attribute("mode", "constant")
    value, axes = given.fixed(2, "value", 0.0), given.fixed(3, "axes")
    if axes is not None or way not in ("constant", "reflect", "edge"):
        raise given.refusal(f"has mode={way!r} or axes; accepted: constant, reflect and edge, of all axes")
    rank = len(pads) // 2
    both = [size for axis in reversed(range(rank)) for size in (pads[axis], pads[axis + rank])]
    if any(both[-2:]):
        raise given.refusal("pads rows; accepted: other axes")
    mode = {"edge": "replicate"}.get(way, way)
    if mode != "constant":
        while len(both) > 2 and not any(both[-2:]):
            both = both[:-2]
    number = value[0] if isinstance(value, list) else value
    return Function("Pad", lambda x: F.pad(x, both, mode, number if mode == "constant" else None))


def _clip(given: Given) -> nn.Module:
    low, high = given.fixed(1, "min"), given.fixed(2, "max")
    return Function("Clip", lambda x: x.clamp(low, high))


def _response(given: Given) -> nn.Module:
    size = given.attribute("size")
    if size % 2 == 0:
        raise given.refusal(f"has size={size}; accepted: odd ones")
    return nn.LocalResponseNorm(
        size, given.attribute("alpha", 1e-4), given.attribute("beta", 0.75), given.attribute("bias", 1.0)
    )


def _softmax(kind: type[nn.Module]) -> Maker:
    def make(given: Given) -> nn.Module:
        flattens = given.opset < 13
        axis = given.attribute("axis", 1 if flattens else -1)
        if axis == 0:
            raise given.refusal("goes over the rows; accepted: other axes")
        if not flattens:
            return kind(dim=axis)
        # Older ones go over all axes from this one on.
        layer = kind(dim=-1)
        return Function(given.node.op, lambda x: layer(x.flatten(axis)).reshape(x.shape))

    return make


def _cast(given: Given) -> nn.Module:
    if given.attribute("to") not in _NUMBERS:
        raise given.refusal(f"has to={given.attribute('to')}; accepted: numbers")
    kind = _NUMBERS[given.attribute("to")]
    return Function("Cast", lambda x: x.to(kind) if isinstance(x, torch.Tensor) else x)


#: torch's types by ONNX's numbers; all of floating point are float32 here.
_NUMBERS = {1: torch.float32, 10: torch.float32, 11: torch.float32, 6: torch.int32, 7: torch.int64}


def _shape(given: Given) -> nn.Module:
    start, end = given.attribute("start", 0), given.attribute("end")
    return Function("Shape", lambda x: tuple(x.shape[start:end]))


def _gather(given: Given) -> nn.Module:
    places, axis = given.fixed(1, "indices"), given.attribute("axis", 0)
    return Function("Gather", lambda x: gather(x, places, axis))


def _slice(given: Given) -> nn.Module:
    starts, ends = given.fixed(1, "starts"), given.fixed(2, "ends")
    axes = given.fixed(3, "axes") or list(range(len(starts)))
    steps = given.fixed(4, "steps") or [1] * len(starts)
    if min(steps) < 1:
        raise given.refusal(f"has steps={steps}; accepted: 1 and above")
    return Function("Slice", lambda x: cut(x, starts, ends, axes, steps))


def _slope(given: Given) -> nn.Module:
    return WithOperand(lambda x, slope: torch.where(x < 0, slope * x, x), given.learned(1), first=False)


def _first(given: Given) -> nn.Module:
    given.taken.update(range(1, len(given.node.inputs)))
    return nn.Identity()


def _plain(function: Callable[..., Any]) -> Maker:
    return lambda given: Function(given.node.op, function)


def _divide(one: Any, other: Any) -> Any:
    return one / other if isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor) else one // other


def _bounded(side: str, one: Any, other: Any) -> torch.Tensor:
    values, bound = (one, other) if isinstance(one, torch.Tensor) else (other, one)
    bounded: torch.Tensor = values.clamp(**{side: bound})
    return bounded


#: What makes the module of each operator.
OPERATORS: dict[str, Maker] = {
    "Abs": _plain(torch.abs),
    "Add": _arithmetic(operator.add),
    "AveragePool": _pool(_MEANS, means=True),
    "BatchNormalization": _normalisation,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concatenation,
    "Conv": _convolution,
    "Div": _arithmetic(_divide),
    "Dropout": _first,
    "Elu": lambda given: nn.ELU(given.attribute("alpha", 1.0)),
    "Erf": _plain(torch.erf),
    "Exp": _plain(torch.exp),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": lambda given: nn.GELU(given.attribute("approximate", "none")),
    "Gemm": _linear,
    "GlobalAveragePool": _over_maps(torch.mean),
    "GlobalMaxPool": _over_maps(torch.amax),
    "HardSigmoid": lambda given: Function(
        "HardSigmoid",
        lambda x: (given.attribute("alpha", 0.2) * x + given.attribute("beta", 0.5)).clamp(0, 1),
    ),
    "HardSwish": lambda _: nn.Hardswish(),
    "Identity": lambda _: nn.Identity(),
    "LRN": _response,
    "LeakyRelu": lambda given: nn.LeakyReLU(given.attribute("alpha", 0.01)),
    "LogSoftmax": _softmax(nn.LogSoftmax),
    "MatMul": _product,
    "Max": _arithmetic(partial(_bounded, "min")),
    "MaxPool": _pool(_MAXIMA, means=False),
    "Min": _arithmetic(partial(_bounded, "max")),
    "Mul": _arithmetic(operator.mul),
    "Neg": _plain(torch.neg),
    "PRelu": _slope,
    "Pad": _pad,
    "Pow": _arithmetic(operator.pow),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMean": _reduction(torch.mean),
    "ReduceSum": _reduction(torch.sum),
    "Relu": lambda _: nn.ReLU(),
    "Reshape": _reshape,
    "Shape": _shape,
    "Sigmoid": lambda _: nn.Sigmoid(),
    "Slice": _slice,
    "Softmax": _softmax(nn.Softmax),
    "Softplus": lambda _: nn.Softplus(),
    "Sqrt": _plain(torch.sqrt),
    "Squeeze": lambda given: Function("Squeeze", partial(squeeze, axes=given.fixed(1, "axes"))),
    "Sub": _arithmetic(operator.sub),
    "Sum": _arithmetic(operator.add),
    "Tanh": lambda _: nn.Tanh(),
    "Transpose": _transpose,
    "Unsqueeze": lambda given: Function("Unsqueeze", partial(unsqueeze, axes=given.fixed(1, "axes"))),
}
