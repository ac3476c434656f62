"""The documentation's code runs, its links and paths lead somewhere, and its tables are those of the code."""

from __future__ import annotations

import ast
import re
import tarfile
from pathlib import Path
from types import ModuleType

import pytest
from both_sets import by_turns
from conftest import ROOT
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from sparkwater.conversions.stages.spark_types import DTYPE_OF
from sparkwater.conversions.tensors.spec import DTYPES
from sparkwater.gpu import tasks
from sparkwater.gpu.networks import registry

DOCS = ROOT / "docs"
TOP = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
PAGES = sorted([*TOP, "notebooks/README.md", *(path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md"))])
#: Pages of the lab: their code is that of the notebooks, which tests/test_notebooks.py runs.
LAB = {page for page in PAGES if re.match(r"docs/lab/\d", page)}
#: Pages without examples in Python.
PROSE = {
    *TOP[1:],
    "notebooks/README.md",
    "docs/lab/index.md",
    *(
        f"docs/{name}.md"
        for name in (
            "clusters",
            "gpu",
            "guarantees",
            "index",
            "install",
            "limits",
            "performance",
            "programs",
            "where_it_runs",
        )
    ),
    *(f"docs/background/{name}.md" for name in ("determinism", "faults", "leak_proof", "tensor_columns")),
}

#: A block of Python; what its first line says beside that is why it can't run here.
BLOCK = re.compile(r"^```python(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
FENCED = re.compile(r"^```.*\n(?:.*\n)*?```$", re.MULTILINE)
LINK = re.compile(r"\[[^\]\[]+\]\(([^)\s]+)\)")


def read(page: str) -> str:
    return (ROOT / page).read_text()


def prose(page: str) -> str:
    return FENCED.sub("", read(page))


def anchors(page: str) -> set[str]:
    """Return the names that GitHub gives a page's headings."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def paths_in(text: str) -> set[str]:
    """Return the paths of the repository that a text has in backticks, by themselves or in a command."""
    folders = "benchmarks|conf|constraints|data|docs|jobs|scripts|sparkwater|tests"
    return set(re.findall(rf"`(?:[^`\s]+ )*((?:{folders})/[\w./-]*\w/?)(?:::\w+)?(?: [^`]*)?`", text))


def examples(page: str) -> str:
    """Return a page's blocks of Python that run."""
    return "".join(block for remark, block in BLOCK.findall(read(page)) if not remark)


WITH_EXAMPLES = [page for page in PAGES if page not in {*PROSE, *LAB, "README.md"}]


@pytest.mark.parametrize("page", by_turns({page: examples(page) for page in WITH_EXAMPLES}))
def test_the_examples_of_a_page_run_one_after_the_other(
    spark: SparkSession, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))  # a page adds a network
    monkeypatch.setattr(tasks, "TASKS", dict(tasks.TASKS))  # and another one a task
    blocks = BLOCK.findall(read(page))
    names: dict[str, object] = {"__name__": "__main__"}
    ran = 0
    for number, (remark, block) in enumerate(blocks):
        if remark:
            assert re.fullmatch(r" no-run: \w.{15,}", remark), f"{page}, example {number}, doesn't say why it can't run"
            compile(block, f"{page}, example {number}", "exec")
            continue
        exec(compile(block, f"{page}, example {number}", "exec"), names)
        ran += 1
    assert ran


@pytest.mark.parametrize("page", [*WITH_EXAMPLES, "README.md", *sorted(LAB)])
def test_what_examples_take_from_packages_is_there(page: str) -> None:
    """On both sets of dependencies, where the examples themselves are run on one of them."""
    tree = ast.parse(examples(page))
    lines = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    names: dict[str, object] = {}
    exec(compile(ast.Module(lines, []), page, "exec"), names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = names.get(node.value.id)
            assert hasattr(owner, node.attr) or not isinstance(owner, (ModuleType, type)), ast.unparse(node)


@pytest.mark.parametrize("page", sorted(PROSE))
def test_pages_of_prose_have_no_examples_that_nobody_runs(page: str) -> None:
    assert "```python" not in read(page)


def test_the_readme_s_example_runs(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(ROOT / "data" / "mnist_png.tar.gz") as tar:
        tar.extractall(tmp_path / "mnist_png", tar.getmembers()[::100], filter="data")
    ((remark, block),) = BLOCK.findall(read("README.md"))
    assert not remark
    assert len(block.splitlines()) <= 16
    # Spark looks up relative paths where its JVM began.
    there = block.replace('"mnist_png/', f'"{tmp_path}/mnist_png/').replace(
        'save("lenet")', f'save("{tmp_path}/lenet")'
    )
    exec(compile(there, "README.md", "exec"), {"spark": spark})
    assert "Confusion Matrix" in capsys.readouterr().out
    assert (tmp_path / "lenet" / "stages").is_dir()


def test_the_readme_is_a_landing_page() -> None:
    text = read("README.md")
    assert len(text.splitlines()) <= 200
    for target in ("docs/index.md", "docs/guarantees.md", "docs/limits.md", "SECURITY.md", "CONTRIBUTING.md"):
        assert f"]({target})" in text


def test_the_demo_trains_by_horovod_as_the_readme_says() -> None:
    recipe = read("Makefile").split("\ndemo:")[1].split("\n\n")[0]
    assert "--collective horovod" in recipe
    assert re.search(r"training lenet on 10000 rows, 10 classes, 2 workers \(horovod\)", read("docs/programs.md"))


def test_the_index_lists_every_page() -> None:
    listed = {target.split("#")[0] for target in LINK.findall(read("docs/index.md"))}
    assert {path.name for path in DOCS.glob("*.md")} - {"index.md"} <= listed


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    lost = []
    for target in LINK.findall(prose(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = ((ROOT / page).parent / name if name else ROOT / page).resolve()
        there = path.exists() and path.is_relative_to(ROOT)
        if not there or (anchor and anchor not in anchors(path.relative_to(ROOT).as_posix())):
            lost.append(target)
    assert not lost


@pytest.mark.parametrize("page", PAGES)
def test_paths_in_a_page_are_those_of_the_repository(page: str) -> None:
    assert not [path for path in sorted(paths_in(prose(page))) if not (ROOT / path).exists()]


def test_the_search_for_paths_finds_them() -> None:
    text = "`tests/gone.py::test_it`, `python scripts/gone.py FOLDER`, `jobs/gone/` but not tests/prose.py or `a/b`"
    assert paths_in(text) == {"tests/gone.py", "scripts/gone.py", "jobs/gone/"}


def test_each_guarantee_names_a_test_that_exists() -> None:
    rows = re.findall(r"^\| (?!Promise)(.+?) \| (.+) \|$", read("docs/guarantees.md"), re.MULTILINE)
    assert len(rows) > 30
    for promise, proof in rows:
        proofs = re.findall(r"`(tests/[\w/]+(?:\.py)?)(?:::(test_\w+))?`", proof)
        assert proofs, promise
        for path, function in proofs:
            assert (ROOT / path).exists(), promise
            assert not function or f"\ndef {function}(" in read(path), promise


def test_each_place_names_a_test_or_says_that_there_is_none() -> None:
    table = read("docs/where_it_runs.md").split("\n\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")]
    assert len(rows) > 15
    for capability, *cells in rows[1:]:
        assert len(cells) == len(rows[0]) - 1, capability
        for cell in cells:
            proofs = [path for path in paths_in(cell) if path.startswith("tests/") and (ROOT / path).is_file()]
            assert proofs or cell.strip() in ("not tried", "by hand", "refused"), (capability, cell)


def test_each_module_on_the_way_of_a_row_exists() -> None:
    text = read("CONTRIBUTING.md")
    modules = re.findall(r"`(sparkwater/[\w/]+\.py)`", text[text.index("## The way of a row") :].split("\n## ")[0])
    assert len(modules) > 20
    assert not [module for module in modules if not (ROOT / module).is_file()]


def test_each_folder_of_code_has_a_line_for_changes() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "sparkwater").rglob("__init__.py")}
    assert {f"{folder}/" for folder in folders} - {"sparkwater/"} <= paths_in(read("CONTRIBUTING.md"))


def test_the_table_of_types_is_the_code_s() -> None:
    page = read("docs/tensor_columns.md")
    table = page[page.index("| Spark type | dtype |") :].split("\n\n")[0]
    rows = dict(re.findall(r"^\| ([\w ]+) \| (\w+) \|$", table, re.MULTILINE))
    expected = {
        "ML vector" if kind.__name__ == "VectorUDT" else kind().simpleString(): dtype
        for kind, dtype in DTYPE_OF.items()
    }
    assert {name: dtype for name, dtype in rows.items() if name != "Spark type"} == expected
    assert T.DecimalType not in DTYPE_OF
    for dtype in DTYPES:
        assert f"`{dtype}`" in page


def test_the_page_of_networks_names_all_of_them() -> None:
    page = read("docs/networks.md")
    assert not [name for name in [*registry.registered_networks(), "auto"] if f"`{name}`" not in page]
