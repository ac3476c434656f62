"""Files on a store that speaks S3's protocol: reading, and clear errors in bounded time."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
from object_store import BUCKET, BUSY, Store
from petastorm_data import npy, write_dataset
from processes import within
from pyarrow import table

from sparkwater.conversions.files import s3
from sparkwater.conversions.files.filesystems import is_store, open_filesystem
from sparkwater.conversions.images.uris import read_ahead, read_uri
from sparkwater.conversions.petastorm.rows import describe_petastorm
from sparkwater.conversions.petastorm.stream import stream
from sparkwater.errors import ConfigurationError, DataError


def test_pictures_are_read_by_the_environments_endpoint_and_keys(store: Store) -> None:
    urls = [store.put(f"pictures/{number} a.png", bytes([number])) for number in range(40)]
    urls += [url.replace("s3:", "s3a:") for url in urls]
    assert [read() for read in read_ahead(urls)] == [bytes([number]) for number in range(40)] * 2
    with pytest.raises(DataError, match="can't be read"):
        read_uri(f"s3://{BUCKET}/pictures/none.png")


def test_a_store_that_refuses_every_third_request_gives_every_file(store: Store) -> None:
    urls = [store.put(f"third/{number}", bytes([number])) for number in range(4)]
    store.refuse(BUSY, every=3)
    assert [read_uri(url) for url in urls] == [bytes([number]) for number in range(4)]


def test_ranks_stream_a_petastorm_dataset_from_a_store(store: Store, tmp_path: Path) -> None:
    fields = [("id", "int64", (), None, False), ("x", "float32", (2,), "NdarrayCodec", False)]
    rows = table({"id": range(20), "x": [npy(np.full(2, row, np.float32)) for row in range(20)]})
    write_dataset(tmp_path / "data", fields, {"a.parquet": rows.slice(0, 12), "b.parquet": rows.slice(12)}, 4)
    for file in (tmp_path / "data").iterdir():
        store.put(f"dataset/{file.name}", file.read_bytes())
    dataset = describe_petastorm(f"s3a://{BUCKET}/dataset")
    assert dataset.rows == 20
    batches = list(stream(dataset, 0, 1, 0, 42, [10, 10]))
    found = np.concatenate([batch["id"] for batch in batches])
    assert sorted(found) == list(range(20))
    assert np.array_equal(np.concatenate([batch["x"] for batch in batches])[:, 0], found)
    with pytest.raises(DataError, match="can't be read as a petastorm dataset"):
        describe_petastorm(f"s3a://{BUCKET}/none")


def test_a_missing_bucket_is_named_with_its_endpoint(store: Store) -> None:
    with (
        within(10),
        pytest.raises(ConfigurationError, match=rf"s3://no-such: there is no such bucket at {store.url}; make it"),
    ):
        open_filesystem("s3a://no-such/models")


@pytest.mark.parametrize(
    ("key", "said"),
    [(None, "was given none, or refuses those of a profile or role"), ("other", "refuses the credentials")],
)
def test_missing_and_wrong_credentials_say_what_to_set(store: Store, monkeypatch, key, said) -> None:
    url = store.put("secret.png", b"secret")
    own = f"?scheme=http&endpoint_override={store.url.removeprefix('http://')}&region=us-{key}-1"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    if key:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    with (
        within(10),
        pytest.raises(DataError, match=rf"the store {said}: set AWS_ACCESS_KEY_ID and .*spark\.executorEnv"),
    ):
        read_uri(url + own)  # a filesystem of its own


@pytest.mark.parametrize("url", ["s3://key:hidden@bucket/a", "s3a://bucket/a?secret_key=hidden"])
def test_keys_in_a_url_are_refused_and_not_shown(url) -> None:
    with pytest.raises(ConfigurationError, match="an S3 URL holds keys") as found:
        open_filesystem(url)
    assert "hidden" not in str(found.value)


def test_a_wrong_endpoint_and_a_silent_one_fail_in_bounded_time(store: Store, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    found = r"s3://some can't be opened: .*can't be reached: "
    with pytest.raises(ConfigurationError, match=f"{found}AWS_ENDPOINT_URL is 'http://127.0.0.1:9'"):
        open_filesystem("s3://some/models")
    with pytest.raises(ConfigurationError, match=f"{found}the URL's endpoint_override is '127.0.0.1:7'"):
        open_filesystem("s3://some/models?scheme=http&endpoint_override=127.0.0.1:7")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(s3, "_SILENT_SECONDS", 1)
        with within(15), pytest.raises(ConfigurationError, match="can't be reached: AWS_ENDPOINT_URL_S3 is "):
            open_filesystem("s3://some/models")


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("s3://a/b", True),
        ("S3A://a/b", True),
        ("gs://a/b", True),
        ("abfss://a@b/c", True),
        ("hdfs://a/b", False),
        ("file:/a", False),
        ("/a/s3://b", False),
        ("dbfs:/a", False),
    ],
)
def test_stores_are_known_by_their_scheme(url, found) -> None:
    assert is_store(url) is found
