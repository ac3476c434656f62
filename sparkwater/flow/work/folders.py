"""The folders that a flow may read and write: no path leads outside of them, by its name or by a link in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sparkwater.errors import ConfigurationError

#: Characters of Hadoop's patterns of paths; alternatives in braces may hold slashes.
_PATTERN = frozenset("*?[]{}\\")


@dataclass(frozen=True)
class Entry:
    """A file or folder in a list.

    Attributes
    ----------
    name : str
        Its name, as `readable` gives it.
    path : str
        Its full path.
    is_folder : bool
        True for folders.
    bytes : int
        Size of a file; 0 for folders.
    """

    name: str
    path: str
    is_folder: bool
    bytes: int = 0


class Folders:
    """The folders given at start, and all below them.

    Parameters
    ----------
    roots : iterable of str or Path
        Folders that are there.

    Raises
    ------
    ConfigurationError
        If there is none, one isn't a folder, or a path is given in place of a list.
    """

    def __init__(self, roots: Iterable[str | Path]) -> None:
        if isinstance(roots, (str, Path)):
            raise ConfigurationError(f"folders={str(roots)!r} is one path; give a list of folders, such as ['data']")
        self.roots = tuple(Path(root).expanduser().resolve() for root in roots)
        if not self.roots:
            raise ConfigurationError("give at least one folder whose files the flow may read")
        for root in self.roots:
            if not root.is_dir():
                raise ConfigurationError(f"there is no folder {str(root)!r}")

    def within(self, path: str) -> Path:
        """Return a whole path with all links resolved.

        Raises
        ------
        ConfigurationError
            If it lies outside of the folders, isn't a whole path, has letters that aren't UTF-8, or Spark would read
            it as a pattern, which may stand for other paths. A path that isn't there yet is fine.
        """
        if readable(path) != path:
            raise ConfigurationError(f"{path[:200]!r} isn't in UTF-8, which Spark asks for; rename the file or folder")
        # Hadoop takes the first name after two slashes for a host, and the rest for the path.
        if not path.startswith("/") or path.startswith("//") or "\0" in path or ".." in path.split("/"):
            raise ConfigurationError(f"{path[:200]!r} is no whole path of this machine, such as /data/pictures")
        if found := sorted(_PATTERN & set(path)):
            raise ConfigurationError(
                f"{path[:200]!r} has {' '.join(found)} in it, which Spark reads as a pattern; rename the file or folder"
            )
        try:
            resolved = Path(path).resolve()
        except (OSError, RuntimeError) as error:  # a link to itself
            raise ConfigurationError(f"{path[:200]!r} leads nowhere: {error}") from error
        if not self._is_inside(resolved):
            named = ", ".join(map(str, self.roots))
            raise ConfigurationError(f"{path[:200]!r} is outside of the folders given at start: {named}")
        # Hadoop takes what is before it for a scheme; and Path.is_file raises for names that are too long.
        if ":" in resolved.name and os.path.isfile(resolved):  # noqa: PTH113
            raise ConfigurationError(f"{path[:200]!r} has : in its name, by which Spark reads no file; rename the file")
        return resolved

    def check_links(self, path: str) -> Path:
        """Return what `within` gives, and refuse a folder in which a link leads outside: Spark would follow it.

        What Spark leaves out by its name is left out: see `is_read`.

        Raises
        ------
        ConfigurationError
            With the link.
        """
        self.below(path)
        return self.within(path)

    def below(self, path: str) -> set[Path]:
        """Return a file or folder, and all folders in it that Spark reads; with links resolved.

        Raises
        ------
        ConfigurationError
            As `check_links`.
        """
        place = self.within(path)
        seen, found = {place}, [place]
        while found:
            inner = self._inner_folders(found.pop())
            found += inner - seen
            seen |= inner
        return seen

    def _inner_folders(self, folder: Path) -> set[Path]:
        inner = set()
        with suppress(OSError), os.scandir(folder) as listed:  # Spark says why it can't read one
            for each in listed:
                if is_read(each.name) and (each.is_symlink() or each.is_dir()):
                    target = Path(each.path)
                    if each.is_symlink():
                        target = self._target(each.path)
                    if os.path.isdir(target):  # noqa: PTH112 - Path.is_dir raises for names that are too long
                        inner.add(target)
        return inner

    def _target(self, link: str) -> Path:
        with suppress(OSError, RuntimeError):
            target = Path(link).resolve()
            if self._is_inside(target):
                return target
        raise ConfigurationError(
            f"the link {link[:200]!r} leads outside of the folders given at start; give the folder it leads to as well"
        )

    def check_free(self, path: str) -> None:
        """Refuse a path at which there is something already.

        Raises
        ------
        ConfigurationError
            With ways out.
        """
        if self.within(path).exists():
            raise ConfigurationError(
                f"{path[:200]!r} exists already; tick 'Replace what is there', or name another folder"
            )

    def check_replaceable(self, path: str) -> None:
        """Refuse a folder that would be deleted to be written anew, and is no model.

        Raises
        ------
        ConfigurationError
            If the path is one of the folders given at start, or holds something else than a model or a bundle.
        """
        place = self.within(path)
        if any(place == root or place in root.parents for root in self.roots):
            raise ConfigurationError(f"{path[:200]!r} is given at start and isn't replaced; name a folder in it")
        if (place.is_dir() and any(place.iterdir()) and not _is_model(place)) or place.is_file():
            raise ConfigurationError(
                f"what is at {path[:200]!r} is no saved model and no bundle, so it isn't replaced; name another folder"
            )

    def entries(self, path: str) -> list[Entry]:
        """Return what is in a folder: folders first, by name; hidden files are left out.

        Links that lead outside are left out as well.

        Raises
        ------
        ConfigurationError
            If it is no folder, lies outside, or may not be read.
        """
        folder = self.within(path)
        if not folder.is_dir():
            raise ConfigurationError(f"there is no folder {path[:200]!r}")
        try:
            with os.scandir(folder) as listed:
                found = [self._entry(each) for each in listed if self._is_listed(each)]
        except OSError as error:
            raise ConfigurationError(f"the folder {path[:200]!r} can't be read: {error.strerror}") from error
        return sorted(found, key=lambda entry: (not entry.is_folder, entry.name.lower(), entry.name))

    def _entry(self, found: os.DirEntry[str]) -> Entry:
        is_folder = found.is_dir()
        return Entry(readable(found.name), found.path, is_folder, 0 if is_folder else _size(found))

    def _is_listed(self, found: os.DirEntry[str]) -> bool:
        if found.name.startswith("."):
            return False
        try:
            found.is_dir()
            return not found.is_symlink() or self._is_inside(Path(found.path).resolve())
        except (OSError, RuntimeError):  # a link to itself
            return False

    def _is_inside(self, resolved: Path) -> bool:
        return any(resolved == root or root in resolved.parents for root in self.roots)


def _is_model(folder: Path) -> bool:
    """Return whether a folder is a stage as Spark ML saves it, or a bundle."""
    return any((folder / "metadata").glob("part-*")) or all(
        (folder / name).is_file() for name in ("manifest.json", "model.onnx")
    )


def is_read(name: str) -> bool:
    """Return whether Spark reads what has this name in a folder, as its ``HadoopFSUtils.shouldFilterOutPathName``."""
    hidden = name.startswith(".") or (name.startswith("_") and "=" not in name)
    return not hidden or name.startswith(("_metadata", "_common_metadata"))


def readable(name: str) -> str:
    """Return a name of a file with a mark in place of what isn't UTF-8; pages can't be sent such letters."""
    return name.encode("utf-8", "replace").decode()


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:
        return 0
