"""The lab's notebooks run, and its pages are those of the notebooks."""

from __future__ import annotations

import re
import runpy
import tarfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from both_sets import by_turns
from conftest import ROOT, start_session
from nbclient.exceptions import CellExecutionError

from scripts import notebooks
from scripts.notebooks import FIRST_LINE, code_cells, execute, page, read_notebook, sources, without_outputs
from sparkwater.gpu.networks import registry

FIRST, *OTHERS = sources()
ALL = pytest.mark.parametrize("path", [FIRST, *OTHERS], ids=lambda path: path.stem)
PAGES = ROOT / "docs" / "lab"


def start(path: Path) -> str:
    """Return the cell that makes the session."""
    return code_cells(read_notebook(path.read_text()))[0].source


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like the repository's, with a part of the digits."""
    root = tmp_path_factory.mktemp("lab")
    with tarfile.open(ROOT / "data" / "mnist_png.tar.gz") as tar:
        members = tar.getmembers()
        few = [one for one in members if one.name.startswith("training")][::40]
        few += [one for one in members if one.name.startswith("testing")][::8]
        tar.extractall(root / "build" / "mnist_png", few, filter="data")
    (root / "data").symlink_to(ROOT / "data")
    return root


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process in that folder, with the session of the tests, and as it was afterwards."""
    spark = start_session("local[2]")
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    monkeypatch.chdir(folder)
    yield
    spark.catalog.clearCache()
    spark.conf.unset("spark.sql.files.openCostInBytes")


@pytest.mark.slow  # each trains networks
@pytest.mark.parametrize("name", by_turns({path.stem: path.read_text() for path in OTHERS}))
def test_a_notebook_runs_as_a_program(here: None, name: str) -> None:
    runpy.run_path(str(FIRST.with_name(f"{name}.py")), run_name="__main__")


@pytest.mark.slow  # a kernel with a session of its own
@pytest.mark.spark
@pytest.mark.newest  # of the others this set has one less; tests/both_sets.py says why they take turns
def test_a_notebook_runs_in_jupyter_and_its_page_has_its_pictures(folder: Path) -> None:
    executed = execute(FIRST, folder)
    text, pictures = page(executed, FIRST.stem)
    assert len(pictures) == 5
    assert all(data[:4] == b"\x89PNG" and len(data) < 60_000 for data in pictures.values())
    for name in pictures:
        assert re.search(rf"!\[[^\]]{{20,}}\]\({name}\)", text)
    assert "```text\nuint8[1, 28, 28]\n```" in text


def test_progress_in_a_notebook_asks_for_no_widgets(tmp_path: Path) -> None:
    path = tmp_path / "bar.py"
    path.write_text(f"{FIRST_LINE}\nfrom sparkwater.ml.launch.display import tqdm\nprint(tqdm)\n")
    outputs = execute(path, tmp_path).cells[0].outputs
    assert [one.name for one in outputs] == ["stdout"], outputs


def test_a_cell_that_fails_ends_a_notebook(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(f"{FIRST_LINE}\nnumber = 0\n\n# COMMAND ----------\n\n1 / number\n")
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(path, tmp_path)


def test_there_are_eight_that_begin_alike() -> None:
    assert len(OTHERS) == 7
    assert {start(path) for path in OTHERS} == {start(FIRST)}


@ALL
def test_words_say_what_each_cell_of_code_does(path: Path) -> None:
    cells = read_notebook(path.read_text()).cells
    assert cells[0].source.startswith("# ")
    bare = [
        cell.source.splitlines()[0]
        for before, cell in pairwise(cells)
        if cell.cell_type == "code" and before.cell_type == "code"
    ]
    assert not bare


def test_on_databricks_a_field_says_where_the_digits_are() -> None:
    asked = {}
    fields = SimpleNamespace(text=asked.__setitem__, get=asked.__getitem__)
    names = {"dbutils": SimpleNamespace(widgets=fields), "spark": "the session that is there"}
    exec(start(FIRST), names)
    assert names["spark"] == "the session that is there"
    assert names["data"] == asked["data"] == "/Volumes/main/default/lab/mnist_png"


def test_cells_of_text_and_of_code_are_told_apart() -> None:
    text = f"{FIRST_LINE}\n# MAGIC %md\n# MAGIC # A\n# MAGIC\n# MAGIC b\n\n# COMMAND ----------\n\n\nc = 1\n"
    assert [(cell.cell_type, cell.source) for cell in read_notebook(text).cells] == [
        ("markdown", "# A\n\nb"),
        ("code", "c = 1"),
    ]


def test_a_page_shows_what_cells_gave_but_for_the_error_stream_and_the_place() -> None:
    notebook = read_notebook(
        f"{FIRST_LINE}\n# MAGIC %md\n# MAGIC [a](../docs/a.md) [b](02_b.py)\n# COMMAND ----------\nc"
    )
    drawing = "<table><caption>net for 2</caption>\n</table><details><svg width='1'>\n</svg></details>"
    streams = [("stdout", "one\n"), ("stderr", "noise\n"), ("stdout", f"two {ROOT}/data\n")]
    notebook.cells[1].outputs = [
        *(nbformat.v4.new_output("stream", name=name, text=text) for name, text in streams),
        nbformat.v4.new_output("execute_result", {"text/html": drawing}),
        nbformat.v4.new_output("execute_result", {"text/plain": "3"}),
    ]
    text, pictures = page(notebook, "x")
    assert text.split("\n\n") == [
        "[a](../a.md) [b](02_b.md)",
        "```python\nc\n```",
        "```text\none\ntwo /sparkwater/data\n```",
        "<table><caption>net for 2</caption> </table>",
        "![The graph of net for 2, layer by layer.](x_1_1.svg)",
        "```text\n3\n```\n",
    ]
    assert pictures == {"x_1_1.svg": b"<svg width='1'>\n</svg>"}
    assert list(without_outputs(text)) == ["[a](../a.md) [b](02_b.md)", "```python\nc\n```"]


@pytest.mark.parametrize(
    "text",
    [
        "# A notebook\nx = 1",
        f"{FIRST_LINE}\n# MAGIC %sh\n# MAGIC ls",
        f"{FIRST_LINE}\n# MAGIC %md\nx = 1",
    ],
)
def test_what_is_no_notebook_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Databricks notebook source|MAGIC"):
        read_notebook(text)


@ALL
def test_a_page_is_its_notebook_s(path: Path) -> None:
    shown = (PAGES / f"{path.stem}.md").read_text()
    text, _ = page(read_notebook(path.read_text()), path.stem)
    assert list(without_outputs(shown)) == list(without_outputs(text)), "run 'make lab-pages'"


@ALL
def test_a_page_shows_pictures_that_are_there_and_no_others(path: Path) -> None:
    shown = re.findall(r"^!\[([^\]]+)\]\((\S+)\)$", (PAGES / f"{path.stem}.md").read_text(), re.MULTILINE)
    assert {file for _, file in shown} == {file.name for file in PAGES.glob(f"{path.stem}_*")}
    assert all(len(words) > 20 for words, _ in shown)
    assert shown
    assert sum(file.stat().st_size for file in PAGES.glob(f"{path.stem}_*")) < 300_000


def test_pages_of_notebooks_that_changed_since_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "01_one.py"
    source.write_text(f"{FIRST_LINE}\nx = 1\n")
    monkeypatch.setattr(notebooks, "SOURCES", tmp_path)
    monkeypatch.setattr(notebooks, "execute", lambda path: read_notebook(path.read_text()))
    notebooks.run(tmp_path / "executed", [source])
    notebooks.write_pages(tmp_path / "executed", tmp_path)
    assert (tmp_path / "01_one.md").read_text() == "```python\nx = 1\n```\n"
    source.write_text(f"{FIRST_LINE}\nx = 2\n")
    with pytest.raises(ValueError, match=r"01_one\.py has changed since it was executed"):
        notebooks.write_pages(tmp_path / "executed", tmp_path)
