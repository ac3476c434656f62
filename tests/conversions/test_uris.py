from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from sparkwater.conversions.files.filesystems import opened
from sparkwater.conversions.images import uris
from sparkwater.conversions.images.uris import check_uris, no_uris, read_ahead, read_uri, reader_of
from sparkwater.conversions.sessions.contexts import in_context
from sparkwater.errors import ConfigurationError, DataError


class Files(SimpleHTTPRequestHandler):
    """Serves a folder, and counts."""

    busy = most_busy = served = 0
    together = threading.Barrier(1)
    lock = threading.Lock()

    def do_GET(self) -> None:
        with Files.lock:
            Files.served += 1
            Files.busy += 1
            Files.most_busy = max(Files.most_busy, Files.busy)
        Files.together.wait(timeout=30)
        # Before the answer: whoever has it may ask again before this thread goes on.
        with Files.lock:
            Files.busy -= 1
        super().do_GET()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadingHTTPServer]:
    Files.busy = Files.most_busy = Files.served = 0
    Files.together = threading.Barrier(1)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=tmp_path)) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def address(server: ThreadingHTTPServer) -> str:
    return f"127.0.0.1:{server.server_port}"


@pytest.mark.parametrize("name", ["plain.png", "a b.png", "a%20b.png", "50%.png", "x#y.png", "x?y.png", "ü.png"])
def test_local_paths_and_file_uris_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(name.encode())
    assert read_uri(str(path)) == name.encode()
    assert read_uri(path.as_uri()) == name.encode()


def test_a_file_uri_with_an_escaped_space_is_read(tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(b"content")
    for form in (f"file://{tmp_path}/a%20b.png", f"file:{tmp_path}/a%20b.png", f"file:{tmp_path}/a b.png"):
        assert read_uri(form) == b"content"


def test_a_missing_file_cannot_be_read(tmp_path: Path) -> None:
    for form in (str(tmp_path / "nothing.png"), (tmp_path / "nothing.png").as_uri()):
        with pytest.raises(DataError, match=r"can't be read: .*No such file"):
            read_uri(form)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("dbfs:/nothing/here.png", "/dbfs/nothing/here.png"),
        ("dbfs:///nothing/here.png", "/dbfs/nothing/here.png"),
        ("dbfs:/Volumes/main/nothing.png", "/Volumes/main/nothing.png"),
        ("/Volumes/main/nothing.png", "/Volumes/main/nothing.png"),
    ],
)
def test_mounted_storage_is_read_by_its_mount(uri: str, path: str) -> None:
    with pytest.raises(DataError, match=f"No such file or directory: '{path}'"):
        read_uri(uri)


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_uri(str(tmp_path))


@pytest.mark.parametrize(("name", "form"), [("a.png", "a.png"), ("a b.png", "a b.png"), ("ü.png", "%C3%BC.png")])
def test_http_files_are_read(server: ThreadingHTTPServer, tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / name).write_bytes(b"over http")
    assert read_uri(f"http://{address(server)}/{form}") == b"over http"


def test_a_missing_http_file_cannot_be_read(server: ThreadingHTTPServer) -> None:
    with pytest.raises(DataError, match=r"can't be read: .*404"):
        read_uri(f"http://{address(server)}/nothing.png")


def test_a_silent_http_server_is_not_waited_for_forever(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uris, "HTTP_TIMEOUT", 0.2)
    Files.together = threading.Barrier(2)
    with pytest.raises(DataError, match=r"can't be read: .*timed out"):
        read_uri(f"http://{address(server)}/a.png")
    Files.together.abort()


def test_a_host_that_refuses_gives_a_data_error() -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_uri("http://127.0.0.1:9/a.png")


def test_s3_files_are_read_through_one_filesystem(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The folder serves as a bucket: to read an object is one HTTP request for /bucket/name.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    (tmp_path / "bucket" / "folder").mkdir(parents=True)
    settings = f"region=us-east-1&scheme=http&endpoint_override={address(server)}"
    for name in ("a.png", "a b.png", "a%20c.png", "x?y.png"):
        (tmp_path / "bucket" / "folder" / name).write_bytes(name.encode())
    opened.cache_clear()
    for scheme in ("s3", "s3a"):
        assert read_uri(f"{scheme}://bucket/folder/a.png?{settings}") == b"a.png"
        assert read_uri(f"{scheme}://bucket/folder/a b.png?{settings}") == b"a b.png"
        assert read_uri(f"{scheme}://bucket/folder/a%20b.png?{settings}") == b"a b.png"
        assert read_uri(f"{scheme}://bucket/folder/a%20c.png?{settings}") == b"a%20c.png"
        with pytest.raises(DataError, match="can't be read"):
            read_uri(f"{scheme}://bucket/folder/nothing.png?{settings}")
    assert opened.cache_info().misses == 1


def test_other_schemes_go_through_fsspec() -> None:
    with fsspec.open("memory://sparkwater-tests/a.bin", "wb") as stream:
        stream.write(b"in memory")
    try:
        uris._fsspec_filesystem.cache_clear()
        assert [read_uri("memory://sparkwater-tests/a.bin") for _ in range(3)] == [b"in memory"] * 3
        assert uris._fsspec_filesystem.cache_info().misses == 1
    finally:
        fsspec.filesystem("memory").rm("/sparkwater-tests/a.bin")
    with pytest.raises(DataError, match="can't be read"):
        read_uri("memory://sparkwater-tests/a.bin")


def test_an_unknown_scheme_is_named() -> None:
    for ask in (read_uri, reader_of):
        with pytest.raises(ConfigurationError, match="nosuchscheme"):
            ask("nosuchscheme://bucket/a.png")


@pytest.mark.parametrize(("scheme", "package"), [("oci", "ocifs"), ("tos", "tosfs"), ("lakefs", "lakefs-spec")])
def test_the_package_that_reads_a_scheme_is_named(scheme: str, package: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{scheme}:// URIs: .*{package}"):
        reader_of(f"{scheme}://bucket/a.png")


def test_azure_is_read_or_its_package_named() -> None:
    import pyarrow.fs

    if "AzureFileSystem" in dir(pyarrow.fs):
        assert reader_of("abfss://container@account.dfs.core.windows.net/a.png") is uris._read_with_pyarrow
    else:
        with pytest.raises(ConfigurationError, match=r"abfss:// URIs: .*adlfs"):
            reader_of("abfss://container@account.dfs.core.windows.net/a.png")


@pytest.mark.parametrize(
    "uri", ["", "//[x/a.png", "http://[x/a.png", "a\0b.png", "file:", "http:/a", "memory:/a", "s3:/"]
)
def test_odd_text_gives_a_typed_error(uri: str) -> None:
    with pytest.raises((DataError, ConfigurationError)):
        read_uri(uri)


def test_files_come_in_order_and_what_is_no_text_keeps_its_place(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_bytes(str(number).encode())
    asked: list[object] = [str(tmp_path / str(number)) for number in range(20)]
    asked[3], asked[11], asked[19] = None, float("nan"), None
    found = [None if read is None else int(read()) for read in read_ahead(asked, in_flight=4)]
    assert found == [None if number in (3, 11, 19) else number for number in range(20)]


def test_one_file_that_cannot_be_read_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    reads = list(read_ahead([str(tmp_path / "a"), str(tmp_path / "nothing"), str(tmp_path / "a")]))
    assert [reads[0](), reads[2]()] == [b"a", b"a"]
    with pytest.raises(DataError, match="No such file"):
        reads[1]()


def test_many_reads_are_in_flight_and_no_more_than_allowed(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"over http")
    # No request is answered before four of them wait.
    Files.together = threading.Barrier(4)
    reads = list(read_ahead([f"http://{address(server)}/a.png"] * 24, in_flight=4))
    assert [read() for read in reads] == [b"over http"] * 24
    assert Files.served == 24
    assert Files.most_busy == 4


def test_files_are_read_only_as_far_ahead_as_allowed(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"over http")
    reads = read_ahead((f"http://{address(server)}/a.png" for _ in range(1000)), in_flight=4)
    assert next(reads)() == b"over http"
    reads.close()
    assert Files.served <= 4


def test_uris_are_refused_in_a_block_and_in_threads_that_it_makes() -> None:
    check_uris("uri")
    refused: list[str] = []

    def ask() -> None:
        try:
            check_uris("uri")
        except ConfigurationError as error:
            refused.append(str(error))

    with no_uris("they lead anywhere"):
        ask()
        thread = threading.Thread(target=in_context(ask))
        thread.start()
        thread.join()
        other = threading.Thread(target=ask)
        other.start()
        other.join()
    assert refused == ["column 'uri' holds URIs of pictures: they lead anywhere"] * 2
    check_uris("uri")
