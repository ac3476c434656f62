"""A Python that gets its packages by and by: links to those of this process's."""

from __future__ import annotations

import sysconfig
import venv
from collections.abc import Callable, Iterable
from pathlib import Path

from conftest import ROOT

_PACKAGES = Path(sysconfig.get_path("purelib"))
#: What pyspark has beyond pyspark-client: the part without which it takes itself for that, and what needs Java.
_CLASSIC = {"core", "jars", "bin", "sbin"}


def but_this_package(name: str) -> bool:
    """Return whether a file or folder of packages is another one than this repository's."""
    return not name.startswith(("__editable__", "sparkwater"))


class BarePython:
    """A Python without packages; those of this process's are linked into it when asked.

    Parameters
    ----------
    folder : pathlib.Path
        Its folder, which is not there yet.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder)
        self.executable = folder / "bin" / "python"
        self._packages = next(folder.glob("lib/python3*/site-packages"))

    def link(self, wanted: Callable[[str], bool]) -> None:
        """Link the packages whose names are wanted, this repository's own one among them."""
        _link([*_PACKAGES.iterdir(), ROOT / "sparkwater"], self._packages, wanted)

    def link_thin_client(self) -> None:
        """Link all packages, but of Spark what pyspark-client has: neither Py4J nor a JVM."""
        self.link(lambda name: not name.startswith(("__editable__", "py4j", "pyspark")))
        (self._packages / "pyspark").mkdir()
        _link((_PACKAGES / "pyspark").iterdir(), self._packages / "pyspark", lambda name: name not in _CLASSIC)


def _link(paths: Iterable[Path], folder: Path, wanted: Callable[[str], bool]) -> None:
    for path in paths:
        target = folder / path.name
        if wanted(path.name) and not target.exists():
            target.symlink_to(path)
