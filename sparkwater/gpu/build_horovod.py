"""Build of Horovod for the installed torch, kept in a cache of wheels.

``python -m sparkwater.gpu.build_horovod`` is the whole interface. Horovod 0.28.1 is the newest
release and asks for C++17 at most, while the headers of current torch releases need C++20, so
the compiler is wrapped to raise the standard. The wheel is kept in the user's cache under a key
made of everything it depends on; a second environment with the same parts installs it in seconds.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sparkwater.errors import ConfigurationError

logger = logging.getLogger(__name__)

HOROVOD_VERSION = "0.28.1"
CXX_STANDARD = "-std=gnu++20"
#: Horovod's build asks for debug information, which takes a good part of the time and most of the wheel. Of several
#: such flags the last one counts.
WITHOUT_DEBUG_INFO = "-g0"
#: Headers that Horovod's code takes for granted, though those of GCC 13 no longer include each other. No part of the
#: key: a build that works without them gives the same wheel.
MISSING_HEADERS = "-include string -include cstdint"
#: What nvcc reads has been preprocessed by the wrapped compiler. Of several standards the last one counts.
NVCC_STANDARD = "-std=c++20"
BUILD_FLAGS: Mapping[str, str] = {
    "HOROVOD_WITH_PYTORCH": "1",
    "HOROVOD_WITHOUT_TENSORFLOW": "1",
    "HOROVOD_WITHOUT_MXNET": "1",
    "HOROVOD_WITHOUT_MPI": "1",
    "HOROVOD_WITH_GLOO": "1",
}
#: What a GPU build is configured with, from Horovod's installation guide.
FORWARDED_VARIABLES = (
    "HOROVOD_GPU_OPERATIONS",
    "HOROVOD_CUDA_HOME",
    "HOROVOD_NCCL_HOME",
    "HOROVOD_NCCL_LINK",
    "HOROVOD_BUILD_CUDA_CC_LIST",
)
#: Lines of a failed command's output that are shown: its last ones, and the first errors before them.
SHOWN_LINES, SHOWN_ERRORS = 40, 20
BUILD_REQUIREMENTS = ("setuptools<80", "wheel", "packaging", "cloudpickle", "psutil", "pyyaml", "cffi")


def find_compiler() -> str:
    """Return the path of the C++ compiler, from ``CXX`` or ``g++``.

    Raises
    ------
    ConfigurationError
        If there is none; the message says what to install.
    """
    name = os.environ.get("CXX", "g++")
    path = shutil.which(name)
    if path is None:
        raise ConfigurationError(
            f"no C++ compiler: {name!r} is not on the PATH. Install one (Debian, Ubuntu: apt-get "
            "install g++), or train with numWorkers=1, which doesn't need Horovod."
        )
    return path


def compiler_version(compiler: str) -> str:
    """Return the first line of the compiler's ``--version``."""
    return _output([compiler, "--version"]).splitlines()[0]


def build_environment() -> dict[str, str]:
    """Return the environment variables of the build."""
    forwarded = {name: os.environ[name] for name in FORWARDED_VARIABLES if name in os.environ}
    return {**BUILD_FLAGS, **forwarded}


def cache_key(parts: Mapping[str, object]) -> str:
    """Return a short name for one combination of everything that the wheel depends on."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def wheel_cache(parts: Mapping[str, object]) -> Path:
    """Return the folder of the user's cache that holds the wheel for these parts."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "sparkwater" / "horovod" / cache_key(parts)


def build_parts(compiler: str) -> dict[str, object]:
    """Return everything that a built wheel depends on."""
    import torch  # may be missing, which `ensure_wheel` reports

    return {
        "horovod": HOROVOD_VERSION,
        "torch": version("torch"),
        "python": sys.implementation.cache_tag,
        "platform": sysconfig.get_platform(),
        "libc": platform.libc_ver(),
        "compiler": compiler_version(compiler),
        "standard": CXX_STANDARD,
        "environment": build_environment(),
        # Only a torch for GPUs has Horovod compiled by nvcc.
        **({"nvcc": NVCC_STANDARD} if torch.version.cuda else {}),
    }


def ensure_wheel() -> Path:
    """Return the wheel for this environment, building it where the cache has none."""
    try:
        version("torch")
    except PackageNotFoundError:
        raise ConfigurationError("Horovod is built against torch, which is not installed: pip install torch") from None
    compiler = find_compiler()
    parts = build_parts(compiler)
    folder = wheel_cache(parts)
    for wheel in sorted(folder.glob("horovod-*.whl")):
        logger.info("using the cached wheel %s", wheel)
        return wheel
    logger.info("building Horovod %s; this takes about three minutes on two cores", HOROVOD_VERSION)
    return _build(compiler, folder, parts)


def _build(compiler: str, folder: Path, parts: Mapping[str, object]) -> Path:
    run_pip("install", *BUILD_REQUIREMENTS)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sparkwater-horovod-") as name:
        work = Path(name)
        environment = {
            **os.environ,
            **build_environment(),
            "CXX": str(_compiler_wrapper(compiler, work)),
            "CXXFLAGS": _with_flags("CXXFLAGS", MISSING_HEADERS),
            "NVCC_APPEND_FLAGS": _with_flags("NVCC_APPEND_FLAGS", NVCC_STANDARD),
            "HOROVOD_CMAKE": _find_cmake(work),
            "MAKEFLAGS": make_flags(os.environ.get("MAKEFLAGS", "")),
        }
        requirement = f"horovod=={HOROVOD_VERSION}"
        run_pip("wheel", "--no-deps", "--no-build-isolation", "--no-binary", "horovod", "--no-cache-dir",
             "--wheel-dir", str(work / "wheel"), requirement, env=environment)  # fmt: skip
        built = next((work / "wheel").glob("horovod-*.whl"))
        # Beside the target first: a build that is stopped half-way must not leave half a wheel.
        beside = Path(shutil.copy(built, folder / f".{built.name}.{os.getpid()}"))
        (folder / "parts.json").write_text(json.dumps(parts, indent=2))
        return beside.rename(folder / built.name)


def make_flags(given: str) -> str:
    """Return the flags of the build's make: those given, or as many processes as there are processors.

    Those of a make that calls this program say where its job server is; a make that isn't its child can't reach it, and
    would compile a file at a time.
    """
    return given if given and "--jobserver" not in given else f"-j{os.cpu_count() or 1}"


def _with_flags(variable: str, flags: str) -> str:
    return f"{os.environ.get(variable, '')} {flags}".strip()


def _compiler_wrapper(compiler: str, folder: Path) -> Path:
    wrapper = folder / "c++"
    wrapper.write_text(f'#!/bin/sh\nexec "{compiler}" "$@" {CXX_STANDARD} {WITHOUT_DEBUG_INFO}\n')
    wrapper.chmod(0o755)
    return wrapper


def _find_cmake(folder: Path) -> str:
    """Return a CMake from 3.13 up to, not including, 4: Horovod's build file is refused by CMake 4."""
    path = shutil.which("cmake")
    if path is not None:
        release = _output([path, "--version"]).split()[2]
        major, minor = (int(part) for part in release.split(".")[:2])
        if (3, 13) <= (major, minor) < (4, 0):
            return path
    run_pip("install", "--target", str(folder / "cmake"), "cmake>=3.13,<4")
    return str(folder / "cmake" / "cmake" / "data" / "bin" / "cmake")


def run_pip(*arguments: str, env: Mapping[str, str] | None = None) -> None:
    """Run pip of this Python.

    Raises
    ------
    ConfigurationError
        If it fails, with the errors in its output.
    """
    command = [sys.executable, "-m", "pip", *arguments]
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise ConfigurationError(f"pip {arguments[0]} failed while building Horovod:\n{_excerpt(done.stdout)}")


def _excerpt(output: str) -> str:
    """Return the end of an output, after the compiler's errors, which setup scripts follow up by long traces."""
    lines = output.splitlines()
    errors = [line for line in lines[:-SHOWN_LINES] if "error:" in line]
    return "\n".join([*errors[:SHOWN_ERRORS], *lines[-SHOWN_LINES:]])


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Build Horovod where needed, install it, and check that it imports."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        wheel = ensure_wheel()
        run_pip("install", str(wheel))
    except ConfigurationError as error:
        logger.error("%s", error)
        return 1
    subprocess.run([sys.executable, "-c", "import horovod.torch"], check=True)
    logger.info("Horovod %s is installed", HOROVOD_VERSION)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
