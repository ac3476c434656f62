"""What ranks say of themselves before they connect: from the reports to the error, or to none."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.start_checks import (
    check_gpus,
    check_machine,
    check_names,
    check_parts,
    slow_precision,
)
from sparkwater.gpu.device import gpu_uuid


def report(
    device: str = "cuda", gpu: str = "", address: str = "10.0.0.1", torch: str = "2.13.0", machine: str = "a"
) -> dict[str, Any]:
    parts = {"torch": torch, "horovod": "0.28.1", "device": device}
    return {"parts": parts, "gpu": gpu, "address": address, "host": f"host-{machine}", "machine": machine}


def test_ranks_with_a_gpu_each_go_together() -> None:
    reports = [report(gpu="GPU-aa"), report(gpu="GPU-bb"), report(gpu="GPU-cc", address="10.0.0.2")]
    for collective in ("horovod", "torch"):
        check_gpus(reports, collective, allow_shared=False)
    check_parts(reports)


def test_ranks_on_cpus_share_nothing() -> None:
    check_gpus([report("cpu"), report("cpu")], "torch", allow_shared=False)
    assert gpu_uuid(torch.device("cpu")) == ""


@pytest.mark.parametrize(
    ("reports", "where"),
    [
        ([report("cpu"), report("cpu", machine="b")], "on cpu, on host-a, host-b;"),
        ([report("cpu", machine=""), report("cpu", machine="")], "on cpu, on host-;"),
        ([report(), report()], "on cuda, on host-a;"),
    ],
)
def test_ranks_without_memory_in_common_do_not_add_up_through_it(reports: list[dict[str, Any]], where: str) -> None:
    check_machine([report("cpu"), report("cpu")], "memory")
    check_machine(reports, "horovod")
    with pytest.raises(ConfigurationError, match=rf"collective='memory' .*{where} use collective='horovod' or 'torch'"):
        check_machine(reports, "memory")


def test_two_ranks_on_one_gpu_are_refused_with_ranks_host_and_gpu() -> None:
    reports = [report(gpu="GPU-aa"), report(gpu="GPU-bb"), report(gpu="GPU-aa")]
    with pytest.raises(
        ConfigurationError, match=r"ranks 0, 2 on 10\.0\.0\.1 have the same GPU, GPU-aa; .*allowSharedGpu=True"
    ):
        check_gpus(reports, "horovod", allow_shared=False)


def test_ranks_may_share_a_gpu_where_the_collective_can() -> None:
    reports = [report(gpu="GPU-aa"), report(gpu="GPU-aa")]
    check_gpus(reports, "horovod", allow_shared=True)
    with pytest.raises(ConfigurationError, match="NCCL, by which collective='torch' adds up on GPUs, can't do that"):
        check_gpus(reports, "torch", allow_shared=True)


def test_ranks_on_other_devices_are_refused_with_what_each_has() -> None:
    with pytest.raises(
        ConfigurationError, match=r"ranks differ in device: cuda on ranks 0, 2, cpu on rank 1; device='cpu' trains"
    ):
        check_parts([report(), report("cpu"), report()])


def test_ranks_with_other_versions_are_refused_with_what_each_has() -> None:
    with pytest.raises(ConfigurationError, match=r"differ in torch: 2\.13\.0 on rank 0, 2\.12\.1 on rank 1; install"):
        check_parts([report(), report(torch="2.12.1")])


def named(name: str, leads_to: str, machine: str = "a") -> dict[str, Any]:
    addresses = ["10.0.0.1", "10.9.0.1"]
    return {**report("cpu", machine=machine), "name": name, "named": leads_to, "addresses": addresses}


@pytest.mark.parametrize(
    ("leads_to", "accepted"),
    [("10.0.0.1", True), ("10.9.0.1", False), ("127.0.1.1", False), ("", False), ("fe80::1", True), ("::1", False)],
)
def test_horovod_needs_a_name_that_leads_to_its_host(leads_to: str, accepted: bool) -> None:
    reports = [named("one", "10.0.0.1"), named("two", leads_to, machine="b")]
    for collective in ("torch", "memory"):
        check_names(reports, [[0], [0]], collective)
    if accepted:
        check_names(reports, [[0], [0]], "horovod")
    else:
        with pytest.raises(ConfigurationError, match=r"rank 1's host the name two leads to .*'10.0.0.1 two' to /etc/h"):
            check_names(reports, [[0], [0]], "horovod")


def test_on_one_machine_a_name_may_lead_to_loopback_but_must_lead_somewhere() -> None:
    check_names([named("one", "127.0.1.1")] * 2, [[0], [0]], "horovod")
    check_names([named("one", "")], [[0]], "horovod")
    with pytest.raises(ConfigurationError, match="leads to nothing"):
        check_names([named("one", "")] * 2, [[0], [0]], "horovod")


def test_processors_without_bfloat16_are_named_with_their_ranks_and_what_to_do() -> None:
    reports = [{"bfloat16": False}, {"bfloat16": True}, {"bfloat16": False}]
    warning = slow_precision(reports, "bfloat16")
    assert warning is not None
    assert "precision='bfloat16', but the processor of ranks 0, 2 has no instructions for bfloat16" in warning
    assert "set precision='float32'" in warning
    assert slow_precision(reports, "float32") is None
    assert slow_precision(reports[1:2], "bfloat16") is None
