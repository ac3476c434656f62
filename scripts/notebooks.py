"""The lab's notebooks, from Databricks' source format to Jupyter's and to pages of the documentation.

``python -m scripts.notebooks run FOLDER`` executes all of them in the repository's folder, and writes executed copies.
``python -m scripts.notebooks pages FOLDER`` turns these into the pages of ``docs/lab``.

jupytext, which converts other formats, doesn't know that of Databricks (its issue 926).
"""

from __future__ import annotations

import argparse
import base64
import io
import re
import sys
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "notebooks"
PAGES = ROOT / "docs" / "lab"

FIRST_LINE = "# Databricks notebook source"
NEXT_CELL = re.compile(r"^# COMMAND -{10}$", re.MULTILINE)
MAGIC = "# MAGIC"

#: Seconds that a cell may take.
LONGEST = 600
#: Colours of a picture in a page: fewer take fewer bytes.
COLOURS = 256


def sources() -> list[Path]:
    """Return the notebooks' files, in the lab's order."""
    return sorted(SOURCES.glob("[0-9]*.py"))


def read_notebook(text: str) -> Any:
    """Return a notebook in Databricks' source format as one of Jupyter.

    Parameters
    ----------
    text : str
        The file: a first line that names the format, cells, and between them a line of its own. In a cell of Markdown
        each line stands behind ``# MAGIC``, and the first one is ``%md``.

    Raises
    ------
    ValueError
        If the text isn't in this format.
    """
    first, _, rest = text.partition("\n")
    if first != FIRST_LINE:
        raise ValueError(f"the first line is {first!r}, not {FIRST_LINE!r}")
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.cells = [_cell(part, place) for place, part in enumerate(NEXT_CELL.split(rest))]
    return notebook


def _cell(text: str, place: int) -> Any:
    lines = text.strip("\n").split("\n")
    name = f"cell-{place}"  # else each copy has other names
    if not lines[0].startswith(MAGIC):
        return nbformat.v4.new_code_cell("\n".join(lines), id=name)
    wrong = [line for line in lines if not re.fullmatch(rf"{MAGIC}( .*)?", line)]
    if wrong or lines[0] != f"{MAGIC} %md":
        raise ValueError(f"{(wrong or lines)[0]!r} is no line of a cell of Markdown; it begins with '{MAGIC} %md'")
    plain = [line.removeprefix(MAGIC).removeprefix(" ") for line in lines[1:]]
    return nbformat.v4.new_markdown_cell("\n".join(plain), id=name)


def execute(path: Path, folder: Path = ROOT) -> Any:
    """Return a notebook that a kernel of Jupyter has executed.

    Parameters
    ----------
    path : Path
        The notebook's file.
    folder : Path
        The folder that it runs in.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    notebook = read_notebook(path.read_text())
    NotebookClient(notebook, timeout=LONGEST, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def page(notebook: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as a page of Markdown, and its pictures by their files' names.

    Of a cell's outputs pictures, texts and tables are shown; what goes to the error stream isn't.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        The notebook, executed or not.
    name : str
        The notebook's name, which its pictures' names begin with.
    """
    parts, files = [], {}
    for place, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(relinked(cell.source, "../", ".md"))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for number, output in enumerate(_joined(cell.get("outputs", []))):
            text, found = _shown(output, f"{name}_{place}_{number}")
            parts += [text] if text else []
            files.update(found)
    return "\n\n".join(parts).replace(str(ROOT), "/sparkwater") + "\n", files


def relinked(text: str, docs: str, suffix: str) -> str:
    """Return Markdown with its links as seen from another folder than the notebooks'.

    Parameters
    ----------
    text : str
        Markdown of a notebook.
    docs : str
        The way from there to the documentation.
    suffix : str
        What other notebooks' names end in there.
    """
    return re.sub(r"\]\((\d\d_\w+)\.py\)", rf"](\1{suffix})", text.replace("](../docs/", f"]({docs}"))


def _joined(outputs: list[Any]) -> list[Any]:
    """Return outputs without the error stream, and neighbouring pieces of the standard stream as one."""
    kept = [nbformat.from_dict(one) for one in outputs if one.get("name") != "stderr"]
    found: list[Any] = []
    for one in kept:
        if found and one.output_type == found[-1].output_type == "stream":
            found[-1].text += one.text
        else:
            found.append(one)
    return found


def _shown(output: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """Return an output as Markdown, and its pictures."""
    if output.output_type == "stream":
        return _fenced(output.text), {}
    data = output.get("data", {})
    page = data.get("text/html", "")
    picture = re.search(r'<img alt="([^"]*)"[^>]*src="data:image/png;base64,([^"]+)"', page)
    if picture:
        return _image(unescape(picture[1]), f"{name}.png"), {f"{name}.png": smaller(base64.b64decode(picture[2]))}
    drawing = re.search(r"<svg.*</svg>", page, re.DOTALL)
    if drawing:
        caption = re.search(r"<caption>(.*?)</caption>", page)
        words = f"The graph of {unescape(caption[1])}" if caption else "A graph"
        table = re.search(r"<table>.*?</table>", page, re.DOTALL)
        shown = [table[0].replace("\n", " ")] if table else []
        return "\n\n".join([*shown, _image(f"{words}, layer by layer.", f"{name}.svg")]), {
            f"{name}.svg": drawing[0].encode()
        }
    return _fenced(data.get("text/plain", "")), {}


def _fenced(text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))
    return f"```text\n{lines}\n```" if lines.strip() else ""


def _image(words: str, file: str) -> str:
    plain = re.sub(r"\s+", " ", words).translate(str.maketrans("[]", "()"))
    return f"![{plain}]({file})"


def smaller(picture: bytes) -> bytes:
    """Return a PNG in so few colours that it takes a part of the bytes."""
    data = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        data, "PNG", optimize=True
    )
    return data.getvalue()


def without_outputs(text: str) -> Iterator[str]:
    """Yield the texts and the code of a page, one after the other, without what the code gave."""
    for part in re.split(r"^(```\w*\n.*?^```$)", text, flags=re.MULTILINE | re.DOTALL):
        if part.startswith("```text"):
            continue
        plain = part if part.startswith("```") else re.sub(r"^(!\[.*\]\(.*\)|<table>.*</table>)$", "", part, flags=re.M)
        if plain.strip():
            yield re.sub(r"\n{3,}", "\n\n", plain.strip())


def run(folder: Path, chosen: list[Path]) -> None:
    """Execute notebooks, write their copies into a folder, and say how long each took."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in chosen:
        started = time.monotonic()
        notebook = execute(path)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of the day
            if cell.cell_type == "markdown":
                cell.source = relinked(cell.source, "../../docs/", ".ipynb")
        nbformat.write(notebook, folder / f"{path.stem}.ipynb")
        print(f"{path.name}: {time.monotonic() - started:.0f} s", flush=True)


def write_pages(folder: Path, pages: Path = PAGES) -> None:
    """Write the pages of the notebooks with the outputs of the executed copies in a folder.

    Raises
    ------
    ValueError
        If a copy is of another version of its notebook.
    """
    for path in sources():
        notebook, copy = read_notebook(path.read_text()), nbformat.read(folder / f"{path.stem}.ipynb", 4)
        if [cell.source for cell in code_cells(notebook)] != [cell.source for cell in code_cells(copy)]:
            raise ValueError(f"{path.name} has changed since it was executed; run 'make notebooks' first")
        for cell, done in zip(code_cells(notebook), code_cells(copy), strict=True):
            cell.outputs = done.outputs
        for old in pages.glob(f"{path.stem}_*"):
            old.unlink()
        text, pictures = page(notebook, path.stem)
        (pages / f"{path.stem}.md").write_text(text)
        for name, data in pictures.items():
            (pages / name).write_bytes(data)


def code_cells(notebook: Any) -> list[Any]:
    """Return a notebook's cells of code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "pages"])
    parser.add_argument("folder", type=Path, help="folder of the executed copies")
    parser.add_argument("notebooks", nargs="*", type=Path, help="notebooks to run (all)")
    given = parser.parse_args(arguments)
    if given.action == "run":
        run(given.folder, given.notebooks or sources())
    else:
        write_pages(given.folder)


if __name__ == "__main__":
    main(sys.argv[1:])
