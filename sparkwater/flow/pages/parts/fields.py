"""Inputs of a form's fields, with their documentation beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from sparkwater.flow.pages.parts.choosing import show_placeholder
from sparkwater.flow.pages.parts.following import with_chosen
from sparkwater.flow.views import forms
from sparkwater.flow.views.forms import Field, Form, shown_default
from sparkwater.flow.workbook.actions.estimators import ESTIMATOR, ESTIMATORS, MODEL, VARIABLES

#: More choices than this are searched by typing.
_MANY = 30

#: Examples of what to type, by the kind of input.
_EXAMPLES = {
    forms.INTEGERS: "such as 28, 28, 1",
    forms.NUMBERS: "such as 0.1, 0.2",
    forms.WORDS: "such as one, two",
    forms.JSON: "a word, or JSON",
}

#: Kinds whose choices are the data's columns, or the flow's variables.
_FOLLOWING = (forms.COLUMN, forms.COLUMNS, forms.VARIABLE)

#: Words in a choice among variables of which there are none, by their kind.
_NONE_YET = {
    MODEL: "no model is trained yet",
    **dict.fromkeys((ESTIMATOR, ESTIMATORS), "none yet: choose another estimator above, and 'Keep as a learner'"),
}


@dataclass(frozen=True)
class Options:
    """Choices that follow from the flow.

    Attributes
    ----------
    columns : mapping of str to str
        Columns of the frame, with the words for each.
    variables : mapping of str to sequence of str
        Variables by their kind, one of `sparkwater.flow.workbook.actions.estimators.VARIABLES`.
    """

    columns: Mapping[str, str]
    variables: Mapping[str, Sequence[str]]


class FieldInputs:
    """The inputs of a form.

    Parameters
    ----------
    typed : dict of str to object
        What the inputs hold, by Param; empty ones are left out. The inputs change it.
    options : callable
        Gives the choices at the time that an input is built.
    changed : callable
        Called after each change.
    """

    def __init__(self, typed: dict[str, Any], options: Callable[[], Options], changed: Callable[[], None]) -> None:
        self._typed, self._options, self._changed = typed, options, changed
        self._inputs: dict[str, Any] = {}
        self._cells: dict[str, tuple[Field, ui.element]] = {}

    def clear(self) -> None:
        """Forget the inputs."""
        self._inputs.clear()
        self._cells.clear()

    def build(self, groups: Mapping[str, Sequence[Field]]) -> None:
        """Build the inputs of groups of fields, each group under its title where there are several."""
        options = self._options()
        for title, fields in groups.items():
            if len(groups) > 1:
                ui.label(title).classes("flow-group").props("role=heading aria-level=3")
            for field in fields:
                self._cells[field.name] = (field, ui.element("div").classes("flow-field"))
                self._fill(field.name, options)

    def follow(self) -> None:
        """Let choices be those of now, with what was typed; inputs to write in stay as they are, under the hands."""
        options = self._options()
        for name, (field, _) in self._cells.items():
            if field.kind not in _FOLLOWING:
                continue
            choices, made = _choices(field, options, self._typed.get(name)), self._inputs[name]
            if (len(choices) > _MANY) != bool(made.props.get("use-input")):
                self._fill(name, options)
                continue
            empty: Any = [] if made.multiple else None
            made.set_options(choices, value=self._typed.get(name, empty))
            self._show_default(field, made)

    def _fill(self, name: str, options: Options) -> None:
        field, cell = self._cells[name]
        cell.clear()
        with cell:
            made = self._inputs[name] = self._input(field, options)
            made.props["aria-describedby"] = ui.label(_documentation(field)).classes("flow-doc").html_id

    def _input(self, field: Field, options: Options) -> Any:
        label, given = field.name, self._typed.get(field.name)
        choices = _choices(field, options, given)
        made: Any
        if choices is not None:
            several = field.kind in (forms.COLUMNS, forms.CHOICES) or VARIABLES.get(field.name) == ESTIMATORS
            value = given if given is not None else ([] if several else None)
            # Among many columns people find one by its letters.
            made = ui.select(
                choices, label=label, value=value, multiple=several, clearable=True, with_input=len(choices) > _MANY
            )
        else:
            made = ui.input(label, value="" if given is None else str(given)).props("clearable debounce=300")
        # The estimator validates; NiceGUI would take its messages away.
        made.without_auto_validation().props("stack-label outlined dense")
        self._show_default(field, made)
        made.on_value_change(lambda event: self._take(field, made, event.value))
        return made.classes("flow-input")

    def _show_default(self, field: Field, made: Any) -> None:
        """Show what an empty input stands for."""
        default = _default(field, made)
        made.props["placeholder"] = default
        if isinstance(made, ui.select):
            made.props.set_bool("use-chips", bool(made.multiple and made.value))  # chips leave no room for the words
            show_placeholder(made, None if made.value else default)

    def _take(self, field: Field, made: Any, value: Any) -> None:
        if value in (None, "", []):
            self._typed.pop(field.name, None)
        else:
            self._typed[field.name] = value
        self._show_default(field, made)
        self._changed()

    def show_errors(self, errors: Mapping[str, str]) -> None:
        """Show errors at their inputs, and none at others."""
        for name, made in self._inputs.items():
            made.error = errors.get(name)

    def variables(self, form: Form) -> dict[str, str | tuple[str, ...]]:
        """Return the Params that are set to variables, with the variables' names."""
        return {
            field.name: tuple(given) if isinstance(given, list) else given
            for field in form.fields
            if field.kind == forms.VARIABLE and (given := self._typed.get(field.name))
        }


def _default(field: Field, made: Any) -> str:
    """Return the words of an empty input."""
    if isinstance(made, ui.select):
        none_yet = _NONE_YET.get(VARIABLES.get(field.name, ""), "none here")
        return f"default: {shown_default(field)}" if made.options else none_yet
    example = f"; {_EXAMPLES[field.kind]}" if field.kind in _EXAMPLES else ""
    return f"default: {shown_default(field)}{example}"


def _choices(field: Field, options: Options, given: Any) -> Any:
    """Return what a field is chosen from, variables that were chosen among them; None for fields to type in."""
    if field.kind in (forms.COLUMN, forms.COLUMNS):
        return dict(options.columns)
    if field.kind == forms.SWITCH:
        return {"yes": "yes", "no": "no"}
    if field.kind == forms.VARIABLE:
        chosen = given if isinstance(given, list) else [given]
        return with_chosen(options.variables[VARIABLES[field.name]], *chosen)
    return list(field.choices) if field.kind in (forms.CHOICE, forms.CHOICES) else None


def _documentation(field: Field) -> str:
    text = f"{field.doc[0].upper()}{field.doc[1:]}."
    return f"{text} Default: {shown_default(field)}."
