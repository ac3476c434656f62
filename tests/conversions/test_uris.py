from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from sparkwater.conversions.uris import read_uri
from sparkwater.errors import ConfigurationError, DataError


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
    for form in (str(tmp_path / "nothing.png"), (tmp_path / "nothing.png").as_uri(), "dbfs:/nothing/here.png"):
        with pytest.raises(DataError, match=r"can't be read: .*No such file"):
            read_uri(form)


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        read_uri(str(tmp_path))


def test_other_schemes_go_through_fsspec() -> None:
    with fsspec.open("memory://sparkwater-tests/a.bin", "wb") as stream:
        stream.write(b"in memory")
    try:
        assert read_uri("memory://sparkwater-tests/a.bin") == b"in memory"
    finally:
        fsspec.filesystem("memory").rm("/sparkwater-tests/a.bin")
    with pytest.raises(DataError, match="can't be read"):
        read_uri("memory://sparkwater-tests/a.bin")


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(ConfigurationError, match="nosuchscheme"):
        read_uri("nosuchscheme://bucket/a.png")


@pytest.mark.parametrize("uri", ["", "//[x/a.png", "http://[x/a.png", "a\0b.png", "file:"])
def test_odd_text_gives_a_typed_error(uri: str) -> None:
    with pytest.raises((DataError, ConfigurationError)):
        read_uri(uri)
