"""Checks that all ranks make before they connect, each on the reports of all, with the same result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sparkwater.errors import ConfigurationError, DataError

Report = Mapping[str, Any]


def check_parts(reports: Sequence[Report]) -> None:
    """Refuse ranks with other versions, or other kinds of devices.

    Raises
    ------
    ConfigurationError
        With each rank's value where they differ.
    """
    for part in reports[0]["parts"]:
        ranks: dict[str, list[int]] = defaultdict(list)
        for rank, report in enumerate(reports):
            ranks[report["parts"][part]].append(rank)
        if len(ranks) > 1:
            held = ", ".join(f"{value or 'none'} on {_ranks(having)}" for value, having in ranks.items())
            remedy = (
                "device='cpu' trains without GPUs, device='cuda' says which rank has none"
                if part == "device"
                else "install the same on all executors"
            )
            raise ConfigurationError(f"the ranks differ in {part}: {held}; {remedy}")


def check_gpus(reports: Sequence[Report], collective: str, allow_shared: bool) -> None:
    """Refuse ranks that would compute on the same GPU.

    Raises
    ------
    ConfigurationError
        With the GPU, its host and the ranks; unless that is allowed and the collective supports it.
    """
    ranks: dict[str, list[int]] = defaultdict(list)
    for rank, report in enumerate(reports):
        if report["gpu"]:
            ranks[report["gpu"]].append(rank)
    shared = next(((gpu, having) for gpu, having in ranks.items() if len(having) > 1), None)
    if shared is None or (allow_shared and collective != "torch"):
        return
    gpu, having = shared
    where = f"{_ranks(having)} on {reports[having[0]]['address']} have the same GPU, {gpu}"
    if allow_shared:
        raise ConfigurationError(f"{where}; NCCL, by which collective='torch' adds up on GPUs, can't do that")
    raise ConfigurationError(
        f"{where}; give each task one of its own (spark.task.resource.gpu.amount=1, and executors of a host that see "
        "different GPUs), lower numWorkers, or set allowSharedGpu=True"
    )


def check_machine(reports: Sequence[Report], collective: str) -> None:
    """Refuse the collective ``memory`` for ranks on several machines.

    Raises
    ------
    ConfigurationError
        With the ranks' machines.
    """
    machines, device = {report["machine"] for report in reports}, reports[0]["parts"]["device"]
    if len(reports) > 1 and collective == "memory" and (len(machines) > 1 or "" in machines or device != "cpu"):
        hosts = ", ".join(sorted({report["host"] for report in reports}))
        raise ConfigurationError(
            "collective='memory' is for CPUs of one Linux machine, and for processes of one user there that see the "
            f"same network; these ranks compute on {device}, on {hosts}; use collective='horovod' or 'torch'"
        )


def check_names(reports: Sequence[Report], reached: Sequence[Sequence[int]], collective: str) -> None:
    """Refuse Horovod where a host's own name doesn't lead to an address that the other ranks reach.

    Parameters
    ----------
    reports : sequence of dict
        One a rank.
    reached : sequence of sequence of int
        The numbers of each rank's addresses that all others reach.
    collective : str
        The collective that sums gradients.

    Raises
    ------
    ConfigurationError
        With the name and the line that its hosts file needs.
    """
    if collective != "horovod" or len(reports) == 1:
        return
    one_host = len({report["machine"] for report in reports}) == 1
    for rank, (report, numbers) in enumerate(zip(reports, reached, strict=True)):
        name, named = report["name"], report["named"]
        good = [report["addresses"][number] for number in numbers]
        # Addresses of version 6 aren't looked at, but for loopback.
        if named in good or (named and one_host) or (":" in named and named != "::1"):
            continue
        raise ConfigurationError(
            f"Horovod listens where a host's own name leads to, and on rank {rank}'s host the name {name} leads to "
            f"{named or 'nothing'}; add the line '{good[0]} {name}' to /etc/hosts there, or use collective='torch'"
        )


def count_rows(reports: Sequence[Report], expected: int, validation: bool) -> list[int]:
    """Return the rows that each rank trains on.

    Parameters
    ----------
    reports : sequence of dict
        One a rank.
    expected : int
        The rows that the ranks must hold between them.
    validation : bool
        Whether there must be rows to validate on.

    Raises
    ------
    DataError
        If their number differs, or there are none to train or to validate on.
    """
    rows = [int(report["rows"]) for report in reports]
    held_out, weightless, skipped = (
        sum(int(report[kind]) for report in reports) for kind in ("held_out", "weightless", "skipped")
    )
    read = sum(rows) + held_out + weightless + skipped
    if read != expected:
        raise DataError(
            f"the DataFrame gave {expected} rows when it was counted and {read} when it was "
            "read: its plan gives other rows at each evaluation; write it to a table or cache it first"
        )
    if not sum(rows):
        others = f"; {held_out} are to validate on, {weightless} have the weight 0" if held_out or weightless else ""
        raise DataError(f"there are no rows to train on: {read} were read, {skipped} of them were skipped{others}")
    if validation and not held_out:
        raise DataError(
            f"there are no rows to validate on beside the {sum(rows)} to train on: validationIndicatorCol is false in "
            "all rows, validationDataFrame has none, or validationFraction is too small for so few rows"
        )
    return rows


def slow_precision(reports: Sequence[Report], precision: str) -> str | None:
    """Return a warning of processors that lack the instructions for a precision; None where all have them."""
    lacking = [rank for rank, report in enumerate(reports) if not report["bfloat16"]]
    if precision != "bfloat16" or not lacking:
        return None
    return (
        f"precision='bfloat16', but the processor of {_ranks(lacking)} has no instructions for bfloat16 (AVX-512 BF16, "
        "AMX, or ARM's), and without them matrix products took up to 35 times as long as in float32; "
        "set precision='float32'"
    )


def _ranks(ranks: Iterable[int]) -> str:
    numbers = list(map(str, ranks))
    return f"{'rank' if len(numbers) == 1 else 'ranks'} {', '.join(numbers)}"
