"""Windows of a browser, and what may not happen in any: requests to other hosts, errors in the console."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from person import Person

SIZE = {"width": 1280, "height": 900}


class Windows:
    """Windows of new persons; requests to other hosts than those of their addresses are aborted and kept."""

    def __init__(self, chromium: Any) -> None:
        self.usual: dict[str, Any] = {}
        self.errors: list[str] = []
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
        context.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        page = context.new_page()
        page.goto(url)
        return Person(page)

    def close(self) -> None:
        """Close all windows, and fail where something has gone wrong in one."""
        for context in self._contexts:
            context.close()
        assert not self._elsewhere, self._elsewhere
        assert not self.errors, self.errors

    def _answer(self, route: Any) -> None:
        if urlsplit(route.request.url).netloc in self._own:
            route.continue_()
        else:
            self._elsewhere.append(route.request.url)
            route.abort()
