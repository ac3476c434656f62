"""Networks and other estimators: a form of their Params, the network drawn, their Python, and the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nicegui import run, ui
from pyspark.ml import Estimator

from sparkwater.errors import ConfigurationError
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.choosing import NameChoice
from sparkwater.flow.pages.parts.elements import add_style, show_drawing
from sparkwater.flow.pages.parts.fields import FieldInputs, Options
from sparkwater.flow.pages.parts.following import follow, with_chosen
from sparkwater.flow.pages.parts.levels import Levels
from sparkwater.flow.pages.parts.naming import NewName
from sparkwater.flow.pages.parts.texts import alert, code_block, heading, page_title, remark
from sparkwater.flow.pages.parts.waiting import Spot, busy_button
from sparkwater.flow.views.forms import Form, estimator_class, form_of
from sparkwater.flow.views.networks import Drawing, drawing_of, planned_network
from sparkwater.flow.views.suggestions import (
    still_fitting,
    suggested_columns,
    suggested_estimator,
    suggested_model,
)
from sparkwater.flow.views.validation import REFUSALS, fill, refusal, refusal_text
from sparkwater.flow.workbook.actions import Action
from sparkwater.flow.workbook.actions.estimators import ESTIMATOR, ESTIMATORS, FRAME, KINDS, MODEL
from sparkwater.flow.workbook.actions.training import Define, Fit

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

#: Params that the drawing of a network depends on.
_DRAWN = frozenset(
    ["network", "networkArguments", "imageShape", "featuresCol", "featuresCols", "inputCols", "warmStart"]
)


def show(desk: Desk) -> None:
    """Build the page's content."""
    add_style()
    page_title("Build")
    with ui.row().classes("items-center") as none:
        ui.label("There is no data yet.")
        ui.link("Read some first", "/").classes("flow-inline-link")
    place = ui.column().classes("flow-content")

    def look() -> None:
        frames = desk.workspace.frames()
        if frames and not place.default_slot.children:
            none.set_visibility(False)
            with place:
                Builder(desk, frames).build()

    follow(desk, look)
    look()


class Builder:
    """One window's form.

    Parameters
    ----------
    desk : Desk
        The flow.
    frames : list of str
        Names of its DataFrames.
    """

    def __init__(self, desk: Desk, frames: list[str]) -> None:
        self.desk, self.frames = desk, frames
        self.frame = frames[0]
        self.schema: StructType = desk.workspace.value(self.frame).schema
        self.estimator = self.offered = suggested_estimator(self.schema)
        self.chosen = False  # the estimator, by the person
        self.typed: dict[str, Any] = {}
        self.elsewhere: dict[str, Any] = {}  # what was typed for Params that other estimators have
        self.shown: tuple[str, ...] = ()  # what the Python and the problem are of
        self.drawn: tuple[str, ...] = ()
        self.inputs = FieldInputs(self.typed, self.options, self.changed)

    @property
    def form(self) -> Form:
        """The form of the chosen estimator."""
        return form_of(self.estimator)

    def options(self) -> Options:
        """Return what fields may be chosen from."""
        workspace = self.desk.workspace
        kept = [name for name, value in workspace.variables().items() if isinstance(value, Estimator)]
        return Options(
            columns={
                field.name: f"{field.name} ({field.dataType.simpleString()[:24]})" for field in self.schema.fields
            },
            variables={
                FRAME: workspace.frames(),
                MODEL: workspace.models(),
                ESTIMATORS: kept,
                ESTIMATOR: kept,
            },
        )

    def build(self) -> None:
        """Build the page."""
        with ui.element("div").classes("flow-build"):
            with ui.column().classes("flow-build-form"):
                self._choices()
                self.lead = remark("")
                with ui.column().classes("w-full gap-2"):
                    self.levels = Levels(self.inputs, self.changed)
            with ui.column().classes("flow-build-side") as self.side:
                self._side()
        self.rebuild()
        follow(self.desk, self.follow)

    def follow(self) -> None:
        """Let the choices be what the flow has now; what was chosen and typed stays."""
        self.data.set_options(with_chosen(self.desk.workspace.frames(), self.frame), value=self.frame)
        self._fit_columns()

    def _choices(self) -> None:
        kinds = {name: f"{name}: {kind.lower()}" for kind, names in KINDS.items() for name in names}
        with ui.row().classes("w-full flow-wrap"):
            self.data = NameChoice(self.frames, value=self.frame, label="Data to learn from")
            self.data.on_value_change(self._take_frame).classes("flow-grow")
            self.kind = ui.select(kinds, value=self.estimator, label="Estimator", on_change=self._take_estimator)
            self.kind.classes("flow-estimator")
            self.name = NewName("Name of the model", self._suggested_name, self.changed)

    def _side(self) -> None:
        with ui.card().classes("w-full").props("flat bordered"):
            # Above what grows as the form is filled, which would move them away under a press.
            with ui.row().classes("flow-wrap"):
                busy_button("Train", self._train)
                busy_button("Keep as a learner", self._keep).props("outline").tooltip(
                    "Names the estimator without a training, for an ensemble to learn from"
                )
            self.problem = alert()
            heading("Python")
            self.code = code_block("")
        with ui.card().classes("w-full").props("flat bordered"):
            heading("Network")
            self.network = Spot()

    def _take_frame(self, event: Any) -> None:
        self.frame = event.value
        self._fit_columns()

    def _take_estimator(self, event: Any) -> None:
        self.chosen = self.chosen or event.value != self.offered
        others = {field.name for field in self.form.fields}
        self.elsewhere = {name: given for name, given in self.elsewhere.items() if name not in others} | self.typed
        self.estimator = event.value
        self.typed.update(self.elsewhere)
        self.rebuild()

    def _fit_columns(self) -> None:
        """Let the fields be for the columns of the chosen data: their inputs stay, with what is being typed in them."""
        frame = self.desk.workspace.variables().get(self.frame)
        if frame is not None and frame.schema != self.schema:  # suggestions come back for other columns alone
            self.schema = frame.schema
            if not self.chosen:
                self.offered = suggested_estimator(self.schema)
                self.kind.value = self.offered
            self._fit_typed()
        self.inputs.follow()
        self.name.follow()
        if self._filled() != self.shown:  # what `fit` refused stays in sight while nothing is changed
            self.changed()

    def _fit_typed(self) -> None:
        form, schema = self.form, self.schema
        given = {**suggested_columns(form, schema), **still_fitting(form, self.typed, schema.names)}
        self.typed.clear()
        self.typed.update(given)

    def rebuild(self) -> None:
        """Let the fields be those of the chosen estimator; what was typed stays where the Param is there."""
        self._fit_typed()
        self.lead.set_text(self.form.lead)
        self.name.follow()
        self.levels.show(self.form, self.typed)
        self.changed()

    def _suggested_name(self) -> str:
        return self.desk.workspace.fresh(suggested_model(self.estimator))

    def _filled(self) -> tuple[str, ...]:
        """Return all that was chosen and typed, as text."""
        return self.frame, self.estimator, self.name.text, repr(self.typed)

    def action(self, kind: Callable[..., Action] = Fit) -> Action:
        """Return the action of what was typed; errors are shown at their fields.

        Raises
        ------
        ConfigurationError
            If something that was typed is refused.
        """
        filled = fill(self.estimator, self.typed)
        self.inputs.show_errors(filled.errors)
        if filled.errors:
            raise ConfigurationError("; ".join(filled.errors.values()))
        given: dict[str, Any] = {
            "result": self.name.text,
            "estimator": self.estimator,
            "params": filled.values,
            "variables": self.inputs.variables(self.form),
        }
        made = kind(**given, frame=self.frame) if kind is Fit else kind(**given)
        made.code()
        return made

    def changed(self) -> None:
        """Show the Python of what was typed, or what is refused."""
        self.shown = self._filled()
        try:
            self.code.set_text(self.action().code().shown)
        except ConfigurationError as error:
            self.problem.set_text(str(error))
            return
        self.problem.set_text("")
        drawn = (self.frame, self.estimator, repr([(name, self.typed.get(name)) for name in sorted(_DRAWN)]))
        if drawn != self.drawn:
            self.drawn = drawn
            with self.side:  # a timer beside an input that is made anew would end with it, in the middle of its work
                ui.timer(0, self._draw, once=True)

    def made(self) -> Any:
        """Return the estimator with all that was typed."""
        filled = fill(self.estimator, self.typed)
        workspace = self.desk.workspace
        values: dict[str, Any] = {
            name: workspace.value(given) if isinstance(given, str) else {one: workspace.value(one) for one in given}
            for name, given in self.inputs.variables(self.form).items()
        }
        return estimator_class(self.estimator)(**filled.values, **values)

    def refuse(self, words: str, where: str = "") -> None:
        """Say beside the buttons, and at a field, why a press did nothing; and at once, for the words may be there."""
        if where:
            self.inputs.show_errors({where: words})
        self.problem.set_text(words)
        ui.notify(f"Refused: {words}", type="negative", multi_line=True, classes="flow-message")

    async def _train(self) -> None:
        try:
            action = self.action()
            _ = self.desk.workspace.spark  # says so where the session has ended
            refused = await run.io_bound(self._refusal)
            if refused:
                self.refuse(refused[1], refused[0])
                return
            self.desk.jobs.start(action)
        except REFUSALS as error:
            self.refuse(refusal_text(error))
            return
        ui.navigate.to("/jobs")

    def _refusal(self) -> tuple[str, str] | None:
        frame = self.desk.workspace.value(self.frame)
        try:
            return refusal(self.made(), frame)
        except REFUSALS as error:
            return "", refusal_text(error)

    async def _keep(self) -> None:
        try:
            job = self.desk.jobs.start(self.action(Define))
            ended = await run.io_bound(self.desk.jobs.wait, job.id, 30)
        except REFUSALS as error:
            self.refuse(refusal_text(error))
            return
        if ended is None:  # the server ends
            return
        if ended.state != "done":
            self.refuse(f"{ended.action.title}: {ended.error or ended.state}")
            return
        ui.notify(f"{ended.action.result} is kept. Choose it as a learner of a StackedEnsemble, or to search by.")
        self._fit_columns()

    async def _draw(self) -> None:
        await self.network.fill("Drawing the network", self._drawing, _show_network)

    def _drawing(self) -> Drawing | str:
        try:
            return drawing_of(planned_network(self.made(), self.desk.workspace.value(self.frame)))
        except REFUSALS as error:
            return refusal_text(error)


def _show_network(drawn: Drawing | str) -> None:
    """Show a drawing, or the reason why there is none yet."""
    if isinstance(drawn, str):
        remark(drawn)
    else:
        show_drawing(drawn)
