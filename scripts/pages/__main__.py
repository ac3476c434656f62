"""The site's pages and settings in a folder: ``python -m scripts.pages FOLDER``, for ``mkdocs build``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from scripts.pages.api import Guides, public_names, write_pages
from scripts.pages.links import fences, linked_names, moved_links

ROOT = Path(__file__).parents[2]
#: Pages at the top of the repository that belong to the site as well.
TOP = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LANDING = "docs/site/landing.md"


def gather(folder: Path) -> Path:
    """Write the pages and the settings of the site into a folder, and return the path of the settings.

    Parameters
    ----------
    folder : Path
        A folder for the pages, the settings and the site; what it holds is deleted.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "pages"
    navigation = write_pages(pages / "api", guides())
    names = {entry.name: f"api/{entry.page}{'' if entry.is_class else '#' + entry.place}" for entry in public_names()}
    places = site_places()
    # Links to these go to the site's front page, which they aren't on.
    front = dict.fromkeys(("README.md", "docs/index.md"), places[LANDING])
    for file, place in places.items():
        (pages / place).parent.mkdir(parents=True, exist_ok=True)
        if not file.endswith(".md"):
            shutil.copy(ROOT / file, pages / place)
            continue
        text = moved_links((ROOT / file).read_text(), file, places | front)
        (pages / place).write_text(fences(linked_names(text, place, names)))
    path = folder / "mkdocs.yml"
    path.write_text(yaml.safe_dump(site_settings(folder, navigation), sort_keys=False))
    return path


def guides() -> Guides:
    """Return the pages that `mkdocs.yml` lists under How-to and Begin."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = [page for part in settings["nav"] for title in ("Begin", "How-to") for page in _pages(part.get(title, []))]
    return Guides({page: (ROOT / "docs" / page).read_text() for page in listed if page not in TOP})


def _pages(part: Any) -> list[str]:
    """Return the pages of a part of the navigation."""
    if isinstance(part, str):
        return [part]
    return [page for each in (part.values() if isinstance(part, dict) else part) for page in _pages(each)]


def site_places() -> dict[str, str]:
    """Return the path in the site of each file of the repository that it takes, by the path there."""
    files = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*")) if path.is_file()]
    places = {file: file.removeprefix("docs/") for file in files if file != "docs/index.md"}
    return places | {LANDING: "index.md"} | {name: name for name in TOP}


def site_settings(folder: Path, api: list[Any]) -> dict[str, Any]:
    """Return the settings of ``mkdocs.yml`` with the folders, and the pages of the API in the navigation."""
    settings: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    settings["nav"] = [{"API": api} if part == {"API": "api"} else part for part in settings["nav"]]
    return settings | {"docs_dir": str(folder.resolve() / "pages"), "site_dir": str(folder.resolve() / "site")}


if __name__ == "__main__":
    gather(Path(sys.argv[1]))
