"""A bundle in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparkwater.bundle.scorer.pictures import Preprocessing
from sparkwater.bundle.scorer.signature import Input, Output, Signature


def describe(manifest: Mapping[str, Any], signature: Signature, pictures: Mapping[str, Preprocessing]) -> str:
    """Return a bundle as text: the model, inputs, outputs, metrics and versions."""
    versions = manifest.get("versions") or {}
    metrics = manifest.get("metrics") or {}
    lines = [
        f"{manifest.get('model', 'model')}, format {manifest.get('format')}, ONNX opset {manifest.get('opset')}",
        "inputs:",
        *(f"  {_input(each, pictures)}" for each in signature.inputs),
        "outputs:",
        *(f"  {_output(each)}" for each in signature.outputs),
    ]
    if metrics:
        lines += ["metrics:", *(f"  {name}: {value}" for name, value in metrics.items())]
    lines += ["versions:", *(f"  {name}: {value}" for name, value in versions.items())]
    lines += ["files:", *(f"  {name}: {entry.get('bytes'):,} bytes" for name, entry in manifest["files"].items())]
    return "\n".join(lines)


def _input(given: Input, pictures: Mapping[str, Preprocessing]) -> str:
    words = [f"{given.name}: {given.kind}", f"{given.dtype}{list(given.shape)}"]
    if given.kind == "picture":
        words.append(f"resized by {pictures[given.name].resize}")
    if given.kind == "time":
        words.append(f"by the clock of {given.zone}")
    return ", ".join(words)


def _output(given: Output) -> str:
    words = [f"{given.name}: {given.dtype}{list(given.shape)}"]
    names = given.facts.get("classes") or given.facts.get("labels")
    if names:
        listed = ", ".join(map(str, names[:10]))
        words.append(f"of {listed}{', ...' if len(names) > 10 else ''}")
    return ", ".join(words)
