"""One rank of a training, from Arrow batches to an outcome.

The ranks agree on what they hold before they connect, and each of them ends with an `Outcome`,
also when it fails: the launcher learns the first failure, not those that followed from it.
"""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import psutil
import pyarrow as pa
import torch
from torch import nn

import sparkwater
from sparkwater.errors import CollectiveError, ConfigurationError, PeerFailed, StallError
from sparkwater.gpu.collective.addresses import named_address
from sparkwater.gpu.collective.communicator import Communicator, Meeting
from sparkwater.gpu.collective.connections import missing_collective, open_communicator
from sparkwater.gpu.collective.doors import End, Entrance, naming_unreached
from sparkwater.gpu.collective.shared_memory import machine
from sparkwater.gpu.collective.start_checks import (
    check_gpus,
    check_machine,
    check_names,
    check_parts,
    count_rows,
    slow_precision,
)
from sparkwater.gpu.collective.start_messages import Peers, exchange
from sparkwater.gpu.collective.world import Place, World
from sparkwater.gpu.device import computes_bfloat16, gpu_uuid, select_device
from sparkwater.gpu.job import RankJob
from sparkwater.gpu.networks import build_network
from sparkwater.gpu.networks.compute import Compute, choose_layout
from sparkwater.gpu.networks.identity import NetworkIdentity
from sparkwater.gpu.networks.inputs import network_shape, zero_inputs
from sparkwater.gpu.networks.weight_bytes import digest, dump_weights
from sparkwater.gpu.outcome import Failure, Outcome
from sparkwater.gpu.records import NOBODY, Observer, Progress
from sparkwater.gpu.rows.held import RankData, load_rows
from sparkwater.gpu.rows.scaling import AnyScaling, measure_rows
from sparkwater.gpu.rows.streamed import StoredRows
from sparkwater.gpu.seeding import derive_seed
from sparkwater.gpu.training.calibration import Calibration, fit_temperature
from sparkwater.gpu.training.kept_memory import kept_heap
from sparkwater.gpu.training.loop import TrainingContext, train
from sparkwater.gpu.training.loss_quantile import LOSS_QUANTILE, loss_quantile
from sparkwater.gpu.training.resume import Checkpoints, find_checkpoints
from sparkwater.gpu.training.state import EPOCHS, TrainingState
from sparkwater.gpu.training.timings import Stopwatch, TimedCommunicator

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Prepared:
    """The parts of a rank that need no other rank."""

    device: torch.device
    data: RankData
    max_memory_mb: float
    entrance: Entrance

    def report(self, job: RankJob, world: World) -> dict[str, Any]:
        """Return the rank's report to the others."""
        connects = world.size > 1 and job.collective == "horovod"
        return {
            "parts": {
                "sparkwater": sparkwater.__version__,
                "torch": torch.__version__,
                "horovod": version("horovod") if connects else "",
                "device": self.device.type,
            },
            "rows": len(self.data),
            "held_out": len(self.data.held_out or ()),
            "weightless": self.data.weightless,
            "skipped": self.data.skipped.count,
            "host": world.hosts[world.rank],
            "machine": machine(),
            "gpu": gpu_uuid(self.device),
            "bfloat16": computes_bfloat16(self.device),
            "content": self.data.content,
            "name": socket.gethostname(),
            "named": named_address(),
            **self.entrance.report(),
        }


def run_rank(
    batches: Iterable[pa.RecordBatch],
    job: RankJob,
    peers: Peers,
    observer: Observer = NOBODY,
) -> Outcome:
    """Read this rank's rows, train with the other ranks, and return the outcome.

    Only a stall is raised: the rank that stands still can't report anything, so the launcher
    has to stop it.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        As `load_rows` reads them.
    job : RankJob
        The same on all ranks.
    peers : Peers
        The way to the other ranks.
    observer : Observer
        Told on this rank.

    Raises
    ------
    StallError
        If another rank kept this one waiting for longer than ``job.stall_timeout``.
    """
    world = peers.world
    progress = Progress()
    try:
        with _threads(peers.threads), kept_heap(), ExitStack() as opened:
            return _run(batches, job, peers, observer, progress, Stopwatch("connect"), opened)
    except StallError as error:
        raise StallError("; ".join([f"rank {world.rank} {error} {progress}", *error.unreached])) from error
    except Exception as error:
        return Outcome(world.rank, socket.gethostname(), _failure(error, progress))


def _run(
    batches: Iterable[pa.RecordBatch],
    job: RankJob,
    peers: Peers,
    observer: Observer,
    progress: Progress,
    clock: Stopwatch,
    opened: ExitStack,
) -> Outcome:
    # Rows are read before anyone connects: no rank waits in a collective for one that has none. The ranks exchange
    # all that they can at once: where they meet at Spark's barrier it takes a second each time.
    prepared, reports = exchange(
        peers, lambda: _prepare(batches, job, peers, clock, opened), lambda prepared: prepared.report(job, peers.world)
    )
    rows = _check(reports, job)
    warning = slow_precision(reports, job.config.precision) if job.config.epochs else None
    if warning and peers.world.rank == 0:
        logger.warning(warning)
    with _connected(prepared, reports, job, peers) as connection:
        context = TrainingContext(observer=observer, callbacks=job.callbacks, progress=progress, clock=clock)
        trained = _train(prepared, reports, job, peers, rows, TimedCommunicator(connection, clock), context)
    return _outcome(prepared, trained, peers.world, clock)


def _check(reports: list[dict[str, Any]], job: RankJob) -> tuple[int, ...]:
    """Refuse ranks that don't fit together; return the rows that each trains on."""
    check_parts(reports)
    check_machine(reports, job.collective)
    check_gpus(reports, job.collective, job.allow_shared_gpu)
    return tuple(count_rows(reports, job.expected_rows, job.config.validation))


@dataclass(frozen=True)
class _Trained:
    """A network after its training, as a rank has it."""

    data: RankData
    layout: torch.memory_format
    scaling: AnyScaling
    weights: bytes
    resumed_at: int
    state: TrainingState | None
    calibration: Calibration | None
    measured: dict[str, float]


def _train(
    prepared: _Prepared,
    reports: list[dict[str, Any]],
    job: RankJob,
    peers: Peers,
    rows: tuple[int, ...],
    communicator: Communicator,
    context: TrainingContext,
) -> _Trained:
    """Build the network, bring it to where it begins, and train it."""
    data, device, clock = prepared.data, prepared.device, context.clock
    with clock.part("read"):
        scaling = measure_rows(data.blocks, job.spec, communicator, device, job.scalings)
    network = _build(job)
    layout = choose_layout(network, zero_inputs(job.spec), device, job.config.precision)
    with clock.part("checkpoints"):
        checkpoints = _checkpoints(job, peers, reports, network, scaling)
    state, calibration, place = None, None, Place(peers.world.rank, rows)
    numbers = job.network.arguments.get("numbers")  # a table's layout
    compute = Compute(network, scaling, device, layout, job.config.precision, numbers)
    if job.config.epochs or job.config.calibrate or job.loss_quantile is not None:
        network.to(device)
        with clock.part("data"):
            data = data.on(device)
    if job.config.epochs:
        services = replace(context, checkpoints=checkpoints)
        state = train(compute, data, job.task, place, job.config, communicator, services, job.beginning.head)
    scoring = replace(compute, precision="float32")
    with clock.part("validation"):
        if job.config.calibrate and data.held_out is not None:
            calibration = fit_temperature(scoring, data.held_out, job.task, communicator)
        measured = _measure(job, scoring, data, place, communicator)
    with clock.part("finish"):
        weights = dump_weights(network)
    resumed_at = checkpoints.last.steps if checkpoints.last else 0
    return _Trained(data, layout, scaling, weights, resumed_at, state, calibration, measured)


def _measure(
    job: RankJob, compute: Compute, data: RankData, place: Place, communicator: Communicator
) -> dict[str, float]:
    """Return the quantile of losses that the job asks for."""
    if job.loss_quantile is None:
        return {}
    return {LOSS_QUANTILE: loss_quantile(job.loss_quantile, compute, data, job.task, place, communicator)}


def _build(job: RankJob) -> nn.Module:
    """Return the network with the weights that the training begins with."""
    network = build_network(
        job.network,
        network_shape(job.spec),
        job.task.outputs,
        derive_seed(job.config.seed, "weights"),
        job.beginning.initialization,
    )
    job.beginning.apply(network)
    return network


def _outcome(prepared: _Prepared, trained: _Trained, world: World, clock: Stopwatch) -> Outcome:
    data, state = trained.data, trained.state
    return Outcome(
        rank=world.rank,
        host=socket.gethostname(),
        device=str(prepared.device),
        rows=len(data),
        held_out=len(data.held_out or ()),
        weightless=data.weightless,
        skipped=data.skipped.count,
        skipped_listed=data.skipped.listed,
        history=state.history if state else [],
        stopped_by=state.stopped_by if state else EPOCHS,
        best_epoch=state.best.epoch if state and state.best else None,
        resumed_at=trained.resumed_at,
        lost_checkpoints=state.lost_checkpoints if state else [],
        scaling=trained.scaling,
        weights=trained.weights if world.rank == 0 else b"",
        weights_digest=digest(trained.weights),
        details={name: table.tolist() for name, table in state.details.items()} if state and world.rank == 0 else {},
        calibration=trained.calibration,
        resolved={
            "maxMemoryInMB": round(prepared.max_memory_mb, 3),
            "memory": data.location,
            "memoryFormat": str(trained.layout).removeprefix("torch.").removesuffix("_format"),
            **trained.measured,
        },
        began=clock.began,
        timings=clock.timings(),
    )


def _prepare(
    batches: Iterable[pa.RecordBatch], job: RankJob, peers: Peers, clock: Stopwatch, opened: ExitStack
) -> _Prepared:
    world = peers.world
    refusal = missing_collective(job.collective, world.size)
    if refusal:
        raise ConfigurationError(refusal)
    local = (world.local_rank, world.local_size)
    device = select_device(job.device, peers.gpu_addresses, *local, shared=job.allow_shared_gpu)
    limit = job.max_memory_mb or psutil.virtual_memory().available / 2 / world.local_size / 2**20
    with clock.part("read"):
        rows = _rows(batches, job, world, limit)
    return _Prepared(device, rows, limit, Entrance.open(world, opened))


def _rows(batches: Iterable[pa.RecordBatch], job: RankJob, world: World, max_memory_mb: float) -> RankData:
    if job.store is not None:
        return StoredRows(job.store, job.task, world.rank, world.size)
    return load_rows(batches, job.spec, job.task, job.handle_invalid, int(max_memory_mb * 2**20))


def _checkpoints(
    job: RankJob, peers: Peers, reports: list[dict[str, Any]], network: nn.Module, scaling: AnyScaling
) -> Checkpoints:
    if job.checkpoint_dir is None:
        return Checkpoints()
    config = {**asdict(job.config), "max_runtime_secs": 0.0}  # whoever has more time goes on
    beginning = [job.beginning.head, job.beginning.frozen, job.beginning.held, str(job.scalings)]
    settings = [config, beginning, str(job.spec), job.task.to_dict(), job.collective]
    content = [{key: report[key] for key in ("parts", "rows", "content")} for report in reports]
    training = [settings, content, digest(dump_weights(network))]
    identity = NetworkIdentity.of(job.network, job.spec, scaling, job.task).to_dict()
    return find_checkpoints(job.checkpoint_dir, training, identity, job.checkpoint_interval, peers)


@contextmanager
def _connected(
    prepared: _Prepared, reports: list[dict[str, Any]], job: RankJob, peers: Peers
) -> Iterator[Communicator]:
    world = peers.world
    reached = prepared.entrance.choose(reports, peers)
    check_names(reports, reached, job.collective)
    chosen = [numbers[0] for numbers in reached]
    addresses = [str(report["addresses"][number]) for report, number in zip(reports, chosen, strict=True)]
    doors = [End(*report["doors"][number]) for report, number in zip(reports, chosen, strict=True) if report["doors"]]
    endpoint = reports[0]["endpoints"][chosen[0]] if world.size > 1 else "none"
    with ExitStack() as start_up, naming_unreached(doors, world.rank):
        start_up.enter_context(prepared.entrance.serving(chosen[0], reports))
        meeting = Meeting(endpoint, addresses[world.rank], job.stall_timeout)
        with open_communicator(job.collective, world, meeting, prepared.device) as communicator:
            # Once this returns, all ranks are connected and nobody needs the rendezvous any more.
            communicator.all_reduce_(torch.zeros(1, device=prepared.device))
            start_up.close()
            yield communicator


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with a number of threads; a Python worker serves other tasks afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _failure(error: Exception, progress: Progress) -> Failure:
    return Failure(
        error_type=type(error).__name__,
        message=str(error),
        remote_traceback="".join(traceback.format_exception(error)),
        epoch=progress.epoch,
        step=progress.step,
        first=not isinstance(error, (PeerFailed, CollectiveError)),
    )
