from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkwater.conversions.tensors.buffer import TensorBuffer, local_directory
from sparkwater.conversions.tensors.spec import DTYPES, TensorSpec
from sparkwater.errors import ConfigurationError


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(1, 3), max_size=3),
    sizes=st.lists(st.integers(0, 5), max_size=6),
    limit=st.one_of(st.none(), st.integers(0, 200)),
)
def test_what_goes_in_comes_out_bit_for_bit(dtype: str, shape: list[int], sizes: list[int], limit: int | None) -> None:
    spec = TensorSpec(dtype, shape)
    rows = sum(sizes)
    raw = np.random.default_rng(rows).integers(0, 2 if dtype == "bool" else 256, rows * spec.nbytes, dtype=np.uint8)
    values = raw.view(spec.numpy_dtype).reshape(rows, *spec.shape)
    buffer = TensorBuffer(spec, limit)
    for start, size in zip(np.cumsum([0, *sizes]), sizes, strict=False):
        buffer.append(values[start : start + size])
    assert len(buffer) == rows
    found = buffer.tensors()
    assert found.shape == values.shape
    assert found.tobytes() == values.tobytes()
    assert len(buffer) == 0


def test_the_limit_decides_where_tensors_are(tmp_path: Path) -> None:
    spec = TensorSpec("uint8", (100,))
    buffer = TensorBuffer(spec, 250, str(tmp_path))
    buffer.append(np.zeros((2, 100), np.uint8))
    assert buffer.in_memory
    buffer.append(np.ones((1, 100), np.uint8))
    assert not buffer.in_memory
    values = buffer.tensors()
    assert values[:, 0].tolist() == [0, 0, 1]
    assert not values.flags.writeable
    assert list(tmp_path.iterdir()) == []


def test_the_file_ends_with_its_tensors(tmp_path: Path) -> None:
    spec = TensorSpec("uint8", (1 << 20,))
    buffer = TensorBuffer(spec, 0, str(tmp_path))
    buffer.append(np.zeros((4, 1 << 20), np.uint8))
    values = buffer.tensors()
    assert mapped_files(tmp_path) == 1
    assert values[3].sum() == 0  # readable while it is held
    del values
    assert mapped_files(tmp_path) == 0


def mapped_files(folder: Path) -> int:
    return sum(str(folder) in line for line in Path("/proc/self/maps").read_text().splitlines())


#: Prints how many bytes more than before were resident at once while a buffer grew to 256 MiB.
GROWING = """
from pathlib import Path
import numpy as np
from sparkwater.conversions.tensors.buffer import TensorBuffer
from sparkwater.conversions.tensors.spec import TensorSpec

def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

buffer, part = TensorBuffer(TensorSpec("uint8", (1 << 20,))), np.ones((16, 1 << 20), np.uint8)
before = resident("VmRSS")
for _ in range(16):
    buffer.append(part)
assert len(buffer) == 256
print(resident("VmHWM") - before)
"""


def test_growing_needs_no_second_copy() -> None:
    # A process of its own: the peak of this one may be that of an earlier test.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-c", GROWING],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert 256 * 2**20 < int(done.stdout) < 1.15 * 256 * 2**20


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("there is no device that is always full")
    buffer = TensorBuffer(TensorSpec("uint8", (8,)), 0, str(tmp_path))
    buffer._file = Path("/dev/full").open("wb")  # noqa: SIM115 - the buffer closes it
    with pytest.raises(ConfigurationError, match="No space left"):
        buffer.append(np.zeros((1, 8), np.uint8))


def test_spark_s_local_directory_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_LOCAL_DIRS", "/one,/two")
    assert local_directory() == "/one"
