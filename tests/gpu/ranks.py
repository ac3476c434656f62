"""Real ranks in processes of their own: `launch` starts one a rank, the scenarios are at the end of this file."""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import math
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import count
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from processes import shares_memory

from sparkwater.conversions.tensors.arrow import tensors_to_arrow
from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.errors import CollectiveError
from sparkwater.gpu.collective.addresses import LOOPBACK
from sparkwater.gpu.collective.communicator import Meeting
from sparkwater.gpu.collective.connections import missing_collective, open_communicator
from sparkwater.gpu.collective.rendezvous import RendezvousServer
from sparkwater.gpu.collective.shared_memory import SLOT_BYTES, SLOTS, machine, shared_memory
from sparkwater.gpu.collective.world import World
from sparkwater.gpu.config import TrainConfig
from sparkwater.gpu.job import RankJob
from sparkwater.gpu.networks import NetworkEntry, find_network
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.rows.augmentation import parse_augmentation
from sparkwater.gpu.tasks import (
    ClassificationTask,
    MultiLabelTask,
    OrdinalTask,
    QuantilesTask,
    ReconstructionTask,
    RegressionTask,
    Task,
)
from sparkwater.gpu.training.optimizers import OPTIMIZERS

SPEC = TensorSpec("uint8", (1, 16, 16))
CLASSES = (0.0, 1.0, 2.0)

#: Tasks by kind, and what `relabelled` makes of the labels 0, 1 and 2 for them.
TASKS: dict[str, tuple[Task, list[Any]]] = {
    "classification": (ClassificationTask(CLASSES), [0.0, 1.0, 2.0]),
    "regression": (RegressionTask("huber", center=1003.0, scale=6.0), [997.5, 1001.0, 1012.0]),
    "multilabel": (MultiLabelTask(CLASSES), [[1.0], [], [2.0, 0.0, 0.0]]),
    "quantiles": (QuantilesTask((0.1, 0.5, 0.9), center=1003.0, scale=6.0), [997.5, 1001.0, 1012.0]),
    "ordinal": (OrdinalTask(CLASSES), [0.0, 1.0, 2.0]),
    "reconstruction": (ReconstructionTask(SPEC.size), [0.0, 0.0, 0.0]),
}


#: Ranks are forked from a process that has loaded what they all need, as Spark forks its workers.
FORKS = multiprocessing.get_context("forkserver")
BEGINNING = threading.Lock()
#: Linux's flag for a network of a process's own.
CLONE_NEWNET = 0x40000000
#: What a process loads at its first training only, in a second.
LATE = "pandas"


def launch(scenario: str, folder: Path, ranks: int = 2, limit: float = 60.0, **arguments: Any) -> list[dict[str, Any]]:
    """Run a scenario with one process a rank; return what each reports, or kill them all after `limit` seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    begin_forks()
    deadline = time.monotonic() + limit
    given = (scenario, folder, ranks, arguments, dict(os.environ))
    processes = [FORKS.Process(target=run_scenario, args=(rank, *given), daemon=True) for rank in range(ranks)]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(max(0.1, deadline - time.monotonic()))
        codes = [process.exitcode for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.join()
    return reports(scenario, folder, codes)


def reports(scenario: str, folder: Path, codes: Sequence[int | None]) -> list[dict[str, Any]]:
    """Return what each rank reports; fail with their logs where one failed, or has no exit code since it hung."""
    if any(code != 0 for code in codes):
        state = "hung" if None in codes else "failed"
        logs = [log_of(folder, rank) for rank in range(len(codes))]
        texts = [log.read_text()[-3000:] for log in logs if log.exists()]
        raise AssertionError(f"{scenario} {state}, exit codes {codes}\n" + "\n---\n".join(texts))
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(len(codes))]


def begin_forks() -> None:
    """Start the process that ranks are forked from, once."""
    # The code beside these tests, also where another copy of the package is installed.
    paths = [str(folder) for folder in Path(__file__).parents[1:3]]
    with BEGINNING, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        FORKS.set_forkserver_preload([run_scenario.__module__, LATE])
        forkserver.ensure_running()


def log_of(folder: Path, rank: int) -> Path:
    """Return where a rank's output is."""
    return folder / f"{rank}.log"


class FilePeers:
    """Ranks that exchange messages through files in a folder."""

    threads = 1

    def __init__(self, folder: Path, rank: int, size: int, hosts: Sequence[str] = ()) -> None:
        self.folder = folder
        self.world = World(rank, tuple(hosts) or ("here",) * size)
        self.gpu_addresses: list[str] = []
        self.rounds = 0

    def all_gather(self, message: str) -> list[str]:
        self.rounds += 1
        write_whole(self.folder / f"round-{self.rounds}-{self.world.rank}", message)
        return [wait_for(self.folder / f"round-{self.rounds}-{rank}") for rank in range(self.world.size)]


def write_whole(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.rename(path)


def wait_for(path: Path, limit: float = 50.0) -> str:
    deadline = time.monotonic() + limit
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody wrote {path.name}")
        time.sleep(0.01)
    return path.read_text()


def picture_batches(
    rows: Sequence[int], corrupt: bool = False, weights: dict[int, float] | None = None, held_out: Sequence[int] = ()
) -> list[pa.RecordBatch]:
    """Noisy pictures of three classes, each with its own bright third; a row's number decides all of it.

    Rows have weights where some are given, and those of `held_out` are to validate on.
    """
    pictures = np.stack([_picture(row) for row in rows]) if len(rows) else np.empty((0, *SPEC.shape), np.uint8)
    tensors = tensors_to_arrow(pictures)
    if corrupt:
        tensors = pa.array([None, *tensors.to_pylist()[1:]], pa.binary())
    batch = pa.RecordBatch.from_pydict(
        {
            "tensor": tensors,
            "problem": pa.array(
                ["it is no picture" if corrupt and not i else None for i in range(len(rows))], pa.string()
            ),
            "label": pa.array([float(row % 3) for row in rows], pa.float64()),
            "name": pa.array([f"row-{row}.png" for row in rows], pa.string()),
            "key": pa.array([row * 7919 % 104_729 for row in rows], pa.int64()),
        }
    )
    table = pa.Table.from_batches([batch])
    if weights is not None:
        table = table.append_column("weight", pa.array([weights.get(row, 1.0) for row in rows], pa.float64()))
    if held_out:
        table = table.append_column("held_out", pa.array([row in held_out for row in rows], pa.bool_()))
    return table.to_batches(max_chunksize=7)


def misleading_batches(rows: int, held_out: Sequence[int]) -> list[pa.RecordBatch]:
    """Pictures whose held-out ones have other labels: the more is learned, the worse those are predicted."""
    table = pa.Table.from_batches(picture_batches(range(rows), held_out=held_out))
    labels = pa.array([float((row + (row in held_out)) % 3) for row in range(rows)])
    return table.set_column(table.column_names.index("label"), "label", labels).to_batches()


def relabelled(batches: list[pa.RecordBatch], kind: str) -> list[pa.RecordBatch]:
    """Return rows of classes with the labels of another kind of task."""
    _, labels = TASKS[kind]
    made = []
    for batch in batches:
        chosen = [labels[int(label)] for label in batch.column(batch.schema.names.index("label")).to_pylist()]
        table = pa.Table.from_batches([batch])
        column = pa.array(chosen, pa.array(labels).type)
        made += table.set_column(table.column_names.index("label"), "label", column).to_batches()
    return made


def offset_of(row: int) -> float:
    """An offset of a row that says nothing of its class."""
    return row * 37 % 11 * 2.5 - 12.5


def with_offsets(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Return rows of numbers with offsets, by which their labels are larger."""
    made = []
    for batch in batches:
        offsets = pa.array([offset_of(int(name[4:-4])) for name in batch.column("name").to_pylist()], pa.float64())
        table = pa.Table.from_batches([batch]).append_column("offset", offsets)
        labels = pc.add(batch.column("label"), offsets)
        made += table.set_column(table.column_names.index("label"), "label", labels).to_batches()
    return made


def _picture(row: int) -> np.ndarray:
    picture = np.random.default_rng(row).integers(0, 120, SPEC.shape, dtype=np.uint8)
    third = row % 3
    picture[:, 5 * third : 5 * third + 5] += 130
    return picture


def train_config(**changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {
        "epochs": 4, "batch_size": 16, "optimizer": "sgd", "learning_rate": 0.05, "momentum": 0.0,
        "weight_decay": 0.0, "schedule": "constant", "seed": 42,
    }  # fmt: skip
    return TrainConfig(**{**settings, **changes})


def rank_job(expected_rows: int, **changes: Any) -> RankJob:
    collective, invalid = changes.pop("collective", "horovod"), changes.pop("handle_invalid", "error")
    entry = find_network(changes.pop("network", "lenet"), changes.pop("network_arguments", None))
    network = fails_at(entry, changes.pop("fail_at", 0))
    of_job = ("checkpoint_dir", "checkpoint_interval", "loss_quantile")
    others = {name: changes.pop(name) for name in of_job if name in changes}
    of_task = {name: changes.pop(name) for name in ("class_weights", "label_smoothing", "top_k") if name in changes}
    return RankJob(
        network=network,
        spec=SPEC,
        task=changes.pop("task", None) or ClassificationTask(CLASSES, **of_task),
        expected_rows=expected_rows,
        config=train_config(**changes),
        handle_invalid=invalid,
        collective=collective,
        device="cpu",
        stall_timeout=20,
        **others,
    )


def fails_at(entry: NetworkEntry, call: int) -> NetworkEntry:
    """Return a network that raises when it is called for the so-manieth time in training; 0 for never.

    The call before the first step, which tries the memory layout, doesn't count.
    """

    def factory(shape: tuple[int, ...], classes: int) -> torch.nn.Module:
        network, calls = entry.factory(shape, classes), count()

        def count_calls(module: torch.nn.Module, inputs: Any) -> None:
            if module.training and next(calls) == call:
                raise ArithmeticError(f"call {call} is too much")

        network.register_forward_pre_hook(count_calls)
        return network

    return replace(entry, factory=factory) if call else entry


def meeting_of(stack: ExitStack, folder: Path, rank: int, stall_timeout: int) -> Meeting:
    """Return where the ranks meet; rank 0 serves the rendezvous until the stack closes."""
    if rank == 0:
        write_whole(folder / "endpoint", stack.enter_context(RendezvousServer(LOOPBACK, [LOOPBACK])).endpoint)
    return Meeting(wait_for(folder / "endpoint"), LOOPBACK, stall_timeout)


def cycles(folder: Path, rank: int, size: int, collective: str) -> dict[str, Any]:
    """Open and close a communicator three times; report what came out of it, of the environment and of threads."""
    os.environ["HOROVOD_RANK"] = "77"
    os.environ["GLOO_SOCKET_IFNAME"] = "before"
    before, sums, copies, threads = dict(os.environ), [], [], []
    for cycle in range(3):
        place = folder / f"cycle-{cycle}"
        place.mkdir(exist_ok=True)
        world = World(rank, ("here",) * size)
        with ExitStack() as stack:
            meeting = meeting_of(stack, place, rank, 20)
            with open_communicator(collective, world, meeting, torch.device("cpu")) as communicator:
                for count in (1, 3, 100_000):
                    total = torch.arange(count, dtype=torch.float32) + rank * 1000 + cycle
                    communicator.all_reduce_(total)
                    expected = 2.0 * torch.arange(count) + 1000 + 2 * cycle
                    sums.append(bool(torch.equal(total, expected)))
                doubles = torch.tensor([1.0 / 3, 2.0**40 + rank], dtype=torch.float64)
                communicator.all_reduce_(doubles)
                sums.append(doubles.tolist() == [2.0 / 3, 2.0**41 + 1])
                copy = torch.full((5,), float(rank + 10 * cycle))
                communicator.broadcast_(copy)
                copies.append(copy.tolist())
                # Nobody closes before all have what was sent to them.
                communicator.all_reduce_(torch.zeros(1))
        threads.append(psutil.Process().num_threads())
    changed = sorted(name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name))
    return {"sums": sums, "copies": copies, "changed": changed, "threads": threads}


def late_keys(folder: Path, rank: int, size: int) -> list[str]:
    """Ask the store after the ranks connected, as NCCL does at its first sum; report what the others put there."""
    with ExitStack() as stack:
        meeting = meeting_of(stack, folder, rank, 20)
        world = World(rank, ("here",) * size)
        communicator = stack.enter_context(open_communicator("torch", world, meeting, torch.device("cpu")))
        gc.collect()
        store = torch.distributed.distributed_c10d._get_default_store()
        store.set(f"late-{rank}", f"of rank {rank}")
        found = [store.get(f"late-{other}").decode() for other in range(size)]
        communicator.all_reduce_(torch.zeros(1))
    return found


def fault(folder: Path, rank: int, size: int, collective: str, kind: str, culprit: int, stall_timeout: int) -> Any:
    """One rank raises, dies or sleeps where the others wait for it; report how each of them ends, and when."""
    world = World(rank, ("here",) * size)
    started, raised, message = time.monotonic(), "nothing", ""
    try:
        with ExitStack() as stack:
            meeting = meeting_of(stack, folder, rank, stall_timeout)
            with open_communicator(collective, world, meeting, torch.device("cpu")) as communicator:
                communicator.all_reduce_(torch.zeros(1))
                started = time.monotonic()
                if rank == culprit and kind == "raise":
                    raise ZeroDivisionError("this rank's own fault")
                if rank == culprit and kind == "stall":
                    with suppress(TimeoutError):
                        wait_for(folder / "lost", 25.0)
                finish = communicator.begin_sum_(torch.ones(1000))
                if kind == "raise":
                    communicator.begin_sum_(torch.ones(100))  # nobody will wait for it
                if kind == "stall":
                    time.sleep(2)  # as a rank that computes meanwhile: the limit counts from the beginning
                finish()
    except (CollectiveError, ZeroDivisionError) as error:
        raised, message = type(error).__name__, str(error)
        if rank != culprit:
            write_whole(folder / "lost", "")
    held = len(sys.modules["horovod.torch.mpi_ops"]._handle_map) if collective == "horovod" else 0
    return {"raised": raised, "message": message, "seconds": time.monotonic() - started, "held": held}


def sums(folder: Path, rank: int, size: int) -> dict[str, list[str]]:
    """Add up through shared memory; report what differs from the sum in ascending order of ranks, and what is left."""

    def values(of: int, turn: int, place: int, count: int, kind: torch.dtype) -> torch.Tensor:
        random = torch.Generator().manual_seed((turn * 100 + place) * 10 + of)
        return (torch.randn(count, generator=random) * 10).to(kind)

    def expected(*which: Any) -> torch.Tensor:
        total = values(0, *which)
        for other in range(1, size):
            total += values(other, *which)
        return total

    slot, wrong = SLOT_BYTES // 4, []
    kinds = [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool]
    one_by_one = [[count] for count in (0, 1, 2, 3, 1000, slot - 1, slot, slot + 1, 2 * SLOTS * slot + 5)]
    together = [[7, 3 * slot, 11], [slot] * SLOTS, [slot] * (SLOTS + 3), [1] * 50]
    groups = [(group, torch.float32) for group in (one_by_one + together) * 2]
    groups += [([count, slot], kind) for count in (0, 5, 3 * slot) for kind in kinds]
    with ExitStack() as stack:
        meeting = meeting_of(stack, folder, rank, 20)
        before = psutil.Process().num_fds()
        with shared_memory(World(rank, ("here",) * size), meeting) as communicator:
            for turn, (group, kind) in enumerate(groups):
                own = [values(rank, turn, place, count, kind) for place, count in enumerate(group)]
                # Each rank is late in its turn, before a sum and within it: whoever doesn't wait adds what is old.
                late = 0.03 if turn % size == rank else 0.0
                time.sleep(late)
                finishes = [communicator.begin_sum_(each) for each in own]
                for finish in finishes:
                    finish()
                    time.sleep(late / len(own))
                for place, each in enumerate(own):
                    if not same_bits(each, expected(turn, place, len(each), kind)):
                        wrong.append(f"{place} of {group}, {kind}")
            odd = torch.tensor([-0.0, math.nan, math.inf, 1e-45])
            copy = odd.clone() if rank == 0 else torch.full((4,), float(rank))
            communicator.broadcast_(copy)
            wrong += [] if same_bits(copy, odd) else ["broadcast"]
            shared = shares_memory(os.getpid())
        after = psutil.Process().num_fds()
    left = ["memory"] * shares_memory(os.getpid()) + ["descriptors"] * (after > before)
    return {"wrong": wrong, "shared": [shared], "left": left}


def same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.equal(first.view(torch.uint8), second.view(torch.uint8))


def training(
    folder: Path, rank: int, size: int, starts: list[int], corrupt: int | None = None, **changes: Any
) -> dict[str, Any]:
    """Train with the rows from ``starts[rank]`` to ``starts[rank + 1]``."""
    folder.mkdir(exist_ok=True)
    weights = {int(row): weight for row, weight in changes.pop("weights", {}).items()} or None
    rows = range(starts[rank], starts[rank + 1])
    batches = picture_batches(rows, corrupt == rank, weights, changes.pop("held_out", ()))
    steps = parse_augmentation(changes.pop("augmentation", []))
    kind = changes.pop("kind", "classification")
    if kind == "classification":
        changes["class_weights"] = tuple(changes.get("class_weights", ()))
    else:
        changes["task"], batches = TASKS[kind][0], relabelled(batches, kind)
    if changes.pop("offsets", False):
        batches = with_offsets(batches)
    changes = {**changes, "augmentation": steps}
    expected, peers = changes.pop("expected_rows", starts[-1]), FilePeers(folder, rank, size, changes.pop("hosts", ()))
    outcome = run_rank(batches, rank_job(expected, **changes), peers)
    return {**json.loads(outcome.to_json()), "weights_bytes": len(outcome.weights)}


def trainings(folder: Path, rank: int, size: int, jobs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Train several times, one after the other in the same process; report each under its name."""
    return {name: training(folder / name, rank, size, **settings) for name, settings in jobs.items()}


def alone_without_horovod(folder: Path, rank: int, size: int) -> dict[str, Any]:
    """Open the communicator of one rank where Horovod can't be imported; report what it gives and what is missed."""
    assert "horovod" not in sys.modules
    sys.modules["horovod"] = None  # type: ignore[assignment]
    values = torch.tensor([1.0, 2.0])
    meeting = Meeting("none", "127.0.0.1", 5)
    with open_communicator("horovod", World(0, ("here",)), meeting, torch.device("cpu")) as ours:
        ours.all_reduce_(values)
        ours.broadcast_(values)
    missing = [missing_collective(*each) for each in (("horovod", 1), ("horovod", 2), ("torch", 2))]
    return {"kind": type(ours).__name__, "values": values.tolist(), "missing": missing}


def compiling(folder: Path, rank: int, size: int) -> dict[str, bool]:
    """Train with a checkpoint by each optimizer; report after which of them torch's compiler was there."""
    found = {}
    for name in OPTIMIZERS:
        checkpoints = str(folder / name / "checkpoints")
        training(folder / name, rank, size, [0, 40], epochs=1, optimizer=name, checkpoint_dir=checkpoints)
        found[name] = "torch._dynamo" in sys.modules
    return found


def machines(folder: Path, rank: int, size: int, apart: bool) -> str:
    """Report the name of the machine, seen from another network where that is asked for."""
    if apart and ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network of its own")
    return machine()


SCENARIOS: dict[str, Callable[..., Any]] = {
    scenario.__name__: scenario
    for scenario in (cycles, late_keys, fault, sums, trainings, alone_without_horovod, compiling, machines)
}


def run_scenario(
    rank: int, scenario: str, folder: Path, size: int, arguments: dict[str, Any], environment: dict[str, str]
) -> None:
    """Run a rank's part in its own process, and write what it reports."""
    with log_of(folder, rank).open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    write_whole(folder / f"{rank}.json", json.dumps(SCENARIOS[scenario](folder, rank, size, **arguments)))
    atexit._run_exitfuncs()  # which a forked process leaves out
