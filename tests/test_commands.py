"""Commands in the documentation: their targets, programs, options and extras are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
from conftest import ROOT


def read(page: str) -> str:
    return (ROOT / page).read_text()


PAGES = sorted(path.relative_to(ROOT).as_posix() for part in ("*.md", "docs/**/*.md") for path in ROOT.glob(part))
EXTRAS = set(
    re.findall(r"^(\w+) = \[", read("pyproject.toml").split("[project.optional-dependencies]")[1], re.MULTILINE)
)
TARGETS = {name for line in re.findall(r"^([\w./ -]+):(?!=)", read("Makefile"), re.MULTILINE) for name in line.split()}
#: Options that programs share are those of spark-submit's programs.
SHARED = "".join(path.read_text() for path in (ROOT / "sparkwater").glob("*.py"))


def commands(text: str) -> Iterator[str]:
    """Yield each line of a page's blocks without a language, and what stands in backticks."""
    for block in re.findall(r"^```\n((?:.*\n)*?)```$", text, re.MULTILINE):
        yield from (line.partition("  #")[0] for line in block.replace("\\\n", " ").splitlines())
    yield from re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*\n(?:.*\n)*?```$", "", text, flags=re.MULTILINE))


def wrong(command: str) -> list[str]:
    """Return what a command names and what isn't there."""
    found = re.fullmatch(r"make ((?:[\w=./-]+ ?)+)", command.strip())
    lost = [name for name in (found[1].split() if found else ()) if "=" not in name and name not in TARGETS]
    for extras in re.findall(r"sparkwater\[([\w,]+)\]", command):
        lost += [name for name in extras.split(",") if name not in EXTRAS]
    modules = re.findall(r"python[\w.]* -m (sparkwater[\w.]*)", command)
    lost += [name for name in modules if find_spec(name) is None]
    for program in re.findall(r"(?:^|\s)((?:jobs|benchmarks|tests|notebooks)/\w+\.py)(?=\s|$)", command):
        if not (ROOT / program).is_file():
            lost.append(program)
            continue
        source = read(program) + SHARED
        options = re.findall(r"\s(--[\w-]+)", command.partition(program)[2])
        lost += [option for option in options if f'"{option}"' not in source]
    return lost


@pytest.mark.parametrize("page", PAGES)
def test_what_commands_of_a_page_name_is_there(page: str) -> None:
    assert not {command: lost for command in commands(read(page)) if (lost := wrong(command))}


def test_what_is_not_there_is_found() -> None:
    text = (
        "`make demos`\n```\nmake demo lint MNIST=x  # as ever\npip install 'sparkwater[plot,lab]'\n"
        "spark-submit --any thing \\\n    jobs/score_images.py --images x --model y --imags z\n```\n"
        "`python -m sparkwater.flaw --folder x`, `jobs/gone.py`, make nothing\n"
    )
    found = [lost for command in commands(text) if (lost := wrong(command))]
    assert sorted(found) == sorted([["demos"], ["plot"], ["--imags"], ["sparkwater.flaw"], ["jobs/gone.py"]])
