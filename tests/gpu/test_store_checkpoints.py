"""Checkpoints on a store that speaks S3's protocol, which refuses some or all requests for a while."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from gpu import ranks
from object_store import BUCKET, BUSY, GONE, Store
from processes import within

from sparkwater.errors import CheckpointError, ConfigurationError
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.records import EpochRecord, Observer
from sparkwater.gpu.training.checkpoints import Checkpoint, CheckpointFolder


def checkpoint(steps: int) -> Checkpoint:
    return Checkpoint(steps, {"epoch": steps}, {"values": torch.full((1000,), float(steps))})


def test_checkpoints_come_back_and_two_are_kept(store: Store) -> None:
    folder = CheckpointFolder(f"s3a://{BUCKET}/plain")
    assert folder.latest() is None
    for steps in (1, 2, 3):
        folder.write(checkpoint(steps))
    found = CheckpointFolder(f"s3://{BUCKET}/plain").latest()
    assert found is not None
    assert (found.steps, found.state, found.tensors["values"][0]) == (3, {"epoch": 3}, 3.0)
    assert {name.split("/")[1] for name in store.names("plain/")} == {"step-000000000002", "step-000000000003"}
    assert not [name for name in store.names("plain/") if "/." in name]


@pytest.mark.slow
def test_a_store_that_refuses_every_third_request_loses_nothing(store: Store) -> None:
    folder = CheckpointFolder(f"s3://{BUCKET}/third")
    store.refuse(BUSY, every=3)
    folder.write(checkpoint(1))
    assert folder.load(1).steps == 1


def test_a_store_that_delays_every_third_request_loses_nothing(store: Store) -> None:
    folder = CheckpointFolder(f"s3://{BUCKET}/late")
    store.delay(0.2, every=3)
    folder.write(checkpoint(1))
    assert folder.load(1).steps == 1


def test_a_training_goes_on_and_says_which_checkpoints_the_store_lost(store: Store) -> None:
    url = f"s3://{BUCKET}/training"

    def disturb(record: EpochRecord) -> None:
        store.refuse(GONE if record.epoch in (1, 2) else "", every=3)

    def train(**changes) -> Outcome:
        job, rows = ranks.rank_job(30, epochs=4, **changes), ranks.picture_batches(range(30))
        return run_rank(rows, job, SinglePeer(), Observer(on_epoch=disturb if changes else lambda _: None))

    outcome = train(checkpoint_dir=url)
    assert outcome.failure is None
    assert outcome.weights == train().weights
    assert len(outcome.lost_checkpoints) == 2
    assert all(f"no checkpoint could be written to '{url}/" in lost for lost in outcome.lost_checkpoints)
    (folder,) = CheckpointFolder(url).trainings()
    last = int(folder._finished()[0].removeprefix("step-"))
    assert folder._finished() == [f"step-{steps:012d}" for steps in (last, last // 4)]  # of epochs 0 and 3
    assert train(checkpoint_dir=url).resumed_at == last


def test_checkpoints_that_the_store_gives_to_nobody_now_are_not_called_damaged_alone(store: Store) -> None:
    folder = CheckpointFolder(f"s3://{BUCKET}/silent")
    folder.write(checkpoint(1))
    before = store.requests
    assert folder._finished() == ["step-000000000001"]
    store.refuse(GONE, after=store.requests - before)
    with pytest.raises(CheckpointError, match=r"are damaged, or can't be read now .*: step-0+1; fit again once"):
        folder.latest()
    store.refuse()
    assert folder.latest().steps == 1


def test_checkpoints_are_whole_or_absent_whichever_request_fails(store: Store) -> None:
    folder = CheckpointFolder(f"s3://{BUCKET}/faults")
    folder.write(checkpoint(1))
    before = store.requests
    folder.write(checkpoint(2))
    needed = store.requests - before
    written = 0
    for place in range(0, needed, 3):
        # From that request on everything is refused, deletions too, until the store is well again.
        store.refuse(GONE, after=place)
        with suppress(CheckpointError):
            folder.write(checkpoint(3 + place))
            written += 1
        store.refuse()
        found = folder.latest()
        assert found is not None
        assert found.tensors["values"][0] == found.steps
        assert found.state == {"epoch": found.steps}
        folder.sweep()
        assert all(name.split("/")[1] in folder._finished() for name in store.names("faults/"))
    assert written < needed // 3


def test_a_folder_without_credentials_is_refused_before_a_training(store: Store, monkeypatch) -> None:
    CheckpointFolder(f"s3://{BUCKET}/new").check()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    folder = CheckpointFolder(f"s3://{BUCKET}/new?endpoint_override={store.url}&region=us-west-1")
    with (
        within(10),
        pytest.raises(ConfigurationError, match=r"can't be used for checkpoints: .*was given none, or .*: set AWS_"),
    ):
        folder.check()


def test_settings_in_a_url_stay_behind_the_folder_of_a_training(store: Store) -> None:
    settings = f"?endpoint_override={store.url}&region=us-east-1"
    parent = CheckpointFolder(f"s3://{BUCKET}/settings/{settings}")
    parent.inside("one").write(checkpoint(1))
    assert {name.rpartition("/")[0] for name in store.names("settings/")} == {"settings/one/step-000000000001"}
    (found,) = parent.trainings()
    assert found.url == f"s3://{BUCKET}/settings/one{settings}"
    assert found.load(1).steps == 1
