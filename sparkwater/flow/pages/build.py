"""Networks and other estimators: a form of their Params, the network drawn, their Python, and the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nicegui import run, ui
from pyspark.ml import Estimator

from sparkwater.errors import ConfigurationError
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.elements import add_style, show_drawing
from sparkwater.flow.pages.parts.fields import FieldInputs, Options
from sparkwater.flow.pages.parts.following import follow, with_chosen
from sparkwater.flow.pages.parts.texts import alert, code_block, heading, page_title, remark
from sparkwater.flow.pages.parts.waiting import Spot
from sparkwater.flow.views.forms import LEVELS, Form, estimator_class, form_of
from sparkwater.flow.views.galleries import picture_columns
from sparkwater.flow.views.networks import Drawing, drawing_of, planned_network
from sparkwater.flow.views.suggestions import still_fitting, suggested_columns, suggested_model
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

#: Sentences under the names of levels.
_WORDS = {
    LEVELS[0]: "What most trainings set. An empty field keeps the estimator's default.",
    LEVELS[1]: "What some trainings set.",
    LEVELS[2]: "What few trainings set; it asks for knowledge of the method or of the cluster.",
}


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
        self.estimator = "ImageClassifier" if picture_columns(self.schema) else "DeepLearningClassifier"
        self.suggested = ""
        self.typed: dict[str, Any] = {}
        self.elsewhere: dict[str, Any] = {}  # what was typed for Params that other estimators have
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
                self.panels = ui.column().classes("w-full gap-2")
            with ui.column().classes("flow-build-side") as self.side:
                self._side()
        self.rebuild()
        follow(self.desk, self.follow)

    def follow(self) -> None:
        """Let the choices be what the flow has now; what was chosen and typed stays."""
        workspace = self.desk.workspace
        self.data.set_options(with_chosen(workspace.frames(), self.frame), value=self.frame)
        if self.name.value == self.suggested and self.suggested in workspace.variables():
            self._name_model()
        self._fit_columns()

    def _choices(self) -> None:
        kinds = {name: f"{name}: {kind.lower()}" for kind, names in KINDS.items() for name in names}
        with ui.row().classes("w-full flow-wrap"):
            self.data = ui.select(self.frames, value=self.frame, label="Data to learn from")
            self.data.on_value_change(self._take_frame).classes("flow-grow")
            ui.select(kinds, value=self.estimator, label="Estimator", on_change=self._take_estimator).classes(
                "flow-estimator"
            )
            self.name = ui.input("Name of the model", on_change=lambda _: self.changed()).classes("flow-grow")

    def _side(self) -> None:
        with ui.card().classes("w-full").props("flat bordered"):
            heading("Python")
            self.code = code_block("")
            self.problem = alert()
            with ui.row().classes("flow-wrap"):
                self.train = ui.button("Train", on_click=self._train)
                ui.button("Keep as a learner", on_click=self._keep).props("outline").tooltip(
                    "Names the estimator without a training, for an ensemble to learn from"
                )
        with ui.card().classes("w-full").props("flat bordered"):
            heading("Network")
            self.network = Spot()

    def _take_frame(self, event: Any) -> None:
        self.frame = event.value
        self._fit_columns()

    def _take_estimator(self, event: Any) -> None:
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
            self._fit_typed()
        self.inputs.follow()
        self.changed()

    def _fit_typed(self) -> None:
        form, schema = self.form, self.schema
        given = {**suggested_columns(form, schema), **still_fitting(form, self.typed, schema.names)}
        self.typed.clear()
        self.typed.update(given)

    def rebuild(self) -> None:
        """Build the fields of the chosen estimator anew; what was typed stays where the Param is there."""
        self._fit_typed()
        self.inputs.clear()
        self.lead.set_text(self.form.lead)
        self._name_model()
        self.panels.clear()
        with self.panels:
            for level in LEVELS:
                self._level(level)
            self._left_out()
        self.changed()

    def _name_model(self) -> None:
        """Suggest a name for the model, where nobody has typed one."""
        if (self.name.value or "") in ("", self.suggested):
            self.suggested = self.desk.workspace.fresh(suggested_model(self.estimator))
            self.name.value = self.suggested

    def _level(self, level: str) -> None:
        groups = self.form.groups(level)
        count = sum(map(len, groups.values()))
        if not count:
            return
        title = f"{level} ({count})"
        if level == LEVELS[0]:
            with ui.card().classes("w-full").props("flat bordered"):
                heading(title)
                remark(_WORDS[level])
                self.inputs.build(groups)
            return
        panel = ui.expansion(title, caption=_WORDS[level]).classes("w-full flow-panel")
        panel.props["toggle-aria-label"] = f"{title} {_WORDS[level]}"  # what is seen, as what is heard
        given = any(field.name in self.typed for fields in groups.values() for field in fields)

        def fill_panel() -> None:
            # Dozens of inputs of a closed panel would make the page slow.
            if panel.value and not panel.default_slot.children:
                with panel:
                    self.inputs.build(groups)
                self.changed()

        panel.on_value_change(lambda _: fill_panel())
        panel.value = given

    def _left_out(self) -> None:
        if self.form.left_out:
            said = ", ".join(f"{name} ({reason})" for name, reason in self.form.left_out.items())
            remark(f"Left to Python: {said}.")

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
            "result": self.name.value.strip(),
            "estimator": self.estimator,
            "params": filled.values,
            "variables": self.inputs.variables(self.form),
        }
        made = kind(**given, frame=self.frame) if kind is Fit else kind(**given)
        made.code()
        return made

    def changed(self) -> None:
        """Show the Python of what was typed, or what is refused."""
        try:
            self.code.set_text(self.action().code().shown)
        except ConfigurationError as error:
            self.problem.set_text(str(error))
            self.train.disable()
            return
        self.problem.set_text("")
        self.train.enable()
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

    async def _train(self) -> None:
        self.train.disable()
        try:
            action = self.action()
            _ = self.desk.workspace.spark  # says so where the session has ended
            refused = await run.io_bound(self._refusal)
            if refused:
                where, message = refused
                self.inputs.show_errors({where: message})
                self.problem.set_text(message)
                return
            self.desk.jobs.start(action)
        except REFUSALS as error:
            self.problem.set_text(refusal_text(error))
            return
        finally:
            self.train.enable()
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
            self.problem.set_text(refusal_text(error))
            return
        if ended is None:  # the server ends
            return
        if ended.state != "done":
            self.problem.set_text(f"{ended.action.title}: {ended.error or ended.state}")
            return
        ui.notify(f"{ended.action.result} is kept. Choose it as a learner of a StackedEnsemble, or to search by.")
        if (self.name.value or "").strip() == ended.action.result:  # it is taken now; one typed meanwhile stays
            self.suggested = self.name.value
        self._name_model()

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
