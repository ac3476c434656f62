"""Actions as jobs, with real Spark and small networks: progress, cancelling, and scripts that repeat them."""

from __future__ import annotations

import re
import runpy
import shutil
import threading
import time
import urllib.request
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import ClassVar

import numpy as np
import pytest
from conftest import start_session
from digits import pictures, png

from sparkwater.errors import ConfigurationError, SparkwaterError
from sparkwater.flow import serve
from sparkwater.flow.work.error_text import in_words
from sparkwater.flow.work.folders import Folders
from sparkwater.flow.work.jobs import Jobs
from sparkwater.flow.work.workspace import LOST, Workspace
from sparkwater.flow.workbook.actions.base import Action
from sparkwater.flow.workbook.actions.keeping import SaveModel
from sparkwater.flow.workbook.actions.reading import ReadPictures
from sparkwater.flow.workbook.actions.scoring import Score
from sparkwater.flow.workbook.actions.tables import ReadCsv
from sparkwater.flow.workbook.actions.training import Define, Fit
from sparkwater.flow.workbook.code import Code
from sparkwater.flow.workbook.files import script
from sparkwater.flow.workbook.workbook import Cell, Workbook, cells_of

SECONDS = 180
SMALL = {"network": "mlp", "imageShape": [16, 16, 1], "featuresCol": "content", "numWorkers": 1, "batchSize": 8}


@dataclass(frozen=True)
class Statement(Action):
    """Any Python, for tests."""

    kind: ClassVar[str] = "statement"

    result: str | None
    line: str
    trains: bool = False

    @property
    def title(self):
        return self.line

    def code(self):
        return Code(("import time",), (self.line,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of three classes, in folders."""
    root = tmp_path_factory.mktemp("pictures")
    images, labels = pictures(48, 3)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        (root / f"class {label}").mkdir(exist_ok=True)
        (root / f"class {label}" / f"{number}.png").write_bytes(png(image))
    return root


@pytest.fixture
def flow(spark, folder):
    """Workspace, jobs and workbook on the tests' session."""
    workspace, workbook = Workspace(spark, Folders([folder])), Workbook()
    return workspace, Jobs(workspace, workbook), workbook


@pytest.fixture(scope="module")
def trained(folder):
    """A flow that read, trained and scored."""
    workspace, workbook = Workspace(start_session("local[2]"), Folders([folder])), Workbook()
    jobs = Jobs(workspace, workbook)
    fit = Fit("net", "digits", "ImageClassifier", {**SMALL, "epochs": 3, "seed": 7})
    for action in (ReadPictures("digits", str(folder)), fit, Score("scored", "net", "digits")):
        job = jobs.wait(jobs.start(action).id, SECONDS)
        assert job.state == "done", job.error
    return workspace, jobs, workbook


def predictions(frame):
    rows = frame.select("path", "probability").collect()
    return {row.path: np.asarray(row.probability.toArray()).tobytes() for row in rows}


def test_a_flow_makes_variables_and_cells(trained):
    workspace, jobs, workbook = trained
    assert workspace.frames() == ["digits", "scored"]
    assert workspace.models() == ["net"]
    assert [cell.state for cell in workbook.cells] == ["done"] * 3
    assert all(cell.seconds > 0 for cell in workbook.cells)
    assert [job.id for job in jobs.all()] == [1, 2, 3]


def test_a_training_is_followed_by_epoch(trained):
    _, jobs, _ = trained
    (training,) = jobs.get(2).trainings
    assert [record.epoch for record in training.epochs] == [0, 1, 2]
    assert [record.rows for record in training.epochs] == [48] * 3
    assert training.planned == 3
    assert training.share == 1.0
    assert training.rows_a_second > 0
    assert training.seconds_left == 0
    assert jobs.get(1).trainings == ()


def test_the_script_gives_the_same_bits(trained, tmp_path):
    workspace, _, workbook = trained
    program = tmp_path / "flow.py"
    program.write_text(script(workbook.cells))
    names = runpy.run_path(str(program), run_name="__main__")
    assert predictions(names["scored"]) == predictions(workspace.value("scored"))


def test_a_saved_flow_is_opened_unrun_and_runs_again(trained, flow):
    workspace, jobs, workbook = flow
    cells = cells_of(trained[2].to_json())
    workbook.replace(cells[:1])
    assert workspace.frames() == []
    made = jobs.start_again(workbook.cells)
    assert [jobs.wait(job.id, SECONDS).state for job in made] == ["done"]
    assert workspace.value("digits").count() == 48
    assert [cell.state for cell in workbook.cells] == ["done"]
    assert jobs.wait(jobs.start_again(workbook.cells)[0].id, SECONDS).state == "done"
    assert len(workbook.cells) == 1


def test_a_flow_is_opened_where_no_job_runs(flow):
    workspace, jobs, workbook = flow
    slow = jobs.start(Statement("a", "a = time.sleep(0.5)"))
    with pytest.raises(ConfigurationError, match="wait for job 1"):
        jobs.open([Cell(Statement("b", "b = 1"), "new")])
    assert jobs.wait(slow.id, SECONDS).state == "done"
    jobs.open([Cell(Statement("b", "b = 1"), "new")])
    assert workspace.variables() == {}
    assert [cell.action.title for cell in workbook.cells] == ["b = 1"]


def test_what_can_t_run_again_clears_nothing(flow):
    workspace, jobs, workbook = flow
    jobs.wait(jobs.start(Statement("a", "a = 1")).id, SECONDS)
    for cells, reason in (
        ([], "nothing to run"),
        ([Cell(Statement("b", "b = 1"), "failed")], "nothing to run"),
        ([Cell(Statement("b", "b = 1")), Cell(ReadPictures("x", "/etc"))], "outside of the folders"),
    ):
        with pytest.raises(ConfigurationError, match=reason):
            jobs.start_again(cells)
    assert list(workspace.variables()) == ["a"]
    assert len(workbook.cells) == len(jobs.all()) == 1


def test_what_an_earlier_run_saved_is_told_before_anything_is_forgotten(flow, folder):
    workspace, jobs, workbook = flow
    binarizer = "m = __import__('pyspark.ml.feature').ml.feature.Binarizer(inputCol='a', outputCol='b')"
    place = str(folder / "kept")
    for action in (Statement("m", binarizer), SaveModel("m", place)):
        jobs.complete(action)
    with pytest.raises(ConfigurationError, match="kept' exists already; tick 'Replace what is there'"):
        jobs.start_again(workbook.cells)
    assert list(workspace.variables()) == ["m"]
    assert jobs.in_the_way(workbook.cells) == [place]
    made = jobs.start_again(workbook.cells, replaces=True)
    assert [jobs.wait(job.id, SECONDS).state for job in made] == ["done", "done"]
    assert [cell.action for cell in workbook.cells] == [Statement("m", binarizer), SaveModel("m", place, True)]
    assert jobs.in_the_way(workbook.cells) == []


def test_nothing_is_written_where_a_later_cell_would_replace_it(flow, folder):
    _, jobs, _ = flow
    later = str(folder / "models" / "later")
    cells = [Cell(Statement("a", "a = time.sleep(1.0)"), "new"), Cell(SaveModel("a", later, overwrite=True), "new")]
    jobs.start_again(cells)
    for place in (later, f"{later}/inner", str(folder / "models")):
        with pytest.raises(ConfigurationError, match=r"job 2 is about to write into .*later': Save a as later; wait"):
            jobs.start(SaveModel("b", place))
    assert jobs.wait(2, SECONDS).state == "failed"  # there is nothing to save
    assert jobs.start(SaveModel("b", later)).id == 3
    jobs.wait(3, SECONDS)


def test_an_opened_flow_replaces_nothing_without_a_question(flow, folder):
    _, jobs, workbook = flow
    binarizer = "m = __import__('pyspark.ml.feature').ml.feature.Binarizer(inputCol='a', outputCol='b')"
    place = folder / "of_mine"
    for action in (Statement("m", binarizer), SaveModel("m", str(place))):
        jobs.complete(action)
    (place / "mine").touch()
    cells = [Cell(Statement("m", binarizer), "new"), Cell(SaveModel("m", str(place), overwrite=True), "new")]
    jobs.open(cells)
    assert (jobs.in_the_way(cells), jobs.lost_by(cells)) == ([], [str(place)])
    with pytest.raises(ConfigurationError, match="of_mine' exists already, and a cell replaces it"):
        jobs.start_again(workbook.cells)
    assert (list(workbook.cells), (place / "mine").exists()) == (cells, True)
    made = jobs.start_again(workbook.cells, replaces=True)
    assert [jobs.wait(job.id, SECONDS).state for job in made] == ["done", "done"]
    assert not (place / "mine").exists()
    shutil.rmtree(place)
    assert jobs.lost_by(workbook.cells) == []  # then nothing is asked


def test_a_row_that_java_reports_twice_is_told_once():
    row = "invalid row 7: the value is null"
    said = f"org.apache.spark.SparkRuntimeException: [USER_RAISED_EXCEPTION] {row} SQLSTATE: P0001"
    error = RuntimeError(
        f"An error occurred while calling o1.count.\n: java.util.concurrent.ExecutionException: {said}\n\tat a.B\n"
        f"Caused by: {said}\n\tat c.D"
    )
    assert in_words(error) == row


def test_an_error_that_can_t_be_read_is_an_error(flow):
    _, jobs, _ = flow
    line = "class Mute(Exception):\n    def __str__(self):\n        raise OSError('no JVM')\nraise Mute"
    job = jobs.wait(jobs.start(Statement("x", line)).id, SECONDS)
    assert job.state == "failed"
    assert job.error.startswith("Mute: its words can't be had")


@pytest.mark.parametrize("before", [[], [Statement("a", "a = 1")]])
def test_after_a_failure_nothing_more_runs_and_the_flow_is_kept(flow, before):
    workspace, jobs, workbook = flow
    actions = [*before, Statement("b", "b = 1 / 0"), *(Statement("c", "c = a") for _ in before)]
    made = jobs.start_again([Cell(action) for action in actions])
    states = [jobs.wait(job.id, SECONDS).state for job in made]
    assert states == [*("done" for _ in before), "failed", *("cancelled" for _ in before)]
    assert list(workspace.variables()) == ["a" for _ in before]
    deadline = time.monotonic() + SECONDS
    while len(workbook.cells) < len(actions) + len(before) + 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [cell.action for cell in workbook.cells if cell.repeats] == actions


def test_errors_are_told_in_their_own_words(flow, folder):
    _, jobs, workbook = flow
    (folder / "empty").mkdir(exist_ok=True)
    no_pictures = jobs.start(ReadPictures("none", str(folder / "empty")))
    job = jobs.wait(no_pictures.id, SECONDS)
    assert job.state == "failed"
    assert job.error.startswith("there are no pictures in")
    job = jobs.wait(jobs.start(Statement("x", "x = spark.sql('select nothing_there')")).id, SECONDS)
    assert "nothing_there" in job.error
    assert "JVM" not in job.error
    with pytest.raises(SparkwaterError, match=r"^ZeroDivisionError: division by zero$"):
        jobs.complete(Statement("x", "x = 1 / 0"))
    assert [cell.state for cell in workbook.cells] == ["failed"] * 3
    assert "nothing_there" not in script(workbook.cells)
    (folder / "a:b.csv").write_text("x\n1\n")
    job = jobs.wait(
        jobs.start(Statement("x", f"x = spark.read.csv({str(folder / 'a:b.csv')!r}, header=True)")).id, SECONDS
    )
    (folder / "a:b.csv").unlink()
    assert "a:b.csv" in job.error
    assert "Relative path in absolute URI" in job.error  # the cause
    assert "Py4J" not in job.error
    assert "calling o" not in job.error


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (ReadPictures("x", "/etc"), "outside of the folders"),
        (ReadPictures("taken", "{folder}"), "name of a variable already"),
        (ReadPictures("coming", "{folder}"), "name of a variable already"),
        (Statement("time", "time = 3"), "name of an import"),
        (Statement("a b", "x = 3"), "can't name a variable"),
        (Statement("x", "taken = x = 3"), "name of a variable already"),
    ],
    ids=lambda value: getattr(value, "title", None),
)
def test_what_is_refused_becomes_no_job(flow, folder, action, reason):
    _, jobs, workbook = flow
    jobs.wait(jobs.start(Statement("taken", "taken = 1")).id, SECONDS)
    slow = jobs.start(Statement("coming", "coming = time.sleep(0.2)"))
    if isinstance(action, ReadPictures):
        action = ReadPictures(action.result, action.folder.format(folder=folder))
    with pytest.raises(ConfigurationError, match=reason):
        jobs.start(action)
    assert len(jobs.all()) == 2
    jobs.wait(slow.id, SECONDS)
    assert len(workbook.cells) == 2


def test_a_failed_action_leaves_no_variables(flow):
    workspace, jobs, _ = flow
    assert jobs.wait(jobs.start(Statement("y", "x = y = 1; y = 1 / 0")).id, SECONDS).state == "failed"
    assert workspace.variables() == {}
    assert jobs.wait(jobs.start(Statement("x", "x = 2")).id, SECONDS).state == "done"
    assert workspace.fresh("x") == "x_2"


def test_trainings_wait_for_one_another_and_the_rest_does_not(flow):
    workspace, jobs, _ = flow
    first = jobs.start(Statement("a", "a = time.sleep(1.0)", trains=True))
    second = jobs.start(Statement("b", "b = time.time()", trains=True))
    third = jobs.start(Statement("c", "c = time.time()", trains=True))
    assert jobs.wait(jobs.start(Statement("d", "d = 4")).id, SECONDS).state == "done"
    assert jobs.get(first.id).state == "running"
    assert jobs.get(second.id).state == jobs.get(third.id).state == "waiting"
    jobs.cancel(second.id)
    assert jobs.wait(second.id, SECONDS).state == "cancelled"
    jobs.cancel(second.id)  # another window, a moment later
    assert jobs.get(second.id).state == "cancelled"
    assert jobs.get(first.id).state == "running"
    assert jobs.wait(third.id, SECONDS).state == "done"
    assert "b" not in workspace.variables()


def test_a_cancelled_training_ends_soon_and_the_session_goes_on(flow, folder):
    workspace, jobs, workbook = flow
    jobs.wait(jobs.start(ReadPictures("digits", str(folder))).id, SECONDS)
    started = jobs.start(Fit("net", "digits", "ImageClassifier", {**SMALL, "numWorkers": 2, "epochs": 100_000}))
    deadline = time.monotonic() + SECONDS
    while (
        not (jobs.get(started.id).epochs and jobs.get(started.id).trainings[0].speeds) and time.monotonic() < deadline
    ):
        time.sleep(0.05)
    speeds = jobs.get(started.id).trainings[0].speeds
    assert len(speeds) == 2
    assert min(speeds) > 0
    before = time.monotonic()
    jobs.cancel(started.id)
    job = jobs.wait(started.id, SECONDS)
    assert job.state == "cancelled"
    assert time.monotonic() - before < 15
    assert workbook.cells[-1].state == "cancelled"
    assert "net" not in workspace.variables()
    assert workspace.value("digits").count() == 48


def test_pictures_are_not_read_by_uri(flow, folder):
    _, jobs, _ = flow
    lines = [f"{path.as_uri()},{path.parent.name}" for path in sorted(folder.rglob("*.png"))]
    (folder / "uris.csv").write_text("\n".join(["uri,label", *lines]))
    assert jobs.wait(jobs.start(ReadCsv("uris", str(folder / "uris.csv"))).id, SECONDS).state == "done"
    fit = Fit("net", "uris", "ImageClassifier", {**SMALL, "featuresCol": "uri", "epochs": 1})
    job = jobs.wait(jobs.start(fit).id, SECONDS)
    assert job.state == "failed"
    assert "column 'uri' holds URIs of pictures: a flow reads none" in job.error


def test_a_cancelled_search_tries_no_other_learners(flow, folder):
    _, jobs, _ = flow
    learner = {**SMALL, "numWorkers": 1, "epochs": 100_000}
    search = {"space": {"seed": [1, 2, 3, 4, 5, 6]}, "numFolds": 2, "parallelism": 1}
    for action in (ReadPictures("digits", str(folder)), Define("one", "ImageClassifier", learner)):
        assert jobs.wait(jobs.start(action).id, SECONDS).state == "done"
    started = jobs.start(Fit("found", "digits", "GridSearch", search, {"estimator": "one"}))
    deadline = time.monotonic() + SECONDS
    while not jobs.get(started.id).epochs and jobs.get(started.id).active and time.monotonic() < deadline:
        time.sleep(0.05)
    jobs.cancel(started.id)
    job = jobs.wait(started.id, SECONDS)
    assert job.state == "cancelled", job.error
    assert len(job.trainings) == 1


def test_trainings_of_folds_in_threads_are_followed(flow, folder):
    _, jobs, _ = flow
    ensemble = {"numFolds": 2, "parallelism": 2, "metaLearner": "best"}
    steps = [
        ReadPictures("digits", str(folder)),
        Define("one", "ImageClassifier", {**SMALL, "epochs": 1}),
        Fit("stack", "digits", "StackedEnsemble", ensemble, {"learners": ("one",)}),
    ]
    for action in steps:
        job = jobs.wait(jobs.start(action).id, SECONDS)
        assert job.state == "done", job.error
    assert len(job.trainings) == 3  # two folds, and the one on all rows
    assert all(len(training.epochs) == 1 for training in job.trainings)


def test_a_flow_without_spark_says_so(folder):
    workspace = Workspace(None, Folders([folder]))
    jobs = Jobs(workspace, Workbook())
    with pytest.raises(ConfigurationError, match="Spark is starting"):
        jobs.start(ReadPictures("digits", str(folder)))
    workspace.give_up("no Java")
    with pytest.raises(ConfigurationError, match="no Java"):
        jobs.start(ReadPictures("digits", str(folder)))
    assert jobs.all() == ()


def test_many_windows_may_start_at_once_and_one_wins(flow):
    _, jobs, _ = flow
    refused = []

    def start():
        try:
            jobs.start(Statement("x", "x = time.sleep(0.1)"))
        except ConfigurationError as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    assert jobs.wait(1, SECONDS).state == "done"


def test_a_session_that_ends_is_told_and_the_flow_can_be_saved(spark, folder):
    served = serve(spark, [folder], port=0)
    workspace, jobs, workbook = served.desk.workspace, served.desk.jobs, served.desk.workbook
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    opener.open(served.invite(), timeout=20).close()
    assert jobs.wait(jobs.start(Statement("a", "a = spark.range(1)")).id, SECONDS).state == "done"
    running = jobs.start(Statement("b", "b = time.sleep(1.0) or spark.range(3).count()"))
    workspace.spark.stop()
    job = jobs.wait(running.id, SECONDS)
    assert (job.state, job.error) == ("failed", LOST)
    for start in (lambda: jobs.start(Statement("c", "c = 1")), lambda: jobs.start_again(workbook.cells)):
        with pytest.raises(ConfigurationError, match="session has ended"):
            start()
    assert [cell.state for cell in workbook.cells] == ["done", "failed"]
    assert workspace.lost
    try:
        for page in ("", "build", "jobs", "models", "flow"):  # they open, and tell
            with opener.open(served.url + page, timeout=20) as answer:
                assert answer.status == 200
                told = answer.read().decode()
            assert "Traceback" not in told
            classes, *_ = re.findall(rf'"text":"{LOST}","class":\[([^]]*)\]', told)
            assert "flow-bad" in classes
            assert "hidden" not in classes  # which would come later, and move what is under it
    finally:
        served.stop()
