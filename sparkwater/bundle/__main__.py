"""Bundles at the command line: ``python -m sparkwater.bundle verify|describe|score``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sparkwater.bundle.scorer.bundle import Bundle
from sparkwater.bundle.scorer.row_files import read_rows, write_rows
from sparkwater.errors import SparkwaterError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line; that of the process without it.

    Returns
    -------
    int
        The exit code: 0, or 1 where the bundle or the rows are refused.
    """
    given = _parser().parse_args(arguments)
    try:
        said = given.run(Bundle.load(given.bundle), given)
        sys.stdout.write(f"{said}\n" if said else "")
    except SparkwaterError as error:
        sys.stderr.write(f"{given.command} failed: {type(error).__name__}: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sparkwater.bundle", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, run, words in (
        ("verify", _verify, "check all files, and score the test vectors"),
        ("describe", _describe, "show inputs, outputs, metrics and versions"),
        ("score", _score, "score the rows of a file"),
    ):
        command = commands.add_parser(name, help=words, description=words)
        command.add_argument("bundle", help="the bundle's folder")
        command.set_defaults(run=run)
    command.add_argument("rows", help="a file .csv, .json, .jsonl or .parquet, a picture, or a folder of pictures")
    command.add_argument("--output", help="a file .csv or .jsonl to write; JSON lines to the terminal without it")
    return parser


def _verify(bundle: Bundle, given: argparse.Namespace) -> str:
    del given
    found = bundle.verify()
    lines = [f"  {name}: {value:.3g}" for name, value in found.differences.items()]
    return "\n".join([f"{found.rows} rows and {found.pictures} pictures as expected; largest differences:", *lines])


def _describe(bundle: Bundle, given: argparse.Namespace) -> str:
    del given
    return bundle.describe()


def _score(bundle: Bundle, given: argparse.Namespace) -> str:
    found = bundle.predict(read_rows(Path(given.rows), bundle.signature))
    if given.output is None:
        write_rows(found, sys.stdout, as_csv=False)
        return ""
    with Path(given.output).open("w", encoding="utf-8", newline="") as file:
        count = write_rows(found, file, given.output.endswith(".csv"))
    return f"wrote {count} rows to {given.output}"


if __name__ == "__main__":
    raise SystemExit(main())
