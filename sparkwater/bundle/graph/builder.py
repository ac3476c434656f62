"""``Graph``: an ONNX graph, built node by node from columns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from sparkwater.bundle.graph.column import Column
from sparkwater.bundle.graph.reachable import Needed, needed_parts
from sparkwater.bundle.graph.splicing import plain_parts
from sparkwater.errors import ConfigurationError, SchemaError

OPSET, ML_OPSET, IR_VERSION = 20, 5, 10
ML = "ai.onnx.ml"

#: The symbolic first dimension of inputs and outputs.
ROWS = "rows"


@dataclass(frozen=True)
class Problem:
    """A reason for which Spark fails at a row, or leaves it out.

    Attributes
    ----------
    reason : str
        The stage, the column and the accepted values.
    skips : bool
        True where the stage leaves the row out (``handleInvalid="skip"``), false where it fails.
    """

    reason: str
    skips: bool


@dataclass(frozen=True)
class _Check:
    mask: str
    guarded: str
    problem: Problem


class Graph:
    """An ONNX graph that is being built.

    Names of tensors are counted, so that the same calls give the same bytes.

    Parameters
    ----------
    inputs : mapping of str to Column
        The rows' columns by name; their tensors are the graph's inputs.
    """

    def __init__(self, inputs: Mapping[str, Column]) -> None:
        self._inputs = dict(inputs)
        self._columns = dict(inputs)
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._known: dict[tuple[Any, ...], str] = {}
        self._checks: list[_Check] = []
        self._taken = {column.tensor for column in inputs.values()}
        self._spliced = 0
        self._facts: dict[str, dict[str, Any]] = {}
        self._declared: dict[str, tuple[Column, dict[str, Any]]] = {}

    @property
    def columns(self) -> dict[str, Column]:
        """All columns by name: inputs, and those published since."""
        return dict(self._columns)

    def column(self, name: str) -> Column:
        """Return a column: an input, or one that an earlier stage published.

        Raises
        ------
        SchemaError
            If there is none.
        """
        if name not in self._columns:
            raise SchemaError(f"there is no column {name!r}; the columns are {', '.join(map(repr, self._columns))}")
        return self._columns[name]

    def publish(self, name: str, column: Column) -> None:
        """Add a column, or put one in the place of another."""
        self._columns[name] = column

    def declare(self, name: str, column: Column, **facts: Any) -> Column:
        """Add an input that a stage describes, such as a picture, or describe one that there is.

        Parameters
        ----------
        name : str
            The column.
        column : Column
            Its tensor is the graph's input.
        **facts
            Entries of the signature; see `remark`.

        Raises
        ------
        ConfigurationError
            If two stages describe it differently.
        """
        known = self._declared.setdefault(name, (column, facts))
        if known != (column, facts):
            raise ConfigurationError(
                f"two stages read column {name!r} in different ways; give each a column of its own"
            )
        self._inputs[name] = self._columns[name] = column
        self._taken.add(column.tensor)
        self.remark(name, **facts)
        return column

    def remark(self, name: str, **facts: Any) -> None:
        """Add entries to the signature of an input or output: values of JSON, such as ``classes`` and ``zone``."""
        self._facts.setdefault(name, {}).update(facts)

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """Entries of the signature, by the column's name."""
        return {name: dict(facts) for name, facts in self._facts.items()}

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the columns that the ``with`` block publishes away at its end; their tensors stay."""
        before = dict(self._columns)
        try:
            yield
        finally:
            self._columns = before

    @overload
    def node(self, op: str, *tensors: str, domain: str = "", outputs: Literal[1] = 1, **attributes: Any) -> str: ...
    @overload
    def node(self, op: str, *tensors: str, domain: str = "", outputs: int, **attributes: Any) -> tuple[str, ...]: ...
    def node(
        self, op: str, *tensors: str, domain: str = "", outputs: int = 1, **attributes: Any
    ) -> str | tuple[str, ...]:
        """Add a node.

        Parameters
        ----------
        op : str
            The operator.
        *tensors : str
            Its inputs; an empty name is one left out.
        domain : str
            The operator's domain; `ML` for ai.onnx.ml.
        outputs : int
            Number of its outputs.
        **attributes : int, float, str, list or numpy.ndarray
            Its attributes; None is one left out.

        Returns
        -------
        str, or tuple of str
            Name of the output; several have a tuple.
        """
        names = tuple(self._new(op) for _ in range(outputs))
        node = helper.make_node(op, tensors, names, domain=domain)
        for name, value in sorted(attributes.items()):
            if value is not None:
                given = _tensor(name, value) if isinstance(value, np.ndarray) else value
                node.attribute.append(helper.make_attribute(name, given))
        self._nodes.append(node)
        return names[0] if outputs == 1 else names

    def constant(self, array: npt.ArrayLike) -> str:
        """Return the name of a tensor of constants; equal arrays are held once."""
        values = np.asarray(array)
        content = tuple(values.ravel().tolist()) if values.dtype.kind in "OU" else values.tobytes()
        key = (values.dtype.kind in "OU" or values.dtype.str, values.shape, content)
        if key not in self._known:
            name = self._new("constant")
            self._constants[name] = _tensor(name, values)
            self._known[key] = name
        return self._known[key]

    def check(self, mask: str, guarded: str, reason: str, *, skips: bool = False) -> str:
        """Mark the rows that a stage refuses, or leaves out.

        Parameters
        ----------
        mask : str
            Tensor of bool, one a row: true where it is refused.
        guarded : str
            Tensor that the stage gives; the check goes along where an output needs it.
        reason : str
            The stage, the column and the accepted values.
        skips : bool
            Whether the stage leaves the row out in place of failing.

        Returns
        -------
        str
            The guarded tensor under another name; what uses it needs the check.
        """
        renamed = self.node("Identity", guarded)
        self._checks.append(_Check(mask, renamed, Problem(reason, skips)))
        return renamed

    def problems(self, outputs: Mapping[str, Column]) -> tuple[Problem, ...]:
        """Return the problems that rows may have on the way to some outputs; number 1 is the first."""
        return tuple(check.problem for check in self._needed(outputs)[1])

    def splice(self, model: onnx.ModelProto, inputs: Mapping[str, str]) -> tuple[str, ...]:
        """Put another model in, with its functions inlined, its names prefixed, and its remarks left out.

        Parameters
        ----------
        model : onnx.ModelProto
            The model, of the same opset.
        inputs : mapping of str to str
            A tensor of the graph for each of its inputs.

        Returns
        -------
        tuple of str
            Its outputs, in its order.

        Raises
        ------
        ConfigurationError
            If its opset is another, or inputs are missing.
        """
        wrong = [f"{one.domain or 'ai.onnx'} {one.version}" for one in model.opset_import if not _accepted(one)]
        if wrong:
            raise ConfigurationError(f"the model's opset is {', '.join(wrong)}; accepted: ai.onnx {OPSET}")
        parts = plain_parts(model, f"part{self._spliced}/")
        missing = [name for name in parts.inputs if name not in inputs]
        if missing:
            raise ConfigurationError(f"the model's inputs {missing} have no tensor; inputs given: {sorted(inputs)}")
        self._spliced += 1
        for name, tensor in parts.inputs.items():
            self._nodes.append(helper.make_node("Identity", [inputs[name]], [tensor]))
        self._nodes.extend(parts.nodes)
        self._constants.update({constant.name: constant for constant in parts.constants})
        return parts.outputs

    def build(self, outputs: Mapping[str, Column], problem: str = "problem") -> onnx.ModelProto:
        """Return the model: the nodes, constants and inputs that its outputs need.

        Parameters
        ----------
        outputs : mapping of str to Column
            Columns by the names that they have as outputs.
        problem : str
            Name of one more output where stages refuse rows: an int64 a row, 0, or a number of `problems`. They are
            in the model's metadata as well, as JSON under ``problems``.

        Raises
        ------
        ConfigurationError
            If an output has the name of an input or of a tensor.
        """
        return self._copied()._build(dict(outputs), problem)

    def _build(self, outputs: dict[str, Column], problem: str) -> onnx.ModelProto:
        needed, checks = self._needed(outputs)
        if checks:
            outputs[problem] = Column(self._number_problems(checks), "number", "int64")
            needed, _ = self._needed(outputs)
        taken = [name for name in outputs if name in self._taken]
        if taken:
            raise ConfigurationError(f"an output can't be named {taken[0]!r}, as an input is; name it differently")
        nodes = [self._nodes[place] for place in needed.nodes]
        nodes += [helper.make_node("Identity", [column.tensor], [name]) for name, column in outputs.items()]
        graph = helper.make_graph(
            nodes,
            "sparkwater",
            [_described(one.tensor, one) for one in self._inputs.values() if one.tensor in needed.tensors],
            [_described(name, column) for name, column in outputs.items()],
            [tensor for name, tensor in self._constants.items() if name in needed.tensors],
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sparkwater")
        if checks:
            reasons = [{"reason": check.problem.reason, "skips": check.problem.skips} for check in checks]
            helper.set_model_props(model, {"problems": json.dumps(reasons)})
        return model

    def _copied(self) -> Graph:
        copied = Graph(self._inputs)
        copied._nodes, copied._constants = list(self._nodes), dict(self._constants)
        copied._known, copied._taken, copied._checks = dict(self._known), set(self._taken), self._checks
        return copied

    def _needed(self, outputs: Mapping[str, Column]) -> tuple[Needed, list[_Check]]:
        """Return what outputs need, and the checks on the way to them; masks need nodes as well."""
        tensors = {column.tensor for column in outputs.values()}
        while True:
            needed = needed_parts(self._nodes, tensors)
            checks = [check for check in self._checks if check.guarded in needed.tensors]
            more = tensors | {check.mask for check in checks}
            if more == tensors:
                return needed, checks
            tensors = more

    def _number_problems(self, checks: list[_Check]) -> str:
        """Return the number of each row's first problem, 0 for none."""
        found = self.node("Cast", checks[-1].mask, to=int(TensorProto.INT64))
        found = self.node("Mul", found, self.constant(np.int64(len(checks))))
        for place in range(len(checks) - 1, 0, -1):
            found = self.node("Where", checks[place - 1].mask, self.constant(np.int64(place)), found)
        return found

    def _new(self, op: str) -> str:
        name = f"{op}_{len(self._taken)}"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


def _accepted(opset: onnx.OperatorSetIdProto) -> bool:
    if opset.domain in ("", "ai.onnx"):
        return bool(opset.version == OPSET)
    return opset.domain != ML or bool(opset.version == ML_OPSET)


def _tensor(name: str, array: npt.NDArray[Any]) -> onnx.TensorProto:
    if array.dtype.kind in "OU":
        texts = [text.encode() for text in array.ravel().tolist()]
        return helper.make_tensor(name, TensorProto.STRING, array.shape, texts)
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)


def _described(name: str, column: Column) -> onnx.ValueInfoProto:
    kind = TensorProto.STRING if column.kind == "string" else helper.np_dtype_to_tensor_dtype(np.dtype(column.dtype))
    return helper.make_tensor_value_info(name, kind, [ROWS, *column.shape])
