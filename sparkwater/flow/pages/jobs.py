"""Jobs, live: states, curves, speed, errors; a button that cancels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nicegui import ui

from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.elements import add_style, show_curves
from sparkwater.flow.pages.parts.messages import telling
from sparkwater.flow.pages.parts.paging import page_numbers, shown_part
from sparkwater.flow.pages.parts.texts import alert, code_block, heading, page_title, remark
from sparkwater.flow.views.curves import Curves, training_curves
from sparkwater.flow.views.jobs import JobRow, by_rank, job_row, pace, phase
from sparkwater.flow.work.jobs import Job

#: Jobs in a page of the list, and plots that follow a training: each costs the browser time.
_LISTED, _PLOTS = 10, 4
_HEADS = ("Job", "State", "Action", "Began", "Took", "Progress")


def show(desk: Desk) -> None:
    """Build the page's content."""
    add_style()
    page_title("Jobs")
    _JobsPage(desk)


class _JobsPage:
    """The list of jobs, and the one that was chosen; each window has its own."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._chosen: int | None = None
        self._none = remark("Nothing has run yet. Read some data, or build a model; what runs is shown here.")
        with ui.column().classes("w-full gap-2"):
            self._list = _JobList(self._choose)
            self._pages = page_numbers("Pages of jobs", self._refresh)
        self._details = _Details(desk)
        ui.timer(1.0, self._refresh)
        self._refresh()

    def _choose(self, job_id: int) -> None:
        self._chosen = job_id
        self._refresh()

    def _refresh(self) -> None:
        jobs = self._desk.jobs.all()[::-1]
        self._none.set_visibility(not jobs)  # another window may start the first one
        self._list.show([job_row(job) for job in jobs[shown_part(self._pages, len(jobs), _LISTED)]])
        chosen = next((job for job in jobs if job.id == self._chosen), None) or _latest(jobs)
        if chosen is not None:
            self._details.show(chosen)


class _JobList:
    """A page of the list. Its lines are made once, and follow the jobs: a button made anew loses the focus."""

    def __init__(self, choose: Callable[[int], None]) -> None:
        with ui.element("div").classes("flow-jobs") as self._place, ui.element("table"):
            with ui.element("thead"), ui.element("tr"):
                for words in _HEADS:
                    with ui.element("th").props("scope=col"):
                        ui.label(words)
            with ui.element("tbody"):
                self._lines = [_JobLine(choose) for _ in range(_LISTED)]

    def show(self, rows: Sequence[JobRow]) -> None:
        """Let the lines say how jobs stand."""
        self._place.set_visibility(bool(rows))
        for place, line in enumerate(self._lines):
            line.show(rows[place] if place < len(rows) else None)


class _JobLine:
    """A job in the list; its title is a button that chooses it."""

    def __init__(self, choose: Callable[[int], None]) -> None:
        self._choose = choose
        self._shown: JobRow | None = None
        with ui.element("tr") as self._line:
            self._id, self._state = _cell(), _cell()
            with ui.element("td"):
                self._title = ui.button(on_click=self._choose_it)
            self._title.props("flat dense no-caps align=left").classes("flow-jump")
            self._began, self._seconds, self._progress = _cell(), _cell(), _cell()

    def show(self, row: JobRow | None) -> None:
        """Let the cells say how a job stands; None hides the line."""
        self._line.set_visibility(row is not None)
        if row is None or row == self._shown:
            return
        self._shown = row
        cells = (self._id, self._state, self._began, self._seconds, self._progress)
        for cell, text in zip(cells, (str(row.id), row.state, row.began, row.seconds, row.progress), strict=True):
            cell.set_text(text)
        self._title.set_text(row.title)
        self._title.props["aria-label"] = f"Show job {row.id}: {row.title}"
        self._title.update()

    def _choose_it(self) -> None:
        if self._shown is not None:
            self._choose(self._shown.id)


def _cell() -> ui.label:
    with ui.element("td"):
        return ui.label()


def _latest(jobs: tuple[Job, ...]) -> Job | None:
    """Return the job that runs, else the newest."""
    running = [job for job in jobs if job.state == "running"]
    return next(iter([*running, *jobs]), None)


class _Details:
    """The chosen job: its elements are made once, and their values follow it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._shown: Job | None = None
        self._plots: list[tuple[str, Callable[[Curves], None]]] = []
        self._card = ui.card().classes("w-full").props('flat bordered role=region aria-label="The chosen job"')
        with self._card:
            with ui.row().classes("w-full items-center"):
                self._title = heading("")
                ui.space()
                self._cancel = ui.button("Cancel", on_click=self._cancel_it).props("outline color=accent")
            with ui.row().classes("w-full gap-x-2 gap-y-0"):
                self._phase = ui.label().props("role=status")
                self._pace = ui.label()  # changes each second, which nobody wants to hear
            self._bar = ui.linear_progress(0.0, show_value=False).props(
                'aria-label="Part of the training that is done"'
            )
            self._ranks = remark("")
            self._error = alert()
            self._place = ui.element("div").classes("flow-curves")
            with ui.expansion("Python").classes("w-full"):
                self._code = code_block("")
        self._card.set_visibility(False)

    def show(self, job: Job) -> None:
        """Let the elements say how a job stands."""
        before, self._shown = self._shown, job
        self._phase.set_text(phase(job))
        self._pace.set_text(pace(job))
        if before == job:
            return
        self._card.set_visibility(True)
        self._title.set_text(f"{job.id}. {job.action.title}")
        self._cancel.set_visibility(job.active)
        self._cancel.set_enabled(not job.cancelling)
        self._bar.set_visibility(bool(job.trainings))
        self._bar.set_value(job.trainings[-1].share if job.trainings else 0.0)
        ranks = by_rank(job)
        self._ranks.set_text(ranks)
        self._ranks.set_visibility(bool(ranks))
        self._error.set_text(job.error)
        self._error.set_visibility(bool(job.error))
        self._code.set_text(job.action.code().shown)
        if before is None or before.id != job.id or before.epochs != job.epochs:
            self._draw(job)

    def _draw(self, job: Job) -> None:
        """Draw the curves; plots that are there get new values, so that they don't flicker."""
        found = training_curves(job.epochs)[:_PLOTS]
        if [curves.title for curves in found] != [title for title, _ in self._plots]:
            self._place.clear()
            with self._place:
                self._plots = [(curves.title, show_curves(curves)) for curves in found]
        else:
            for (_, change), curves in zip(self._plots, found, strict=True):
                change(curves)

    def _cancel_it(self) -> None:
        with telling():
            if self._shown is not None:
                self._desk.jobs.cancel(self._shown.id)
