"""Check that mypy accepts ``tests/typing/good.py``, and finds the marked errors of ``bad.py`` and no others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path("tests") / "typing"


def marked(path: Path) -> set[tuple[str, int, str]]:
    """Return the file, line and code of each error that a comment announces."""
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    return {(path.name, number, code) for number, line in lines for code in re.findall(r"# error: ([\w-]+)$", line)}


def found(paths: list[Path]) -> set[tuple[str, int, str]]:
    """Return the errors that mypy finds."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-pretty", "--hide-error-context", *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
    )
    errors = re.findall(r"^(\S+?):(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE)
    if done.returncode not in (0, 1) or len(errors) != done.stdout.count(": error: "):
        sys.exit(done.stdout + done.stderr)
    return {(Path(name).name, int(number), code) for name, number, code in errors}


def main() -> None:
    """Compare what is announced with what is found."""
    paths = [FOLDER / "good.py", FOLDER / "bad.py"]
    expected = set().union(*map(marked, paths))
    errors = found(paths)
    lines = [f"{name}:{number}: mypy finds no error [{code}]" for name, number, code in sorted(expected - errors)]
    lines += [f"{name}:{number}: unannounced error [{code}]" for name, number, code in sorted(errors - expected)]
    if lines:
        sys.exit("\n".join(lines))


if __name__ == "__main__":
    main()
