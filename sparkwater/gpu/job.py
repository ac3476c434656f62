"""The job of a training: everything the ranks are told, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.callbacks import Callback
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.networks import NetworkEntry
from sparkwater.gpu.networks.pretrained import Beginning
from sparkwater.gpu.rows.scaling import Scaling
from sparkwater.gpu.rows.streamed import Store
from sparkwater.gpu.tasks import Task


@dataclass(frozen=True)
class RankJob:
    """The job of all ranks; it travels to them as it is.

    Attributes
    ----------
    network : NetworkEntry
        The network to train.
    spec : TensorSpec
        What a row's tensor is; a packed one where there are several.
    task : Task
        What it learns.
    expected_rows : int
        The rows that the ranks must find between them, unusable ones included.
    config : TrainConfig
        Hyperparameters.
    handle_invalid, device : str
        As the estimator's Params.
    collective : {"horovod", "torch", "memory", "local"}
        The collective that sums gradients; ``local`` is for a single rank.
    stall_timeout : int
        Seconds that one rank may keep the others waiting.
    max_memory_mb : float
        MiB of tensors that a rank holds in memory; 0 for half of what is free, shared by the ranks
        of a host.
    store : Store, optional
        The dataset to stream rows from; without it the launcher hands them over.
    beginning : Beginning
        The initial weights.
    scalings : tuple of Scaling or None
        One a tensor of a row: the given scaling; None to measure it. Empty to measure all.
    checkpoint_dir : str, optional
        Folder of checkpoints; each training has its own inside.
    checkpoint_interval : int
        Steps between checkpoints within an epoch; 0 for none.
    callbacks : tuple of callable
        Called on rank 0 after each epoch.
    allow_shared_gpu : bool
        Whether ranks may compute on the same GPU.
    loss_quantile : float, optional
        Share of the training rows whose losses, after the training, the reported quantile doesn't exceed; None for
        no quantile.
    """

    network: NetworkEntry
    spec: TensorSpec
    task: Task
    expected_rows: int
    config: TrainConfig
    handle_invalid: str
    collective: str
    device: str
    stall_timeout: int
    max_memory_mb: float = 0.0
    store: Store | None = None
    beginning: Beginning = field(default_factory=Beginning)
    scalings: tuple[Scaling | None, ...] = ()
    checkpoint_dir: str | None = None
    checkpoint_interval: int = 0
    callbacks: tuple[Callback, ...] = ()
    allow_shared_gpu: bool = False
    loss_quantile: float | None = None
