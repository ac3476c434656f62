"""The key by which ranks and driver know each other must be known to them only: it is looked for everywhere else."""

from __future__ import annotations

import base64
import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import start_session
from digits import tensor_frame

from sparkwater.errors import DataError, RankFailure
from sparkwater.ml import ImageClassifier
from sparkwater.ml.launch import driver_channel, launcher

SPARKS_OWN = "the-word-of-this-session"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The keys of all fits of the test."""
    found: list[bytes] = []

    @contextlib.contextmanager
    def listen(*arguments: Any) -> Iterator[driver_channel.DriverChannel | None]:
        with driver_channel.listen(*arguments) as channel:
            assert channel is not None
            found.append(channel.key)
            yield channel

    monkeypatch.setattr(launcher, "listen", listen)
    return found


@contextlib.contextmanager
def watched() -> Iterator[set[str]]:
    """Collect arguments and environments of this process's children while the block runs."""
    seen: set[str] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    seen.update([*process.cmdline(), *process.environ().values()])

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    over.set()
    thread.join()


def test_keys_are_in_no_argument_environment_log_event_file_or_exception(tmp_path, keys, caplog):
    def explode(record: object) -> None:
        raise ArithmeticError("a callback's own fault")

    events, saved, checkpoints = (tmp_path / name for name in ("events", "saved", "checkpoints"))
    events.mkdir()
    spark = start_session(
        "local[2]",
        spark__eventLog__enabled="true",
        spark__eventLog__dir=events.as_uri(),
        spark__authenticate="true",
        spark__authenticate__secret=SPARKS_OWN,
    )
    frame = tensor_frame(spark, 60)
    settings = {"numWorkers": 2, "epochs": 2, "batchSize": 16, "collective": "horovod", "allowPlaintext": True}
    texts = []
    with caplog.at_level(logging.DEBUG), watched() as seen:
        estimator = ImageClassifier(**settings, checkpointDir=str(checkpoints))
        estimator.fit(frame).save(str(saved / "model"))
        estimator.save(str(saved / "estimator"))
        for failing in ({"learningRate": 1e30}, {"callbacks": [explode]}):
            with pytest.raises((DataError, RankFailure)) as caught:
                ImageClassifier(**settings, **failing).fit(frame)
            texts += [str(caught.value), getattr(caught.value, "remote_traceback", "")]
    spark.stop()
    assert "a callback's own fault" in "".join(texts)
    assert len(keys) == 3
    assert len(seen) > 20
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.relative_to(tmp_path).parts[0] for path in files} == {"events", "saved", "checkpoints"}
    contents = [path.read_bytes() for path in files]
    everywhere = [*contents, *(text.encode() for text in [*seen, *texts, caplog.text])]
    for key in keys:
        spellings = (key, key.hex().encode(), base64.b64encode(key), repr(key)[2:-1].encode())
        assert not any(spelling in content for content in everywhere for spelling in spellings)
    # Spark tells its own word to its own processes, and hides it in its event log.
    assert not any(SPARKS_OWN in text for text in texts)
    assert not any(SPARKS_OWN.encode() in content for content in contents)
    assert {Path(path).stat().st_mode & 0o777 for path in [checkpoints, *checkpoints.iterdir()]} == {0o700}
