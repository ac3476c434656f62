"""The shipped digits, the GPU discovery script, and the check of what must be installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from both_sets import SUITES, by_turns
from conftest import ROOT

from sparkwater.conversions.images.decoding import decode_image


def test_shipped_digits_are_as_described():
    archive = ROOT / "data" / "mnist_png.tar.gz"
    assert archive.stat().st_size < 4_000_000
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        file = tar.extractfile(names[0])
        assert file is not None
        assert decode_image(file.read(), 28, 28, 1).shape == (1, 28, 28)
    counts = Counter(tuple(name.split("/")[:2]) for name in names)
    assert {part for part, _ in counts} == {"training", "testing"}
    assert sum(count for (part, _), count in counts.items() if part == "training") == 10_000
    assert sum(count for (part, _), count in counts.items() if part == "testing") == 2_000
    # MNIST's own shares: 6,742 of 60,000 are ones, 5,421 fives.
    assert counts["training", "1"] == round(6_742 / 6)
    assert counts["training", "5"] in (903, 904)


HANGING = """
from hypothesis import given
from hypothesis import strategies as st

@given(st.none())
def test_hangs(_):
    while True:
        pass
"""


def test_a_hang_under_hypothesis_ends_at_the_time_limit(tmp_path):
    (tmp_path / "test_hangs.py").write_text(HANGING)
    options = ["-p", "conftest", "-p", "no:cacheprovider", "--timeout", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_hangs.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "+ Timeout +" in done.stdout + done.stderr


def test_quick_tests_are_those_that_need_neither_sessions_nor_petastorm():
    """Tests that start a session, or ranks, through functions of their own module are left out too."""
    quick = "not spark and not cluster and not slow and not petastorm"
    assert f"\nQUICK := {quick}\n" in (ROOT / "Makefile").read_text()
    files = (
        "gpu/test_plan.py",
        "ml/test_summary.py",
        "gpu/test_collectives.py",
        "conversions/test_petastorm_codecs.py",
        "jobs/test_programs.py",
        "distributed/test_local_cluster.py",
        "faults/test_rank_faults.py",
    )
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", quick]
    done = subprocess.run(
        [*command, *(f"tests/{name}" for name in files)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_a_rank_that_raises" not in done.stdout
    found = {line.split(":")[0] for line in done.stdout.splitlines() if line.startswith("tests/")}
    assert found == {f"tests/{name}" for name in ("gpu/test_collectives.py", "gpu/test_plan.py")}


def test_suites_of_both_sets_are_of_every_folder_that_meets_packages_with_two_versions():
    tests = ROOT / "tests"
    assert all((tests / suite).exists() for suite in SUITES)
    assert {suite.split("/")[0] for suite in SUITES} >= {
        path.parent.name for path in (ROOT / "sparkwater").glob("*/__init__.py")
    }
    for target, chosen in (
        ("test-quick", "not newest and $(QUICK)"),
        ("test-spark", "not newest and not ($(QUICK))"),
        ("test-latest", "not house"),
    ):
        recipe = (ROOT / "Makefile").read_text().split(f"\n{target}:")[1].split("\n\n")[0]
        assert f'$(PYTEST) -m "{chosen}"' in recipe


def test_programs_take_turns_but_for_those_that_call_pandas_themselves():
    programs = {"a": "x = 1", "b": "import numpy\nimport pandas as pd", "c": "# import pandas", "d": "import torch"}
    marks = [[mark.name for mark in param.marks] for param in by_turns(programs)]
    assert marks == [["house"], [], ["newest"], ["house"]]


def executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_gpu_discovery_speaks_sparks_json(tmp_path):
    executable(tmp_path / "nvidia-smi", "printf '0\\n1\\n'")
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        [ROOT / "conf" / "discover_gpus.sh"], env={"PATH": path}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": ["0", "1"]}
    done = subprocess.run(
        [ROOT / "conf" / "discover_gpus.sh"],
        env={"PATH": path, "CUDA_VISIBLE_DEVICES": "2, GPU-aa"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": ["2", "GPU-aa"]}


@pytest.fixture
def tools(tmp_path) -> Path:
    """A folder with nothing on the PATH but a shell's tools, this Python, a Java 17 and a compiler."""
    for name in ("sh", "bash", "sed", "head", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    executable(tmp_path / "java", "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2")
    executable(tmp_path / "g++", "true")
    return tmp_path


def check(tools: Path, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "check_prerequisites.sh"
    return subprocess.run(
        [tools / "bash", script, python], env={"PATH": str(tools)}, capture_output=True, text=True, check=False
    )


def test_everything_there_passes_in_silence(tools):
    done = check(tools)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_missing_is_named_together(tools):
    (tools / "java").unlink()
    (tools / "g++").unlink()
    done = check(tools, "no-such-python")
    assert done.returncode == 1
    for part in (
        "Python 3.10, 3.11 or 3.12",
        "Java is missing",
        "openjdk-17",
        "C++ compiler is missing",
        "apt-get install g++",
    ):
        assert part in done.stderr


@pytest.mark.parametrize("version", ["11.0.2", "25.0.1", "1.8.0_402"])
def test_java_that_spark_does_not_run_on_is_refused(tools, version):
    executable(tools / "java", f"echo 'openjdk version \"{version}\"' >&2")
    done = check(tools)
    assert done.returncode == 1
    assert f"Java {version.split('.')[0]} doesn't fit: Spark 4 runs on Java 17 or 21" in done.stderr


def setup_browser(tools: Path, *arguments: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "setup_browser.sh"
    command = [str(tools / "bash"), str(script), *map(str, arguments)]
    return subprocess.run(command, env={"PATH": str(tools), **environment}, capture_output=True, text=True, check=False)


def test_a_machine_that_can_t_test_the_web_face_is_told_what_to_install(tools, tmp_path):
    for name in ("mkdir", "id", "env"):
        (tools / name).symlink_to(shutil.which(name) or name)
    packages = tmp_path / "packages"
    done = setup_browser(tools, packages)
    assert (done.returncode, "chromium is missing" in done.stderr) == (1, True)
    executable(tools / "chromium", "true")
    done = setup_browser(tools, packages)
    assert done.returncode == 1
    assert "axe is missing, and npm, which comes with Node, is what installs it: install it" in done.stderr
    assert "SPARKWATER_WITHOUT_BROWSER=1" in done.stderr
    done = setup_browser(tools, packages, SPARKWATER_WITHOUT_BROWSER="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "axe is missing: the web face's accessibility is not tested" in done.stdout
    assert setup_browser(tools).returncode == 0  # pictures need a browser alone
    executable(
        tools / "npm", f"mkdir -p {packages}/node_modules/axe-core; : >{packages}/node_modules/axe-core/axe.min.js"
    )
    assert setup_browser(tools, packages).returncode == 0
    assert "setup_browser.sh build/node" in (ROOT / "Makefile").read_text()
