"""Jobs, live: states, curves, speed, errors; a button that cancels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from nicegui import ui

from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.elements import add_style, show_curves
from sparkwater.flow.pages.parts.messages import telling
from sparkwater.flow.pages.parts.paging import page_numbers, shown_part
from sparkwater.flow.pages.parts.texts import alert, code_block, heading, page_title, remark
from sparkwater.flow.views.curves import Curves, training_curves
from sparkwater.flow.views.jobs import by_rank, job_row, phase
from sparkwater.flow.work.jobs import Job

#: Jobs in a page of the list, and plots that follow a training: each costs the browser time.
_LISTED, _PLOTS = 10, 4
_COLUMNS = [
    {"name": name, "label": label, "field": name, "align": "left"}
    for name, label in (
        ("id", "Job"),
        ("state", "State"),
        ("title", "Action"),
        ("began", "Began"),
        ("seconds", "Took"),
        ("progress", "Progress"),
    )
]
_TITLE = """
<q-td :props="props">
  <q-btn flat dense no-caps align="left" class="flow-jump" :label="props.row.title"
         :aria-label="'Show job ' + props.row.id + ': ' + props.row.title"
         @click="() => $parent.$emit('show', props.row.id)" />
</q-td>
"""


def show(desk: Desk) -> None:
    """Build the page's content."""
    add_style()
    page_title("Jobs")
    if not desk.jobs.all():
        remark("Nothing has run yet. Read some data, or build a model; what runs is shown here.")
    _JobsPage(desk)


class _JobsPage:
    """The list of jobs, and the one that was chosen; each window has its own."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._chosen: int | None = None
        with ui.column().classes("w-full gap-2"):
            self._table = (
                ui.table(columns=_COLUMNS, rows=[], row_key="id").classes("w-full").props("flat bordered wrap-cells")
            )
            self._table.add_slot("body-cell-title", _TITLE)
            self._table.on("show", lambda event: self._choose(int(event.args)))
            self._pages = page_numbers("Pages of jobs", self._refresh)
        self._details = _Details(desk)
        ui.timer(1.0, self._refresh)
        self._refresh()

    def _choose(self, job_id: int) -> None:
        self._chosen = job_id
        self._refresh()

    def _refresh(self) -> None:
        jobs = self._desk.jobs.all()[::-1]
        self._table.set_visibility(bool(jobs))
        rows = [asdict(job_row(job)) for job in jobs[shown_part(self._pages, len(jobs), _LISTED)]]
        if rows != self._table.rows:
            self._table.rows = rows
        chosen = next((job for job in jobs if job.id == self._chosen), None) or _latest(jobs)
        if chosen is not None:
            self._details.show(chosen)


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
            self._phase = ui.label().props("role=status")
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
