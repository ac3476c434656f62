"""Pages as elements, without a browser: what they do with what was typed while the flow changes under them."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from conftest import start_session
from nicegui import Client, background_tasks, core, events, ui
from nicegui import run as run_in
from nicegui.page import page

from sparkwater.flow.pages import build, jobs, workbook
from sparkwater.flow.pages.data.files import FileList
from sparkwater.flow.pages.data.frames import SplitForm
from sparkwater.flow.pages.data.type_list import Column, TypeList
from sparkwater.flow.pages.desk import Desk
from sparkwater.flow.pages.models import page as models
from sparkwater.flow.pages.models.keeping import keep
from sparkwater.flow.work.folders import Folders
from sparkwater.flow.work.jobs import Job, Jobs
from sparkwater.flow.work.progress import Training
from sparkwater.flow.work.workspace import Workspace
from sparkwater.flow.workbook.actions import Action
from sparkwater.flow.workbook.actions.keeping import SaveModel
from sparkwater.flow.workbook.actions.training import Fit
from sparkwater.flow.workbook.code import Code
from sparkwater.flow.workbook.workbook import Cell, Workbook
from sparkwater.gpu.records import StepRecord

WAYS = "tick 'Replace what is there', or move what is there"
WIDE = ", ".join(f"column_{place} double" for place in range(40))


@dataclass(frozen=True)
class Made(Action):
    """A DataFrame without rows, an estimator or a model."""

    kind: ClassVar[str] = "made"

    result: str
    what: str

    @property
    def title(self) -> str:
        return f"Make {self.result}"

    def code(self) -> Code:
        imports = (
            "from pyspark.ml.classification import LogisticRegression",
            "from pyspark.ml.feature import VectorIndexerModel",
        )
        made = self.what if self.what.endswith("()") else f"spark.createDataFrame([], {self.what!r})"
        return Code(imports, (f"{self.result} = {made}",))


class Window:
    """The elements of a page, and the hands of who uses it."""

    def __init__(self, desk: Desk, show: Any) -> None:
        self.client = Client(page("/tested"))
        with self.client:
            show(desk)

    def all(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.client.elements.values() if isinstance(each, kind)]

    def presses(self, words: str) -> None:
        (button,) = [each for each in self.all(ui.button) if each.text == words]
        for listener in button._event_listeners.values():
            events.handle_event(
                listener.handler, events.GenericEventArguments(sender=button, client=self.client, args={})
            )

    def presses_and_waits(self, words: str, times: int = 1) -> None:
        """Press a button some times, before the browser knows of the first, and wait for what comes of it."""

        def press() -> None:
            for _ in range(times):
                self.presses(words)

        self.waits(press)

    def waits(self, do: Callable[[], Any]) -> None:
        """Do something, and wait for what comes of it."""

        async def done() -> None:
            core.loop, run_in.thread_pool = asyncio.get_running_loop(), ThreadPoolExecutor()
            before = {*background_tasks.running_tasks}
            do()
            while coming := background_tasks.running_tasks - before:
                await asyncio.gather(*coming)

        kept = core.loop, run_in.thread_pool
        try:
            asyncio.run(done())
        finally:
            core.loop, run_in.thread_pool = kept

    def sends(self, element: Any, event: str, value: Any) -> None:
        """Take an event as browsers send it, which know elements as they last got them."""
        (listener,) = [each.id for each in element._event_listeners.values() if each.type == event]
        self.client.handle_event({"id": element.id, "listener_id": listener, "args": [json.dumps(value)]})

    def notes(self) -> list[str]:
        return [content["message"] for _, kind, content in self.client.outbox.messages if kind == "notify"]

    def field(self, label: str) -> Any:
        (found,) = [each for each in self.client.elements.values() if each.props.get("label") == label]
        return found

    def labels(self) -> list[str]:
        """Return the labels of inputs and choices from top to bottom."""
        return [
            each.props["label"] for each in self.client.layout.descendants() if isinstance(each, (ui.input, ui.select))
        ]

    def texts(self) -> list[str]:
        return [
            each.text for each in self.all(ui.label) if all(one.visible for one in each.ancestors(include_self=True))
        ]

    def python(self) -> str:
        return next(each.text for each in self.all(ui.label) if "flow-code" in each.classes)

    def passes_time(self) -> None:
        """Do what the page does each second."""
        for timer in self.all(ui.timer):
            if timer.interval:
                with timer.parent_slot:
                    timer.callback()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def desk(root: Path) -> Desk:
    """A flow without variables."""
    workspace, cells = Workspace(start_session("local[2]"), Folders([root])), Workbook()
    return Desk(workspace, Jobs(workspace, cells), cells)


def pictures(*names: str) -> list[Made]:
    return [Made(name, "content binary, label string") for name in names]


def run(desk: Desk, *actions: Action) -> None:
    for action in actions:
        desk.workspace.run(action)


def test_build_waits_for_data_and_offers_what_other_windows_make(desk: Desk) -> None:
    window = Window(desk, build.show)
    assert "There is no data yet." in window.texts()
    run(desk, *pictures("one"))
    window.passes_time()
    assert "There is no data yet." not in window.texts()
    window.field("Estimator").set_value("StackedEnsemble")
    assert window.field("learners").options == []
    assert window.field("learners").props["display-value"].startswith("none yet")
    run(desk, *pictures("two"), Made("glm", "LogisticRegression()"))
    window.passes_time()
    assert window.field("Data to learn from").options == ["one", "two"]
    assert window.field("learners").options == ["glm"]
    assert window.field("learners").props["display-value"].startswith("default")
    window.field("learners").set_value(["glm"])
    desk.workspace.clear()  # the flow runs again
    window.passes_time()
    assert window.field("Data to learn from").value == "one"
    assert window.field("learners").value == ["glm"]
    run(desk, Made("glm", "LogisticRegression()"), *pictures("three"))
    window.passes_time()
    assert window.field("Data to learn from").options == ["three", "one"]
    assert window.field("learners").value == ["glm"]


def test_what_is_typed_stays_with_other_data_and_other_estimators(desk: Desk) -> None:
    run(desk, *pictures("one"), Made("two", "content binary, kind string"), Made("wide", f"label int, {WIDE}"))
    window = Window(desk, build.show)
    epochs = window.field("epochs")
    epochs.set_value("7")
    window.field("imageShape").set_value("8, 8, 1")
    window.field("labelCol").set_value("label")
    window.field("Name of the model").set_value("mine")
    window.field("Data to learn from").set_value("two")
    assert window.field("epochs") is epochs  # the same input, in which somebody may be typing
    assert (window.field("labelCol").value, list(window.field("labelCol").options)) == (None, ["content", "kind"])
    window.field("Data to learn from").set_value("wide")
    assert window.field("epochs") is epochs
    assert window.field("labelCol").props["use-input"]  # among many columns people search
    window.field("Estimator").set_value("DeepLearningClassifier")
    assert window.field("epochs").value == "7"
    window.field("epochs").set_value("")
    window.field("Estimator").set_value("ImageClassifier")
    assert (window.field("imageShape").value, window.field("epochs").value) == ("8, 8, 1", "")
    assert window.field("Name of the model").value == "mine"


def test_a_choice_that_was_emptied_stays_empty(desk: Desk) -> None:
    run(desk, *pictures("one"), Made("other", "content binary, class string"))
    window = Window(desk, build.show)
    window.field("Data to learn from").set_value("other")
    assert window.field("labelCol").value == "class"  # suggested
    window.field("labelCol").set_value(None)
    run(desk, *pictures("two"))
    window.passes_time()
    assert window.field("labelCol").value is None
    window.field("Data to learn from").set_value("one")
    window.field("Data to learn from").set_value("other")
    assert window.field("labelCol").value == "class"


def test_a_suggested_name_that_another_window_takes_gives_way_beside_what_is_typed(desk: Desk) -> None:
    run(desk, *pictures("one"))
    window, other = Window(desk, build.show), Window(desk, build.show)
    name = window.field("Name of the model")
    other.field("Name of the model").set_value("typed")
    assert name.props["placeholder"] == "network"
    assert "\nnetwork = ImageClassifier(" in window.python()
    run(desk, *pictures("network", "typed"))
    window.passes_time()
    other.passes_time()
    assert (name.value, name.props["placeholder"]) == ("", "network_2")  # a value would take away what is on its way
    assert "\nnetwork_2 = ImageClassifier(" in window.python()
    assert other.field("Name of the model").value == "typed"


def test_what_is_on_its_way_while_the_form_becomes_another_ones_arrives(desk: Desk) -> None:
    run(desk, *pictures("one"), Made("numbers", "content binary, label double"))
    window = Window(desk, build.show)
    epochs, features = window.field("epochs"), window.field("featuresCol")
    window.field("Estimator").set_value("AutoEncoder")
    window.sends(epochs, "update:value", "9")
    assert window.field("epochs") is epochs
    assert "epochs=9" in window.python()
    window.field("Estimator").set_value("LogisticRegression")
    assert window.field("featuresCol") is features
    assert epochs.is_deleted
    window.field("Estimator").set_value("ImageClassifier")
    assert window.field("epochs").value == "9"
    assert window.labels() == Window(desk, build.show).labels()  # the order of a form that was no other's


def test_an_answer_is_taken_by_its_words_where_choices_have_changed_meanwhile(desk: Desk) -> None:
    run(desk, *pictures("one"), Made("glm", "LogisticRegression()"), Made("flat", "LogisticRegression()"))
    window = Window(desk, build.show)
    window.field("Estimator").set_value("StackedEnsemble")
    learners = window.field("learners")
    desk.workspace.clear()
    run(desk, *pictures("one"), Made("flat", "LogisticRegression()"), Made("glm", "LogisticRegression()"))
    window.passes_time()
    window.sends(learners, "update:modelValue", [{"value": 0, "label": "glm"}])
    assert learners.value == ["glm"]
    window.field("Estimator").set_value("GridSearch")
    searched = window.field("estimator")
    window.sends(searched, "update:modelValue", {"value": 1, "label": "flat"})
    assert searched.value == "flat"
    window.sends(searched, "update:modelValue", {"value": 2, "label": "third"})
    assert window.notes() == ["third is no choice any more under 'estimator'; choose another one"]
    assert searched.value == "flat"
    window.sends(searched, "update:modelValue", None)
    assert searched.value is None


def test_a_press_is_answered_each_time_and_two_at_once_are_one(desk: Desk) -> None:
    run(desk, *pictures("one"))
    window = Window(desk, build.show)
    window.field("epochs").set_value("many")
    said = "Refused: epochs='many'; accepted: numbers from 0 up"
    window.presses_and_waits("Train")
    assert [note[: len(said)] for note in window.notes()] == [said]
    window.presses_and_waits("Train")
    assert len(window.notes()) == 2
    window.field("epochs").set_value("")
    window.field("Name of the model").set_value("kept")
    window.presses_and_waits("Keep as a learner", times=2)
    assert [job.state for job in desk.jobs.all()] == ["done"]
    assert window.notes()[2:] == [
        "kept is kept. Choose it as a learner of a StackedEnsemble, or to search by.",
    ]


def test_what_fit_refuses_stays_in_sight_while_others_make_variables(desk: Desk) -> None:
    run(desk, *pictures("one"))
    window = Window(desk, build.show)
    window.field("labelCol").set_value(None)
    window.field("numWorkers").set_value("64")
    window.presses_and_waits("Train")
    (said,) = [text for text in window.texts() if text.startswith("numWorkers=64")]
    assert window.field("numWorkers").error == said
    run(desk, *pictures("two"))
    window.passes_time()
    assert said in window.texts()
    window.field("numWorkers").set_value("1")
    assert said not in window.texts()


def test_the_estimator_is_suggested_for_the_data_until_somebody_chooses_one(desk: Desk) -> None:
    run(desk, Made("table", "age int, label string"), *pictures("one"))
    window = Window(desk, build.show)
    estimator, data = window.field("Estimator"), window.field("Data to learn from")
    assert estimator.value == "DeepLearningClassifier"
    window.field("epochs").set_value("7")
    data.set_value("one")
    assert estimator.value == "ImageClassifier"
    assert "ImageClassifier(" in window.python()
    assert "epochs=7" in window.python()
    estimator.set_value("AutoEncoder")
    data.set_value("table")
    data.set_value("one")
    assert estimator.value == "AutoEncoder"


def test_models_offers_those_that_jobs_make(desk: Desk) -> None:
    window = Window(desk, models.show)
    assert "No model is fitted yet." in window.texts()
    run(desk, Made("first", "VectorIndexerModel()"))
    window.passes_time()
    assert "No model is fitted yet." not in window.texts()
    assert (window.field("Model").value, window.field("Model").visible) == ("first", True)
    run(desk, Made("second", "VectorIndexerModel()"))
    window.passes_time()
    assert (window.field("Model").value, window.field("Model").options) == ("first", ["first", "second"])
    assert window.field("Models to compare").value == ["first", "second"]
    window.field("Models to compare").set_value(["second"])
    run(desk, Made("third", "VectorIndexerModel()"))
    window.passes_time()
    assert window.field("Models to compare").value == ["second", "third"]
    desk.workspace.clear()
    window.passes_time()
    assert window.field("Model").value == "first"


def test_models_of_the_same_data_as_the_one_in_view_are_compared(desk: Desk) -> None:
    desk.workspace.run(Made("pictures", "content binary"))
    made = {"one": "pictures", "other": "pictures", "elsewhere": "tables"}
    for name, frame in made.items():
        desk.workspace.run(Made(name, "VectorIndexerModel()"))
        job = Job(len(desk.jobs.all()) + 1, Fit(name, frame, "ImageClassifier"), 0.0, "done")
        desk.jobs._jobs[job.id] = job
    window = Window(desk, models.show)
    compared, table = window.field("Models to compare"), lambda: window.all(ui.table)[-1]
    assert (window.field("Model").value, compared.value) == ("elsewhere", ["elsewhere"])
    assert [column["label"] for column in table().columns] == ["model", "data", "class"]
    assert [list(row.values())[1:3] for row in table().rows] == [["elsewhere", "tables"]]
    window.waits(lambda: window.field("Model").set_value("one"))
    assert compared.value == ["one", "other"]
    compared.set_value(["one", "elsewhere"])
    window.waits(lambda: window.field("Model").set_value("other"))
    assert compared.value == ["one", "elsewhere"]  # of the same data: the person's choice stays


def test_models_are_saved_in_the_last_of_the_folders_given(root: Path, tmp_path: Path) -> None:
    workspace, book = Workspace(None, Folders([root, tmp_path])), Workbook()
    desk = Desk(workspace, Jobs(workspace, book), book)
    assert Window(desk, lambda desk: keep(desk, "net")).field("Folder").value == str(tmp_path)


def test_given_folders_are_searched_and_one_that_is_opened_is_shown_whole(desk: Desk, tmp_path: Path) -> None:
    roots = [tmp_path / "first", tmp_path / "second"]
    for root in roots:
        (root / "inner").mkdir(parents=True)
    desk = replace(desk, workspace=Workspace(None, Folders(roots)))
    made: list[FileList] = []
    window = Window(desk, lambda desk: made.append(FileList(desk, None)))
    (files,), search = made, window.field("Search files and folders")

    def listed() -> list[str]:
        return [item.props["aria-label"] for item in window.all(ui.item)]

    window.waits(lambda: background_tasks.create(files.show()))
    assert listed() == list(map(str, roots))
    window.waits(lambda: search.set_value("SECOND"))
    assert listed() == [str(roots[1])]
    window.waits(lambda: search.set_value("third"))
    assert (listed(), "No names with this text." in window.texts()) == ([], True)
    window.waits(lambda: background_tasks.create(files._open(roots[1])))
    assert (listed(), search.value) == (["inner"], "")


def test_inputs_beside_each_other_have_names_of_their_own(desk: Desk) -> None:
    def show(desk: Desk) -> None:
        SplitForm(desk, "table", ["one", "other"], None).build()
        TypeList([Column(name, "date", []) for name in ("one", "other")])

    window = Window(desk, show)
    inputs = [each for each in window.client.elements.values() if isinstance(each, (ui.input, ui.select, ui.number))]
    names = [each.props.get("aria-label") or each.props["label"] for each in inputs]
    assert {"Percent of part 3", "Name of part 2", "Format of one", "Format of other"} <= {*names}
    assert len(names) == len({*names})


def test_the_state_of_a_job_is_read_aloud_and_its_pace_is_not(desk: Desk) -> None:
    begun = Training(4.0).with_step(StepRecord(0, 3, 50, 100, 0.5, (15.0, 5.0)))
    desk.jobs._jobs[1] = Job(1, Fit("net", "one", "ImageClassifier"), 0.0, "running", started=1.0, trainings=(begun,))
    window = Window(desk, jobs.show)
    assert "0 of 4 epochs, 20 rows a second, 17.5 s left." in window.texts()
    assert [each.text for each in window.all(ui.label) if each.props.get("role") == "status"] == ["The training runs."]


def test_cells_that_are_there_stay_when_others_come(desk: Desk) -> None:
    def cell(name: str) -> Cell:
        return Cell(Made(name, "label int"))

    def shown() -> list[Any]:
        return [each for each in window.all(ui.column) if str(each.props.get("aria-label", "")).startswith("Cell ")]

    window = Window(desk, workbook.show)
    assert any(text.startswith("There are no cells yet.") for text in window.texts())
    desk.workbook.replace([cell("one"), cell("two")])
    window.passes_time()
    before = shown()
    desk.workbook.add(cell("three"))
    window.passes_time()
    assert shown()[:2] == before
    assert [each.props["aria-label"] for each in shown()] == ["Cell 1", "Cell 2", "Cell 3"]
    desk.workbook.replace([cell("one"), cell("other")])
    window.passes_time()
    assert (shown()[0], len(shown()), before[1].is_deleted) == (before[0], 2, True)


def test_a_cell_that_replaces_a_folder_says_so(desk: Desk, root: Path) -> None:
    desk.workbook.replace(
        [Cell(SaveModel("m", str(root / "a"), overwrite=True), "new"), Cell(SaveModel("m", str(root / "b")), "new")]
    )
    said = [text for text in Window(desk, workbook.show).texts() if "replaces" in text]
    assert said == [f"When it runs, it replaces what is at {root / 'a'}."]


def test_the_answer_to_run_again_is_for_the_folders_that_were_named(tmp_path: Path) -> None:
    places = [tmp_path / f"model_{number}" for number in range(7)]
    for place in places[:-1]:
        (place / "metadata").mkdir(parents=True)
        (place / "metadata" / "part-0").touch()
    cells = [Cell(SaveModel("m", str(place), overwrite=True), "new") for place in places]
    workspace, book = Workspace(None, Folders([tmp_path])), Workbook(cells)
    window = Window(Desk(workspace, Jobs(workspace, book), book), workbook.show)
    window.presses("Run again")
    (said,) = [text for text in window.texts() if text.startswith("Cells save into folders")]
    assert [place.name for place in places if str(place) in said] == [place.name for place in places[:-1]]
    window.presses("Run all cells")
    assert window.notes() == [f"{str(places[0])!r} exists already, and a cell replaces it; {WAYS}"]
    window.presses("Run again")
    (over,) = window.all(ui.checkbox)
    over.value = True
    (places[-1] / "of_another").mkdir(parents=True)
    window.presses("Run all cells")
    assert "has changed since you were asked" in window.notes()[-1]
    shutil.rmtree(places[-1])
    book.replace(cells[:1])  # another window opens a flow
    window.presses("Run all cells")
    assert "has changed since you were asked" in window.notes()[-1]
