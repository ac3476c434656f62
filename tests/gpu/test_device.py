from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from sparkwater.errors import ConfigurationError
from sparkwater.gpu import device
from sparkwater.gpu.device import computes_bfloat16, device_here, select_device, visible_index

without_gpu = pytest.mark.skipif(torch.cuda.device_count() > 0, reason="says what happens where there is no GPU")


@pytest.mark.parametrize("addresses", [[], ["0"], ["0", "1"]])
def test_cpu_is_what_it_says(addresses: list[str]) -> None:
    assert select_device("cpu", addresses, 0, 1) == torch.device("cpu")


@without_gpu
@pytest.mark.parametrize("addresses", [[], ["0"], ["3"]])
@pytest.mark.parametrize(("local_rank", "local_size"), [(0, 1), (1, 2)])
def test_auto_is_the_cpu_where_there_is_no_gpu(addresses: list[str], local_rank: int, local_size: int) -> None:
    assert select_device("auto", addresses, local_rank, local_size) == torch.device("cpu")


@without_gpu
def test_cuda_without_a_gpu_is_refused_with_what_spark_gave() -> None:
    with pytest.raises(ConfigurationError, match=r"rank 1 of 2.*none.*sees 0.*auto, cpu") as caught:
        select_device("cuda", [], 1, 2)
    assert torch.__version__ in str(caught.value)
    with pytest.raises(ConfigurationError, match=r"rank 0 of 1.*\['5'\]"):
        select_device("cuda", ["5"], 0, 1)


def test_an_address_is_torchs_index_where_nothing_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [visible_index(address) for address in ("0", "1", "7")] == [0, 1, 7]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_index("3") == 3


@pytest.mark.parametrize(
    ("visible", "address", "index"),
    [
        ("0,1,2", "2", 2),
        ("2,3", "2", 0),
        ("2,3", "3", 1),
        (" 5 , 4 ", "4", 1),
        ("GPU-aa,GPU-bb", "GPU-bb", 1),
        ("12,1", "1", 1),
    ],
)
def test_an_address_is_counted_among_the_visible_devices(
    visible: str, address: str, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_index(address) == index


def test_a_uuid_is_found_among_the_gpus_that_torch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_index("GPU-bb", ["GPU-aa", "GPU-bb"]) == 1
    with pytest.raises(ConfigurationError, match="Spark gave the GPU 'GPU-cc'; CUDA_VISIBLE_DEVICES lists none"):
        visible_index("GPU-cc", ["GPU-aa", "GPU-bb"])


def test_a_rank_that_sees_only_its_own_gpu_uses_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-aa")
    assert visible_index("3") == 0


@pytest.mark.skipif(platform.machine() != "x86_64", reason="/proc/cpuinfo names other instructions elsewhere")
def test_a_processor_computes_bfloat16_by_instructions_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {flag for line in Path("/proc/cpuinfo").read_text().splitlines() for flag in line.split()}
    assert computes_bfloat16(torch.device("cpu")) == bool({"avx512_bf16", "amx_bf16"} & flags)
    assert computes_bfloat16(torch.device("cuda"))
    for known, computes in ((("sse2",), True), ((), False)):
        monkeypatch.setattr(device, "BFLOAT16_INSTRUCTIONS", known)
        assert computes_bfloat16(torch.device("cpu")) == computes


def test_workers_on_machines_like_this_one_get_the_device_that_is_asked_for() -> None:
    kinds = [device_here(requested).type for requested in ("cpu", "cuda", "auto")]
    assert kinds == ["cpu", "cuda", "cuda" if torch.cuda.device_count() else "cpu"]
