"""Identity of a trained network beside its weights: enough for another process to go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sparkwater.conversions.tensors.spec import PackedSpec, TensorSpec, parts_of
from sparkwater.gpu.networks import NetworkEntry, find_network
from sparkwater.gpu.networks.elsewhere.onnx_files import GRAPH, is_onnx
from sparkwater.gpu.networks.heads import with_head
from sparkwater.gpu.rows.scaling import AnyScaling, Scaling, scalings_in
from sparkwater.gpu.tasks import Task, task_from_dict


@dataclass(frozen=True)
class NetworkIdentity:
    """A network's name and arguments, the spec and scaling of its rows, and its task.

    Attributes
    ----------
    name : str
        A registered name, an import path, or the class of an instance.
    arguments : mapping of str to Any
        Keyword arguments of its factory.
    head : str
        The layer replaced for the outputs, if any.
    instance : bool
        Whether it is an instance of the user's, which a name doesn't build.
    spec : TensorSpec
        The tensor of one row.
    scalings : tuple of Scaling
        One a tensor of a row.
    task : Task
        What it learned.
    """

    name: str
    arguments: Mapping[str, Any]
    head: str
    instance: bool
    spec: TensorSpec
    scalings: tuple[Scaling, ...]
    task: Task

    @classmethod
    def of(cls, entry: NetworkEntry, spec: TensorSpec, scaling: AnyScaling, task: Task) -> NetworkIdentity:
        """Return the identity of a network that an entry builds."""
        instance = entry.kind == "instance"
        return cls(entry.name, entry.arguments, entry.head, instance, spec, scalings_in(scaling), task)

    def entry(self) -> NetworkEntry:
        """Return the registry entry that builds it.

        Raises
        ------
        ConfigurationError
            If there is no such network here.
        """
        return with_head(find_network(self.name, self.arguments), self.head)

    def to_dict(self) -> dict[str, Any]:
        """Return the identity as JSON takes it."""
        network = {"name": self.name, "arguments": dict(self.arguments), "head": self.head}
        return {
            "network": {**network, "instance": True} if self.instance else network,
            "inputs": [
                {"dtype": part.dtype, "shape": part.shape, **asdict(scaling)}
                for part, scaling in zip(parts_of(self.spec), self.scalings, strict=True)
            ],
            "task": self.task.to_dict(),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> NetworkIdentity:
        """Return the identity from `to_dict`, also after a way through JSON.

        Raises
        ------
        ValueError, TypeError, KeyError
            If the fields are no such thing, or it is an ONNX file without its graph.
        CheckpointError
            If it learned a task that there isn't here.
        """
        network, inputs = fields["network"], fields["inputs"]
        if not inputs:
            raise ValueError("there are no inputs")
        name, arguments = str(network["name"]), dict(network["arguments"])
        if is_onnx(name) and set(arguments) != {GRAPH}:  # its name would be opened, wherever it leads
            raise ValueError(f"the network {name!r} is without its graph")
        specs = [TensorSpec(part["dtype"], part["shape"]) for part in inputs]
        return cls(
            name=name,
            arguments=arguments,
            head=str(network["head"]),
            instance=bool(network.get("instance", False)),
            spec=specs[0] if len(specs) == 1 else PackedSpec(specs),
            scalings=tuple(Scaling(tuple(part["mean"]), tuple(part["deviation"])) for part in inputs),
            task=task_from_dict(fields["task"]),
        )
