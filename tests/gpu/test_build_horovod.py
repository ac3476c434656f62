from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.build_horovod import (
    FORWARDED_VARIABLES,
    build_environment,
    build_parts,
    cache_key,
    ensure_wheel,
    find_compiler,
    make_flags,
    run_pip,
    wheel_cache,
)

needs_compiler = pytest.mark.skipif(shutil.which(os.environ.get("CXX", "g++")) is None, reason="no C++ compiler here")


@needs_compiler
def test_the_key_changes_with_each_part() -> None:
    parts = build_parts(find_compiler())
    keys = {cache_key({**parts, name: "something else"}) for name in parts}
    assert len(keys | {cache_key(parts)}) == len(parts) + 1
    assert cache_key({name: parts[name] for name in reversed(parts)}) == cache_key(parts)
    assert cache_key(json.loads(json.dumps(parts))) == cache_key(parts)


@needs_compiler
def test_the_parts_name_what_a_wheel_depends_on() -> None:
    parts = build_parts(find_compiler())
    assert {"horovod", "torch", "python", "platform", "compiler", "environment"} <= set(parts)
    assert parts["torch"] == torch.__version__
    assert parts["horovod"] == "0.28.1"


@needs_compiler
@pytest.mark.parametrize("name", FORWARDED_VARIABLES)
def test_a_variable_that_a_gpu_build_needs_is_forwarded_and_changes_the_key(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name, raising=False)
    before = cache_key(build_parts(find_compiler()))
    assert name not in build_environment()
    monkeypatch.setenv(name, "NCCL")
    assert build_environment()[name] == "NCCL"
    assert cache_key(build_parts(find_compiler())) != before


@needs_compiler
def test_a_torch_without_gpus_has_the_key_that_it_had_before_nvcc_was_thought_of() -> None:
    parts = build_parts(find_compiler())
    assert ("nvcc" in parts) == (torch.version.cuda is not None)
    assert parts["standard"] == "-std=gnu++20"


@needs_compiler
def test_a_failed_build_shows_the_compiler_s_error_before_the_end_of_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    (tmp_path / "faulty.cc").write_text("int main() { return nothing_of_this_name; }")
    script = f"""
import subprocess, sys
failed = subprocess.run([{find_compiler()!r}, "-c", "faulty.cc"]).returncode
print(*(f"frame {{number}} of a trace" for number in range(200)), sep="\\n", flush=True)
sys.exit(failed)
"""
    (tmp_path / "setup.py").write_text(script)
    with pytest.raises(ConfigurationError) as raised:
        run_pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path), str(tmp_path))
    message = str(raised.value)
    assert message.startswith("pip wheel failed while building Horovod:\n")
    assert "error: 'nothing_of_this_name' was not declared" in message
    assert message.index("nothing_of_this_name") < message.index("frame 199 of a trace")
    assert len(message.splitlines()) < 100


def test_a_missing_compiler_is_an_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nonexistent")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"/nonexistent.*install g\+\+"):
        find_compiler()
    with pytest.raises(ConfigurationError, match="numWorkers=1"):
        ensure_wheel()
    assert list(tmp_path.iterdir()) == []


@needs_compiler
def test_a_wheel_in_the_cache_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # a build would fail at once, and change nothing here
    folder = wheel_cache(build_parts(find_compiler()))
    assert folder.is_relative_to(tmp_path)
    folder.mkdir(parents=True)
    wheel = folder / "horovod-0.28.1-cp311-cp311-linux_x86_64.whl"
    wheel.touch()
    (folder / f".{wheel.name}.123").touch()  # left by a build that was stopped
    assert ensure_wheel() == wheel


def test_the_cache_is_in_the_home_folder_where_nothing_else_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert wheel_cache({"a": 1}) == tmp_path / ".cache" / "sparkwater" / "horovod" / cache_key({"a": 1})


def test_the_build_takes_all_processors_under_a_make_whose_job_server_it_can_not_reach() -> None:
    everything = f"-j{os.cpu_count()}"
    assert make_flags("") == everything
    assert make_flags(" -j2 --jobserver-auth=3,4") == everything
    assert make_flags("-j1") == "-j1"
