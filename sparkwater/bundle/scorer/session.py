"""The graph of a bundle in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkwater.bundle.scorer.model_bytes import check_model
from sparkwater.bundle.scorer.problems import first_problem
from sparkwater.bundle.scorer.signature import Output, Signature
from sparkwater.errors import CheckpointError, ConfigurationError, DataError, first_line

#: dtypes by onnxruntime's names.
_TYPES = {
    "tensor(bool)": "bool",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(string)": "string",
}

#: onnxruntime's option for the folder of tensors in other files.
_FOLDER = "session.model_external_initializers_file_folder_path"


class Session:
    """A graph, ready to compute on the processor.

    Parameters
    ----------
    model : bytes
        The ONNX model. Tensors in other files, which onnxruntime looks for in the process's working directory, are
        refused by `check_model`, whatever the version of onnxruntime.
    signature : Signature
        Inputs and outputs, which must be the graph's own.
    threads : int, optional
        Threads of one run; onnxruntime's choice without it.

    Raises
    ------
    CheckpointError
        If the model is refused, here or by onnxruntime, or the graph has other inputs or outputs.
    """

    def __init__(self, model: bytes, signature: Signature, threads: int | None = None) -> None:
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised
        if threads is not None:
            options.intra_op_num_threads = threads
        options.add_session_config_entry("session.load_model_format", "ONNX")  # never its own, which can be mapped
        try:
            check_model(model)
            with TemporaryDirectory() as nothing:  # in place of the process's working directory
                options.add_session_config_entry(_FOLDER, nothing)
                self._session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has a class for each kind
            raise CheckpointError(
                f"sparkwater with onnxruntime {runtime.__version__} refuses the graph: {first_line(error)}"
            ) from error
        _check("input", self._session.get_inputs(), signature.inputs)
        problem = () if signature.problem is None else (Output(signature.problem, signature.problem, "int64", ()),)
        _check("output", self._session.get_outputs(), (*signature.outputs, *problem))

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str]) -> list[npt.NDArray[Any]]:
        """Return outputs of the graph, by the names of its tensors.

        Raises
        ------
        DataError
            If the graph can't compute them.
        """
        try:
            found = self._session.run(list(outputs), dict(inputs))
        except Exception as error:
            raise DataError(f"the graph can't score these rows: {first_line(error)}") from error
        return [np.asarray(values) for values in found]

    def scored(
        self, inputs: Mapping[str, npt.NDArray[Any]], signature: Signature
    ) -> tuple[list[npt.NDArray[Any]], str | None]:
        """Return all outputs for rows that have no problems; and the first problem, in words, where one has.

        Raises
        ------
        DataError
            If the graph can't compute them.
        """
        names = [each.tensor for each in signature.outputs]
        if signature.problem is None:
            return self.run(inputs, names), None
        *found, numbers = self.run(inputs, [*names, signature.problem])
        return found, first_problem(numbers, signature.problems)


def _check(what: str, given: Sequence[Any], expected: Sequence[Any]) -> None:
    nodes = {node.name: node for node in given}
    named = {each.tensor: each for each in expected}
    if nodes.keys() != named.keys():
        raise CheckpointError(f"the graph has the {what}s {sorted(nodes)}; the signature names {sorted(named)}")
    for name, node in nodes.items():
        shape = [size for size in node.shape[1:] if isinstance(size, int)]
        fits = _TYPES.get(node.type) == named[name].dtype and tuple(shape) == named[name].shape
        if not fits or not node.shape or isinstance(node.shape[0], int):
            raise CheckpointError(
                f"the graph's {what} {name!r} is {node.type} {node.shape}; the signature says {named[name].dtype} of "
                f"shape {named[name].shape} for any number of rows"
            )


def _onnxruntime() -> Any:
    try:
        return import_module("onnxruntime")  # it has no types
    except ImportError as error:
        raise ConfigurationError(
            f"onnxruntime can't be imported ({error}); bundles need it: pip install 'sparkwater[scorer]'"
        ) from error
