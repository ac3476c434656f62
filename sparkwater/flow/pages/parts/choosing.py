"""Choices among names: words where there are none, and a refusal where none was made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui
from nicegui.events import GenericEventArguments

from sparkwater.errors import ConfigurationError
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.parts.following import follow, with_chosen
from sparkwater.flow.pages.parts.messages import tell


class NameChoice(ui.select):
    """A choice among names that change with the flow.

    A browser answers with places in the list that it shows. Where the list has changed meanwhile, another name may have
    the place: the answer is taken by its words.
    """

    def _event_args_to_value(self, e: GenericEventArguments) -> Any:
        given = [e.args] if isinstance(e.args, dict) else list(e.args or ())
        known = dict(zip(self._labels, self._values, strict=True))
        gone = [one["label"] for one in given if one["label"] not in known]
        if gone:
            tell(f"{', '.join(gone)} is no choice any more under {self.props['label']!r}; choose another one")
        found = [known[one["label"]] for one in given if one["label"] in known]
        if self.multiple:
            return found
        return found[0] if found else self.value if gone else None


def choice(label: str, names: Sequence[str] = (), value: str | None = None) -> ui.select:
    """Add a choice among names; at first the given one, else the first."""
    made = NameChoice([], label=label).classes("flow-grow")
    offer(made, names, value)
    return made


def living_choice(desk: Desk, label: str, find: Callable[[], Sequence[str]], value: str | None = None) -> ui.select:
    """Add a choice among the names that a function finds, also later, among the flow's variables."""
    made = choice(label, find(), value)
    follow(desk, lambda: offer(made, with_chosen(find(), made.value)))
    return made


def frames_with(desk: Desk, find: Callable[[Any], list[str]]) -> list[str]:
    """Return the names of DataFrames in whose schema a function finds columns."""
    variables = desk.workspace.variables()
    return [name for name in desk.workspace.frames() if name in variables and find(variables[name].schema)]


def offer(made: ui.select, names: Sequence[str], value: str | None = None) -> None:
    """Let a choice be one among other names, the one that was made where it can stay."""
    kept = next((one for one in (value, made.value) if one in names), None)
    made.set_options(list(names), value=kept or next(iter(names), None))
    made.set_enabled(bool(names))
    show_placeholder(made, None if names else "none here")


def chosen(made: ui.select) -> str:
    """Return the name that was chosen.

    Raises
    ------
    ConfigurationError
        If none was, or there are none.
    """
    if made.value is None:
        label = made.props["label"]
        if made.options:
            raise ConfigurationError(f"choose one under {label!r}")
        raise ConfigurationError(f"there is nothing to choose under {label!r}; choose other data, or make some first")
    return str(made.value)


def show_placeholder(made: ui.select, words: str | None) -> None:
    """Show words in an empty choice, in the colour of placeholders; None for one that has a value."""
    if words is None:
        made.props.pop("display-value", None)
        made.classes(remove="flow-default")
    else:
        made.props["display-value"] = words
        made.classes("flow-default")


def columns_follow(desk: Desk, frame: ui.select, column: ui.select, find: Callable[[Any], list[str]]) -> None:
    """Let the names under a choice be columns of the DataFrame that is chosen under another one."""

    def take() -> None:
        offer(column, find(desk.workspace.value(frame.value).schema) if frame.value else [])

    frame.on_value_change(take)
    take()
