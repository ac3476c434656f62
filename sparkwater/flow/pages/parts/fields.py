"""Inputs of a form's fields, with their documentation beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui

from sparkwater.flow.pages.parts.choosing import NameChoice, show_placeholder
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


@dataclass(eq=False)
class _Cell:
    """A field's part of the form: its input, and its documentation beside it."""

    field: Field
    place: ui.element
    made: Any = None
    words: Any = None


class FieldInputs:
    """The inputs of a form.

    An input stays while the form has its field, also where the form becomes that of another estimator: somebody may be
    typing in it, and what is typed into an input that is taken away goes nowhere.

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
        self._cells: dict[str, _Cell] = {}

    def show(self, place: ui.element, groups: Mapping[str, Sequence[Field]]) -> None:
        """Let a place hold the inputs of groups of fields, each group under its title where there are several."""
        options = self._options()
        wanted: list[ui.element] = []
        with place:
            for title, fields in groups.items():
                if len(groups) > 1:
                    wanted.append(ui.label(title).classes("flow-group").props("role=heading aria-level=3"))
                wanted += [self._cell(field, options).place for field in fields]
        for child in list(place.default_slot.children):
            if child not in wanted:
                child.delete()
        for position, element in enumerate(wanted):
            if element.parent_slot is not place.default_slot or place.default_slot.children[position] is not element:
                element.move(place, position)
        self._cells = {name: cell for name, cell in self._cells.items() if not cell.place.is_deleted}

    def follow(self) -> None:
        """Let choices be those of now, with what was typed; inputs to write in stay as they are, under the hands."""
        options = self._options()
        for cell in self._cells.values():
            if cell.field.kind in _FOLLOWING:
                self._follow(cell, options)

    def _cell(self, field: Field, options: Options) -> _Cell:
        """Return the cell of a field: the one that is there, or a new one."""
        cell = self._cells.get(field.name)
        if cell is None or cell.place.is_deleted or cell.field.kind != field.kind:
            cell = self._cells[field.name] = _Cell(field, ui.element("div").classes("flow-field"))
            self._fill(cell, options)
            return cell
        cell.field = field
        cell.words.set_text(_documentation(field))
        self._follow(cell, options)
        return cell

    def _follow(self, cell: _Cell, options: Options) -> None:
        """Let an input have the choices of now, and the words of its default."""
        field, made = cell.field, cell.made
        choices = _choices(field, options, self._typed.get(field.name))
        if choices is not None:
            if (len(choices) > _MANY) != bool(made.props.get("use-input")):
                cell.place.clear()
                self._fill(cell, options)
                return
            empty: Any = [] if made.multiple else None
            made.set_options(choices, value=self._typed.get(field.name, empty))
        _show_default(cell)

    def _fill(self, cell: _Cell, options: Options) -> None:
        field, given = cell.field, self._typed.get(cell.field.name)
        choices = _choices(field, options, given)
        with cell.place:
            cell.made = made = _input(field, choices, given)
            cell.words = ui.label(_documentation(field)).classes("flow-doc")
        made.props["aria-describedby"] = cell.words.html_id
        _show_default(cell)
        made.on_value_change(lambda event: self._take(cell, event.value))

    def _take(self, cell: _Cell, value: Any) -> None:
        name, given = cell.field.name, None if value in (None, "", []) else value
        if given == self._typed.get(name):  # an input that follows
            return
        if given is None:
            del self._typed[name]
        else:
            self._typed[name] = given
        _show_default(cell)
        self._changed()

    def show_errors(self, errors: Mapping[str, str]) -> None:
        """Show errors at their inputs, and none at others."""
        for name, cell in self._cells.items():
            cell.made.error = errors.get(name)

    def variables(self, form: Form) -> dict[str, str | tuple[str, ...]]:
        """Return the Params that are set to variables, with the variables' names."""
        return {
            field.name: tuple(given) if isinstance(given, list) else given
            for field in form.fields
            if field.kind == forms.VARIABLE and (given := self._typed.get(field.name))
        }


def _input(field: Field, choices: Any, given: Any) -> Any:
    made: Any
    if choices is not None:
        several = field.kind in (forms.COLUMNS, forms.CHOICES) or VARIABLES.get(field.name) == ESTIMATORS
        value = given if given is not None else ([] if several else None)
        # Among many columns people find one by its letters.
        made = NameChoice(
            choices, label=field.name, value=value, multiple=several, clearable=True, with_input=len(choices) > _MANY
        )
    else:
        made = ui.input(field.name, value="" if given is None else str(given)).props("clearable debounce=300")
    # The estimator validates; NiceGUI would take its messages away.
    return made.without_auto_validation().props("stack-label outlined dense").classes("flow-input")


def _show_default(cell: _Cell) -> None:
    """Show what an empty input stands for."""
    made, default = cell.made, _default(cell.field, cell.made)
    made.props["placeholder"] = default
    if isinstance(made, ui.select):
        made.props.set_bool("use-chips", bool(made.multiple and made.value))  # chips leave no room for the words
        show_placeholder(made, None if made.value else default)


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
