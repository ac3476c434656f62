"""Documents of a bundle: signature, preprocessing, manifest."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import onnx
from onnx import helper

from sparkwater import __version__
from sparkwater.bundle.export.outputs import stages_of
from sparkwater.bundle.format import FORMAT, MISSING_TEXT
from sparkwater.bundle.graph.builder import IR_VERSION, ML_OPSET, OPSET, Graph
from sparkwater.bundle.graph.column import Column
from sparkwater.stacking.scores import ENSEMBLE
from sparkwater.stacking.summary import EnsembleSummary

#: Tolerances of outputs, absolute and relative: where a network computes in float32, and where all is in float64.
_OF_NETWORKS, _EXACT = (1e-4, 1e-4), (1e-9, 1e-9)

#: Packages whose versions the manifest names.
_PACKAGES = ("numpy", "onnx", "onnxruntime", "onnxscript", "pillow", "pyarrow", "pyspark", "torch")

#: Packages that are imported by another name.
_MODULES = {"pillow": "PIL"}

#: The way of a picture, for those who repeat it in another language.
STEPS = (
    "Decode JPEG, PNG, BMP, GIF, TIFF or WebP; of an animation the first picture. A JPEG whose sides are both at least "
    "4 times as large as the result may be decoded at a half, a quarter or an eighth of its size by libjpeg's scaling, "
    "never below twice the result on a side (Pillow's draft mode).",
    "Apply EXIF orientation. Ignore colour profiles (ICC). Drop alpha; the colours beneath it stay. 16-bit pixels keep "
    "their upper 8 bits.",
    "Where channels is 1: luma = (19595 R + 38470 G + 7471 B + 32768) >> 16. Where it is 3: red, green, blue; grey "
    "pictures have it three times.",
    "Resize by 'stretch' (both sides to the result's), 'fit' (by the smaller ratio, sides rounded half to even and at "
    "least 1, centred on black, offsets rounded down) or 'crop' (the centre with the result's ratio, then stretched). "
    "A picture of the result's size stays as it is.",
    "Resizing is Pillow's bilinear filter with antialiasing: a triangle of half-width max(scale, 1) around (i + 0.5) * "
    "scale, weights normalized and rounded to 22 bits, first along rows, then along columns, each rounded to 8 bits.",
    "The tensor is uint8, channels first: (channels, height, width). Scaling is in the graph.",
)


def signature_of(graph: Graph, built: onnx.ModelProto, outputs: Mapping[str, Column]) -> dict[str, Any]:
    """Return the signature: inputs, outputs, and the problems that rows may have."""
    facts, problems = graph.facts, graph.problems(outputs)
    is_network = any(entry.get("network") for entry in facts.values())
    signature: dict[str, Any] = {
        "inputs": [_input(given, facts.get(given.name, {})) for given in built.graph.input],
        "outputs": [_output(name, column, facts.get(name, {}), is_network) for name, column in outputs.items()],
    }
    if problems:
        signature["problem"] = "problem"
        signature["problems"] = [{"reason": each.reason, "skips": each.skips} for each in problems]
    return signature


def preprocessing_of(graph: Graph, signature: Mapping[str, Any]) -> dict[str, Any]:
    """Return how pictures become tensors, in words and as settings by input."""
    facts = graph.facts
    pictures = {}
    for given in signature["inputs"]:
        if given["kind"] == "picture":
            channels, height, width = given["shape"]
            known = {name: facts[given["name"]][name] for name in ("resize", "max_pixels")}
            pictures[given["name"]] = {"height": height, "width": width, "channels": channels, **known}
    return {"pictures": pictures, **({"steps": list(STEPS)} if pictures else {})}


def manifest_of(model: Any, rows: int, licence: str | None) -> dict[str, Any]:
    """Return the manifest without its files."""
    summary = summary_of(model)
    return {
        "format": FORMAT,
        "model": " + ".join(type(stage).__name__ for stage in stages_of(model)),
        "ir": IR_VERSION,
        "opset": OPSET,
        "ml_opset": ML_OPSET,
        "licence": licence,
        "rows": {"vectors": rows, **_rows(summary)},
        "metrics": _metrics(summary),
        "versions": {"python": platform.python_version(), "sparkwater": __version__, **_versions()},
    }


def summary_of(model: Any) -> Any:
    """Return the training summary of the last stage that has one of this package's, or None."""
    for stage in reversed(list(stages_of(model))):
        fitted = getattr(stage, "fitted", None)
        if fitted is not None:
            return fitted.summary
    return None


def _input(given: onnx.ValueInfoProto, facts: Mapping[str, Any]) -> dict[str, Any]:
    kind = given.type.tensor_type
    is_text = kind.elem_type == onnx.TensorProto.STRING
    dtype = "string" if is_text else str(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    shape = [dim.dim_value for dim in kind.shape.dim][1:]
    missing = {"missing": MISSING_TEXT if is_text else "NaN"} if not shape else {}
    return {
        "name": given.name,
        "tensor": given.name,
        "kind": "string" if is_text else _kind(dtype, shape),
        "dtype": dtype,
        "shape": shape,
        **missing,
        **facts,
    }


def _kind(dtype: str, shape: list[int]) -> str:
    if not shape:
        return "number"
    return "vector" if len(shape) == 1 and dtype == "float64" else "tensor"


def _output(name: str, column: Column, facts: Mapping[str, Any], is_network: bool) -> dict[str, Any]:
    absolute, relative = _OF_NETWORKS if is_network else _EXACT
    return {
        "name": name,
        "tensor": name,
        "dtype": "string" if column.kind == "string" else column.dtype,
        "shape": list(column.shape),
        "absolute": absolute,
        "relative": relative,
        **{key: value for key, value in facts.items() if key != "network"},
    }


def _rows(summary: Any) -> dict[str, int]:
    if summary is None:
        return {}
    if isinstance(summary, EnsembleSummary):
        return {"trained": summary.rows}
    return {"trained": summary.numRows, "validated": summary.numValidationRows, "skipped": summary.numSkipped}


def _metrics(summary: Any) -> dict[str, float]:
    """Return metrics: of the model's epoch, on rows to validate where there are any; of an ensemble, out of fold."""
    if isinstance(summary, EnsembleSummary):
        return {f"out-of-fold {summary.metrics[0]}": one.value for one in summary.scores if one.learner == ENSEMBLE}
    if summary is None or not summary.records:
        return {}
    record = summary.records[-1 if summary.bestEpoch is None else summary.bestEpoch]
    prefix, values = ("validation ", record.validation) if record.validation else ("training ", record.training)
    return {prefix + name: value for name, value in values.items() if value is not None}


def _versions() -> dict[str, str]:
    installed = [name for name in _PACKAGES if find_spec(_MODULES.get(name, name)) is not None]
    return {name: version(name) for name in installed}
