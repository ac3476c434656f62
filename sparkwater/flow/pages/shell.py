"""The frame of all pages: header, navigation, and Spark's state."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from nicegui import run, ui

from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.messages import tell_errors
from sparkwater.flow.pages.parts.texts import alert
from sparkwater.flow.work.error_text import expected_errors, in_words
from sparkwater.flow.work.workspace import LOST

#: Path, words and module of each page, in the order of the navigation.
PAGES = (
    ("/", "Data", "data.page"),
    ("/build", "Build", "build"),
    ("/jobs", "Jobs", "jobs"),
    ("/models", "Models", "models.page"),
    ("/flow", "Flow", "workbook"),
)

_SECONDS_BETWEEN_LOOKS = 5.0
_STYLE = (Path(__file__).parent / "flow.css").read_text(encoding="utf-8")


def register(desk: Desk) -> None:
    """Make the pages of a desk those of the process.

    Their content waits for `load`.
    """
    ui.button.default_props("no-caps")
    for path, name, module in PAGES:
        ui.page(path, title=f"{name} - sparkwater", language="en-US")(_page(desk, name, module))


def load() -> None:
    """Import the pages' content, with torch and Spark, which takes seconds; the frame answers without it.

    Call it where nothing else imports Spark at the time: half of an import isn't one.
    """
    for _, _, module in PAGES:
        _content(module)


def _content(module: str) -> Callable[[Desk], None]:
    show: Callable[[Desk], None] = import_module(f"sparkwater.flow.pages.{module}").show
    return show


def _page(desk: Desk, name: str, module: str) -> Callable[[], None]:
    def page() -> None:
        ui.colors(primary="#0f6f88", accent="#b4540a")
        ui.dark_mode(None)
        ui.add_css(_STYLE)
        tell_errors()
        _header(desk, name)
        with ui.column().classes("flow-page"):
            _watch_session(desk)
            _when_ready(desk, lambda: _content(module)(desk))

    return page


def _header(desk: Desk, current: str) -> None:
    with ui.header().classes("flow-header"), ui.row().classes("flow-nav").props('role=navigation aria-label="Pages"'):
        ui.label("sparkwater").classes("flow-name")
        for path, name, _ in PAGES:
            link = ui.link(name, path).classes("flow-link")
            if name == current:
                link.classes("flow-here").props("aria-current=page")
        running = ui.label().classes("flow-running").props("role=status")

    def tell() -> None:
        active = [job for job in desk.jobs.all() if job.active]
        running.set_text(f"{len(active)} running" if active else "")

    ui.timer(1.0, tell)
    tell()


def _watch_session(desk: Desk) -> None:
    """Say so when the Spark session has ended.

    Where that is known, the page has the words from its first moment on: later they would move the buttons under them,
    and a button that moves between a mouse's press and release isn't clicked.
    """
    words = alert(LOST)
    words.set_visibility(desk.workspace.known_lost)

    async def look() -> None:
        words.set_visibility(bool(await run.io_bound(lambda: desk.workspace.lost)))

    ui.timer(_SECONDS_BETWEEN_LOOKS, look)


def _when_ready(desk: Desk, show: Callable[[], None]) -> None:
    """Build content once Spark is there; words until then."""
    place = ui.column().classes("flow-content")

    def build_it() -> None:
        place.clear()
        with place:
            try:
                show()
            except expected_errors() as error:
                alert(in_words(error))

    if desk.workspace.ready:
        build_it()
        return
    with place, ui.row().classes("items-center").props("role=status"):
        spinner = ui.spinner(size="lg")
        words = ui.label("Spark is starting. It takes some ten seconds.")

    def look() -> None:
        if desk.workspace.ready:
            timer.cancel()
            build_it()
        elif desk.workspace.failure:
            timer.cancel()
            spinner.delete()
            words.set_text(f"Spark did not start: {desk.workspace.failure}")

    timer = ui.timer(0.3, look)
