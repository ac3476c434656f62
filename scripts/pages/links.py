"""Links of the repository's pages, as the site has them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

FENCE = re.compile(r"(^```.*\n(?:.*\n)*?```$)", re.MULTILINE)
LINK = re.compile(r"(!?)\[([^\]\[]+)\]\(([^)\s]+)\)")
#: Code that is no part of a link and stands in no heading.
NAME = re.compile(r"(?<!\[)`(\w+)`(?!\])")


def fences(text: str) -> str:
    """Return a page's text with the reasons why a block isn't run as the block's title."""
    return re.sub(r"^```python no-run: (.+)$", r'```python title="Not run by the tests: \1"', text, flags=re.MULTILINE)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return a page with its text changed, and its blocks of code as they are."""
    parts = FENCE.split(text)
    return "".join(part if place % 2 else change(part) for place, part in enumerate(parts))


def moved_links(text: str, page: str, places: Mapping[str, str]) -> str:
    """Return a page's text with its links as the site has them; links to files that aren't in it become text.

    Parameters
    ----------
    text : str
        The page.
    page : str
        Its path in the repository.
    places : mapping of str to str
        For each file of the site, by its path in the repository, its path in the site.
    """

    def moved(found: re.Match[str]) -> str:
        mark, label, target = found.groups()
        name, hash_mark, anchor = target.partition("#")
        if "://" in target or not name:
            return found[0]
        file = os.path.normpath(PurePosixPath(page).parent / name)
        if file not in places:
            return label
        there = os.path.relpath(places[file], PurePosixPath(places[page]).parent)
        return f"{mark}[{label}]({there}{hash_mark}{anchor})"

    return outside_code(text, lambda part: LINK.sub(moved, part))


def linked_names(text: str, page: str, names: Mapping[str, str]) -> str:
    """Return a page's text with the first mention of each public name as a link to its page of the API.

    Parameters
    ----------
    text : str
        The page.
    page : str
        Its path in the site.
    names : mapping of str to str
        For each public name the path of its page in the site, which may end in an anchor.
    """
    left = dict(names)

    def linked(found: re.Match[str]) -> str:
        target = left.pop(found[1], None)
        return f"[{found[0]}]({os.path.relpath(target, PurePosixPath(page).parent)})" if target else found[0]

    def lines(part: str) -> str:
        return "\n".join(line if line.startswith("#") else NAME.sub(linked, line) for line in part.split("\n"))

    return outside_code(text, lines)
