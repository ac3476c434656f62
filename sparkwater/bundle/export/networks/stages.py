"""Models of networks in a graph: predictions, reconstructions, deep features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from sparkwater.bundle.export.networks.feature_inputs import cast, feature_tensor, offset_tensor
from sparkwater.bundle.export.networks.responses import response_of, with_task
from sparkwater.bundle.export.networks.tables import encoded_table
from sparkwater.bundle.export.networks.torch_graphs import Decode, Scores, input_names, network_model
from sparkwater.bundle.export.registry import emits
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import Column, string
from sparkwater.conversions.tensors.spec import parts_of
from sparkwater.gpu.inspection.cuts import Cut, check_cuts, find_cuts, read_cuts
from sparkwater.gpu.networks.inference import load_network
from sparkwater.gpu.networks.inputs import forward
from sparkwater.gpu.tasks import ReconstructionTask


@emits(
    "sparkwater.ml.image_classifier_model.ImageClassifierModel",
    "sparkwater.ml.image_regressor_model.ImageRegressorModel",
    "sparkwater.ml.deep_learning_classifier_model.DeepLearningClassifierModel",
    "sparkwater.ml.deep_learning_regressor_model.DeepLearningRegressorModel",
)
def emit_predictions(stage: Any, graph: Graph) -> None:
    """Add a network that learned labels, with its predictions."""
    task = stage.fitted.trained.task
    response = response_of(task)
    offset = stage.getOffsetCol()
    tensors = _splice(stage, graph, Scores(with_task(task, response)), offset)
    for (param, kind, shape), tensor in zip(response.outputs, tensors, strict=True):
        name = stage.getOrDefault(stage.getParam(param))
        if kind == "flags":
            column = Column(tensor, "tensor", "bool", shape)
        else:
            column = Column(tensor, "vector" if kind == "vector" else "number", "float64", shape)
        _publish(graph, name, column, **response.facts.get(param, {}))
        if param == "predictionCol" and kind == "number":
            _publish_labels(stage, graph, task, tensor)


@emits("sparkwater.ml.autoencoder_model.AutoEncoderModel")
def emit_reconstruction(stage: Any, graph: Graph) -> None:
    """Add an autoencoder, with errors, anomalies and rebuilt rows where they are asked for."""
    trained = stage.fitted.trained
    decode = _Reconstruction(trained.task, trained.scaling, trained.shape)
    error, errors, rows = _splice(stage, graph, decode, None)
    _publish(graph, stage.getReconstructionErrorCol(), Column(error, "number", "float64"))
    _publish(graph, stage.getErrorsCol(), Column(errors, "vector", "float64", (trained.task.size,)))
    _publish(graph, stage.getReconstructionCol(), Column(rows, "tensor", "float32", trained.shape))
    if trained.task.threshold is not None:
        above = graph.node("Greater", error, graph.constant(np.float64(trained.task.threshold)))
        _publish(graph, stage.getPredictionCol(), Column(cast(graph, above, "float64"), "number", "float64"))


@emits("sparkwater.ml.deep_features.DeepFeatures")
def emit_features(stage: Any, graph: Graph) -> None:
    """Add a network up to the layers whose values are read."""
    fitted = stage.fitted
    layers = stage.getLayer() if isinstance(stage.getLayer(), list) else [stage.getLayer()]
    cuts = find_cuts(load_network(fitted.trained), fitted.spec, layers)
    shapes = check_cuts(load_network(fitted.trained), fitted.spec, cuts, stage.getPooling())
    is_vector = stage.getOutputType() == "vector"
    tensors = _splice(stage, graph, _Layers(cuts, stage.getPooling(), is_vector), None)
    names = stage.getOutputCols() if stage.isSet(stage.outputCols) else [stage.getOutputCol()]
    for name, tensor, shape in zip(names, tensors, shapes, strict=True):
        if is_vector:
            _publish(graph, name, Column(tensor, "vector", "float64", (int(np.prod(shape)),)))
        else:
            _publish(graph, name, Column(tensor, "tensor", "float32", tuple(shape)))


class _Reconstruction:
    """Decoding of an autoencoder: as `sparkwater.gpu.networks.reconstruction` and its task do it."""

    def __init__(self, task: ReconstructionTask, scaling: Any, shape: Sequence[int]) -> None:
        self._task, self._shape = task, shape
        self._numbers = _inverse(scaling, len(shape))

    def __call__(self, network: nn.Module, inputs: Any) -> tuple[torch.Tensor, ...]:
        outputs = forward(network, inputs).float()
        wanted = inputs.flatten(1).float()
        errors = self._errors(outputs, wanted)
        mean, factor = self._numbers
        rebuilt = self._rebuilt(outputs).reshape(-1, *self._shape)
        return errors.mean(dim=1).double(), errors.double(), rebuilt / factor + mean

    def _errors(self, outputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """Return `ReconstructionTask.errors`, in operations that the exporter takes."""
        task = self._task
        given, numbers = outputs[:, : task.numbers], wanted[:, : task.numbers]
        errors = (given - numbers) ** 2
        if task.flags:
            entropy = given.clamp(min=0) - given * numbers + torch.log1p(torch.exp(-given.abs()))
            errors = torch.where(self._flags(), entropy, errors)
        if not task.categories:
            return errors
        ids = torch.split(wanted[:, task.numbers :].long(), 1, dim=1)
        logits = torch.split(outputs[:, task.numbers :], list(task.categories), dim=1)
        entropies = [-torch.log_softmax(one, dim=1).gather(1, place) for one, place in zip(logits, ids, strict=True)]
        return torch.cat([errors, *entropies], dim=1)

    def _flags(self) -> torch.Tensor:
        places = set(self._task.flags)
        return torch.tensor([place in places for place in range(self._task.numbers)])

    def _rebuilt(self, outputs: torch.Tensor) -> torch.Tensor:
        task = self._task
        numbers = outputs[:, : task.numbers]
        if task.flags:
            numbers = torch.where(self._flags(), torch.sigmoid(numbers.double()).float(), numbers)
        if not task.categories:
            return numbers
        logits = torch.split(outputs[:, task.numbers :], list(task.categories), dim=1)
        ids = [of_column.argmax(dim=1, keepdim=True).float() for of_column in logits]
        return torch.cat([numbers, *ids], dim=1)


class _Layers:
    """Values inside a network, in place of its outputs."""

    def __init__(self, cuts: Sequence[Cut], pooling: str, is_vector: bool) -> None:
        self._cuts, self._pooling, self._is_vector = cuts, pooling, is_vector

    def __call__(self, network: nn.Module, inputs: Any) -> tuple[torch.Tensor, ...]:
        values = read_cuts(network, self._cuts, self._pooling, lambda: forward(network, inputs), ends=False)
        if not self._is_vector:
            return tuple(values)
        return tuple(value.reshape(value.shape[0], -1).double() for value in values)


def _splice(stage: Any, graph: Graph, decode: Decode, offset: str | None) -> tuple[str, ...]:
    """Add a stage's network to the graph, and return the tensors that it gives."""
    fitted, skips = stage.fitted, stage.getHandleInvalid() != "error"
    if fitted.encoder is not None:
        tensors = [encoded_table(graph, fitted.encoder.encoder, skips)]
    else:
        parts = zip(stage.getFeaturesCols(), parts_of(fitted.spec), strict=True)
        tensors = [feature_tensor(graph, name, part, skips) for name, part in parts]
    if offset:
        tensors.append(offset_tensor(graph, offset, skips))
    model = network_model(fitted.trained, fitted.spec, decode, offsets=bool(offset))
    return graph.splice(model, dict(zip(input_names(len(tensors)), tensors, strict=True)))


def _publish_labels(stage: Any, graph: Graph, task: Any, prediction: str) -> None:
    labels = [label for label in getattr(task, "classes", ()) if isinstance(label, str)]
    if labels and (name := stage.getPredictedLabelCol()):
        names = graph.constant(np.array(labels, object))
        _publish(graph, name, string(graph.node("Gather", names, cast(graph, prediction, "int64"))), labels=labels)


def _publish(graph: Graph, name: str | None, column: Column, **facts: Any) -> None:
    """Publish a column unless its name is unset or empty, as in Spark ML."""
    if name:
        graph.publish(name, column)
        graph.remark(name, network=True, **facts)


def _inverse(scaling: Any, dimensions: int) -> tuple[torch.Tensor, torch.Tensor]:
    shape = (1, -1, *(1,) * (dimensions - 1))[: dimensions + 1]
    factors = [1 / value for value in scaling.deviation]
    return (
        torch.tensor(scaling.mean, dtype=torch.float32).view(shape),
        torch.tensor(factors, dtype=torch.float32).view(shape),
    )
