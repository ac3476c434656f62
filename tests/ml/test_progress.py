from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sparkwater.gpu.records import EpochRecord, Observer, StepRecord
from sparkwater.gpu.tasks import Metrics
from sparkwater.ml.launch import notices, progress
from sparkwater.ml.launch.display import counted, shown
from sparkwater.ml.launch.driver_channel import listen

METRICS = Metrics(logloss=0.25, error=0.125, meanPerClassError=0.125, auc=None, topKError=None)
EPOCH = EpochRecord(
    epoch=0,
    loss=0.5,
    rows=1000,
    seconds=2.0,
    learning_rate=0.05,
    training=Metrics(METRICS, error=0.25),
    validation=METRICS,
)
STEP = StepRecord(epoch=0, step=2, rows=300, rows_an_epoch=1000, loss=0.875, speeds=(250.0, 50.0))


def watched(spark_has_a_bar: bool) -> None:
    """What a driver does in two trainings side by side."""
    import logging

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with shown(2, spark_has_a_bar) as display, shown(2, spark_has_a_bar) as beside:
        display.on_step(STEP)
        beside.on_epoch(replace(EPOCH, loss=7.0))
        display.on_epoch(EPOCH)
        logging.getLogger("others").warning("a line of somebody else")
        display.on_step(STEP)  # overtaken by its epoch
        display.on_epoch(replace(EPOCH, epoch=1, loss=0.25))


def searched() -> None:
    """What a driver does in a search whose trials are trainings."""
    with counted(60.0, " s", False) as tell:
        with shown(2, False) as display:
            display.on_step(STEP)
        tell(15.0, "1 trials, best lenet 0.50000")
        tell(75.0, "2 trials, best convnet 0.25000")


def watch(*arguments: str) -> str:
    """Return what a terminal gets."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    with subprocess.Popen([sys.executable, __file__, *arguments], stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:  # the other end of a terminal is gone
            pass
    os.close(ours)
    assert process.returncode == 0, text.decode()
    return text.decode()


#: What stands between a search and trainings.
SEARCHED = "the search is over"
LINES = [
    "epoch 1/2  loss 7.0000  accuracy 75.00 %  validation logloss 0.2500  error 12.50 %  500 rows/s  2 s left",
    "epoch 1/2  loss 0.5000  accuracy 75.00 %  validation logloss 0.2500  error 12.50 %  500 rows/s  2 s left",
    "a line of somebody else",
    "epoch 2/2  loss 0.2500  accuracy 75.00 %  validation logloss 0.2500  error 12.50 %  500 rows/s  0 s left",
]


@pytest.fixture(scope="module")
def terminal() -> tuple[list[str], list[str]]:
    """What a terminal gets of a search, and of trainings after it."""
    lines = [part.strip() for part in watch("search").replace("\r", "\n").split("\n")]
    end = lines.index(SEARCHED)
    return lines[:end], lines[end + 1 :]


def test_a_terminal_shows_one_bar_and_every_log_line(terminal: tuple[list[str], list[str]]) -> None:
    _, shown_lines = terminal
    assert [line for line in shown_lines if line in LINES] == LINES
    bars = [line for line in shown_lines if line.startswith("epoch ") and "%|" in line]
    assert bars[0].startswith("epoch 1/2:  15%|")
    assert "300/2.00k" in bars[0]
    assert "loss=0.8750" in bars[0]
    assert bars[-1].startswith("epoch 2/2: 100%|")
    assert "rows/s, loss=0.2500, accuracy=75.00%, validation=0.2500 (87.50%)" in bars[-1]
    assert not any("7.0000" in bar for bar in bars)


def test_no_bar_is_shown_where_spark_shows_its_own_or_nobody_watches() -> None:
    assert watch("spark").split("\r\n") == [*LINES, ""]
    redirected = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True)
    assert redirected.stderr.split("\n") == [*LINES, ""]


def test_a_search_has_the_only_bar(terminal: tuple[list[str], list[str]]) -> None:
    lines, _ = terminal
    bars = [line for line in lines if "%|" in line]
    assert any(bar.startswith("1 trials, best lenet 0.50000:  25%|") and "15.0/60.0" in bar for bar in bars)
    assert bars[-1].startswith("2 trials, best convnet 0.25000: 100%|")
    assert not any("epoch" in bar for bar in bars)


def test_reports_reach_the_driver_who_is_not_told_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_STEPS", 0.2)
    told: list[object] = []
    with listen("127.0.0.1", progress.receiving(Observer(told.append, told.append))) as channel:
        rank = progress.reporter(channel)
        rank.on_step(replace(STEP, rows=1))  # too early
        rank.on_epoch(EPOCH)
        time.sleep(0.25)
        rank.on_step(STEP)
        rank.on_step(replace(STEP, rows=2))  # too soon after it
        deadline = time.monotonic() + 5
        while len(told) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert sorted(map(str, told)) == sorted(map(str, [EPOCH, STEP]))


def test_a_driver_that_is_gone_costs_log_lines_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_STEPS", 0)
    with listen("127.0.0.1", progress.receiving(Observer())) as channel:
        rank = progress.reporter(channel)
    rank.on_epoch(EPOCH)
    rank.on_step(STEP)
    rank.on_step(STEP)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_a_driver_that_comes_back_is_told_of_steps_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_STEPS", 0)
    told: list[object] = []
    with listen("127.0.0.1", progress.receiving(Observer(told.append, told.append))) as channel:
        assert channel is not None
        away = replace(channel, port=1)  # nobody listens there
        reports = progress.Reports(away)
        reports.step(STEP)
        reports.channel = channel
        reports.step(STEP)
        reports.epoch(EPOCH)
        reports.step(replace(STEP, step=3))
        deadline = time.monotonic() + 5
        while len(told) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert sorted(map(str, told)) == sorted(map(str, [EPOCH, replace(STEP, step=3)]))


def test_epochs_that_the_driver_is_not_told_are_read_beside_the_checkpoints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(notices, "SECONDS_BETWEEN", 0.1)
    told: list[EpochRecord] = []
    folder = tmp_path / "checkpoints"

    def tell(record: EpochRecord) -> None:
        told.append(record)
        raise ValueError("an observer's own fault")

    with listen("127.0.0.1", progress.receiving(Observer(told.append))) as channel:
        assert channel is not None
        away = replace(channel, port=1)  # nobody listens there
        with notices.posted(str(folder), tell) as board:
            assert board is not None
            rank = progress.reporter(away, False, board)
            rank.on_epoch(EPOCH)
            deadline = time.monotonic() + 10
            while not told and time.monotonic() < deadline:
                time.sleep(0.01)
            assert told == [EPOCH]  # while the training goes on
            rank.on_epoch(replace(EPOCH, epoch=1))
            rank.on_step(STEP)
            assert [path.name[:7] for path in folder.iterdir()] == ["epochs-"]
    assert told == [EPOCH, replace(EPOCH, epoch=1)]
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o77 == 0


def test_epochs_that_come_quickly_are_written_together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(notices, "SECONDS_BETWEEN", 1000)
    file = notices.Notices(str(tmp_path), "epochs-1.json")
    rank = notices.Noticeboard(file)
    rank.epoch(EPOCH)
    rank.epoch(replace(EPOCH, epoch=1))
    assert file.read() == [EPOCH]
    monkeypatch.setattr(rank, "_next", 0)
    rank.epoch(replace(EPOCH, epoch=2))
    assert file.read() == [replace(EPOCH, epoch=number) for number in range(3)]


def test_files_of_epochs_that_others_left_are_swept_after_a_day(tmp_path: Path) -> None:
    for name, age in (("epochs-1.json", 0), ("epochs-2.json", 90_000), ("epochs-3.json", 3_000), ("other", 90_000)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    notices.Notices(str(tmp_path), "epochs-1.json").sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epochs-3.json", "other"]


def test_a_store_that_takes_no_epochs_costs_log_lines_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with notices.posted(str(tmp_path / "file" / "checkpoints"), lambda _: None) as board:
        rank = progress.reporter(None, False, board)
        rank.on_epoch(EPOCH)
        rank.on_epoch(EPOCH)  # it isn't tried again soon
    assert [record.levelname for record in caplog.records] == ["WARNING"]


if __name__ == "__main__":
    if "search" in sys.argv:
        searched()
        print(SEARCHED, file=sys.stderr)
    watched("spark" in sys.argv)
