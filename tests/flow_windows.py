"""Windows of a browser, and what may not happen in any: requests to other hosts, errors in the console."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from person import PICTURES, Person

SIZE = {"width": 1280, "height": 900}
#: An error of NiceGUI's own chart that is taken away before it is drawn: it has nothing to dispose of, and is gone.
UNDRAWN = re.compile(r"reading 'dispose'.*/echart\.js", re.DOTALL)
#: What a person reads and has typed on a page.
_SEEN = """() => {
    const seen = element => element.checkVisibility() && element.innerText.trim();
    const words = [...document.querySelectorAll("[role=alert], [role=status], .q-notification, [aria-label=Python]")];
    const fields = [...document.querySelectorAll("label.q-field")].filter(field => field.checkVisibility());
    return [
        `${document.title}, ${location.href}`,
        ...words.filter(seen).map(element => element.innerText.trim()),
        ...fields.map(field => field.innerText.trim().replaceAll("\\n", " ") + ": "
            + [...field.querySelectorAll("input, textarea")].map(input => input.value).join(" ")),
        `focus: ${document.activeElement.outerHTML.slice(0, 300)}`,
    ];
}"""


class Windows:
    """Windows of new persons; requests to other hosts than those of their addresses are aborted and kept."""

    def __init__(self, chromium: Any) -> None:
        self.usual: dict[str, Any] = {}
        self.errors: list[str] = []
        self.said: list[str] = []
        self._chromium = chromium
        self._own, self._elsewhere, self._contexts = {""}, [], []

    def __call__(self, url: str | None = None, **options: Any) -> Person:
        """Open an address, or the usual one as a browser that is known there."""
        settings = {"viewport": SIZE, **({} if url else self.usual), **options}
        url = url or settings["url"]
        settings.pop("url", None)
        self._own.add(urlsplit(url).netloc)
        context = self._chromium.new_context(accept_downloads=True, **settings)
        self._contexts.append(context)
        context.route("**/*", self._answer)
        context.on("console", self._hear)
        context.on("weberror", lambda error: self._fail(str(error.error)))
        page = context.new_page()
        page.goto(url)
        return Person(page)

    def tell(self, name: str) -> Iterator[tuple[str, str]]:
        """Save a picture of each window that is open, and return what is said and typed there, each with a title."""
        pages = [page for context in self._contexts for page in context.pages]
        PICTURES.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(pages, 1):
            picture = PICTURES / f"failed-{name}-{number}.png"
            page.screenshot(path=str(picture))
            yield f"window {number}, {picture}", "\n".join(page.evaluate(_SEEN))
        yield "consoles", "\n".join(self.said)

    def close(self) -> None:
        """Close all windows, and fail where something has gone wrong in one."""
        for context in self._contexts:
            context.close()
        assert not self._elsewhere, self._elsewhere
        assert not self.errors, self.errors

    @contextmanager
    def telling(self, name: str) -> Iterator[None]:
        """Let an error within the block tell what `tell` does."""
        try:
            yield
        except Exception as error:
            for title, words in self.tell(name):
                error.add_note(f"{title}\n{words}")
            raise

    def _fail(self, error: str) -> None:
        if not UNDRAWN.search(error):
            self.errors.append(error)

    def _hear(self, message: Any) -> None:
        self.said.append(f"{time.strftime('%X')} {message.type}: {message.text}")
        if message.type == "error":
            self.errors.append(message.text)

    def _answer(self, route: Any) -> None:
        if urlsplit(route.request.url).netloc in self._own:
            route.continue_()
        else:
            self._elsewhere.append(route.request.url)
            route.abort()
