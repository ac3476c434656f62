"""The levels of a form: essential fields in sight, the others in panels that open."""

from __future__ import annotations

from collections.abc import Callable, Collection

from nicegui import ui

from sparkwater.flow.pages.parts.fields import FieldInputs
from sparkwater.flow.pages.parts.texts import heading, remark
from sparkwater.flow.views.forms import LEVELS, Field, Form

#: Sentences under the names of levels.
_WORDS = {
    LEVELS[0]: "What most trainings set. An empty field keeps the estimator's default.",
    LEVELS[1]: "What some trainings set.",
    LEVELS[2]: "What few trainings set; it asks for knowledge of the method or of the cluster.",
}


class Levels:
    """The levels, made once; they show the form of one estimator after the other.

    Parameters
    ----------
    inputs : FieldInputs
        The inputs.
    opened : callable
        Called when a panel is opened.
    """

    def __init__(self, inputs: FieldInputs, opened: Callable[[], None]) -> None:
        self._essential = _Essential(inputs)
        self._panels = [_Panel(level, inputs, opened) for level in LEVELS[1:]]
        self._left_out = remark("")

    def show(self, form: Form, given: Collection[str]) -> None:
        """Show a form; panels with a Param that is given are opened."""
        self._essential.show(form.groups(LEVELS[0]))
        for panel in self._panels:
            panel.show(form.groups(panel.level), given)
        said = ", ".join(f"{name} ({reason})" for name, reason in form.left_out.items())
        self._left_out.set_text(f"Left to Python: {said}.")
        self._left_out.set_visibility(bool(said))


class _Essential:
    """The fields in sight."""

    def __init__(self, inputs: FieldInputs) -> None:
        self._inputs = inputs
        with ui.card().classes("w-full").props("flat bordered"):
            self._title = heading("")
            remark(_WORDS[LEVELS[0]])
            self._place = ui.column().classes("w-full")

    def show(self, groups: dict[str, list[Field]]) -> None:
        """Show the fields of a form."""
        self._title.set_text(f"{LEVELS[0]} ({_count(groups)})")
        self._inputs.show(self._place, groups)


class _Panel:
    """The fields of a level in a panel. Dozens of inputs of a closed one would make the page slow."""

    def __init__(self, level: str, inputs: FieldInputs, opened: Callable[[], None]) -> None:
        self.level, self._inputs, self._opened = level, inputs, opened
        self._groups: dict[str, list[Field]] = {}
        self._panel = ui.expansion(caption=_WORDS[level]).classes("w-full flow-panel")
        with self._panel:
            self._place = ui.column().classes("w-full")
        self._panel.on_value_change(self._open)

    def show(self, groups: dict[str, list[Field]], given: Collection[str]) -> None:
        """Show the fields of a form, at the latest when the panel is opened."""
        self._groups, title = groups, f"{self.level} ({_count(groups)})"
        self._panel.text = title
        self._panel.props["toggle-aria-label"] = f"{title} {_WORDS[self.level]}"  # what is seen, as what is heard
        self._panel.set_visibility(bool(groups))
        opened = self._panel.value or any(field.name in given for fields in groups.values() for field in fields)
        self._inputs.show(self._place, groups if opened else {})
        self._panel.value = opened

    def _open(self) -> None:
        if self._panel.value and not self._place.default_slot.children:
            self._inputs.show(self._place, self._groups)
            self._opened()


def _count(groups: dict[str, list[Field]]) -> int:
    return sum(map(len, groups.values()))
