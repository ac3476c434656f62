"""Guesses from the first bytes of a file."""

from __future__ import annotations

import bz2
import gzip

import pytest
from conftest import ROOT

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.flow.views.data.sniffing import TextGuess, check_parquet, guess_type, look_at_text


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1,2\n3,4\n", TextGuess(",", True, "")),
        ("a;b\n1,5;x\n3,2;y\n", TextGuess(";", True, "")),
        ("a\tb\n1\tNA\n", TextGuess("\t", True, "NA")),
        ("1|2\n3|4\n", TextGuess("|", False, "")),
        ("red,1\ngreen,2\nred,3\n", TextGuess(",", False, "")),
        ("name,place\nAnn,Bonn\nBob,Rome\n", TextGuess(",", True, "")),
        ("a,b\n?,2\n?,4\n5,-\n", TextGuess(",", True, "?")),
        ('a,b\n"x,y",2\n"z, w",3\n', TextGuess(",", True, "")),
        ("word\nanother\n", TextGuess(",", True, "")),
        ("a,a\n1,2\n", TextGuess(",", False, "")),
    ],
)
def test_form_of_a_text(tmp_path, content, expected):
    (tmp_path / "t.csv").write_text(content)
    assert look_at_text(tmp_path / "t.csv") == expected
    assert look_at_text(tmp_path) == expected
    with gzip.open(tmp_path / "t.csv.gz", "wt") as stream:
        stream.write(content)
    assert look_at_text(tmp_path / "t.csv.gz") == expected
    (tmp_path / "t.csv.bz2").write_bytes(bz2.compress(content.encode()))
    assert look_at_text(tmp_path / "t.csv.bz2") == expected


def test_form_of_the_shipped_penguins():
    assert look_at_text(ROOT / "data" / "penguins.csv") == TextGuess(",", True, "NA")


@pytest.mark.parametrize(
    ("name", "content", "kind", "said"),
    [
        ("empty.csv", b"", DataError, "'empty.csv' is empty"),
        ("blank.csv", b" \n\n", DataError, "is empty"),
        ("mark.csv", b"\xef\xbb\xbf", DataError, "is empty"),
        ("wide.csv", "\u00a0\n\u2003\n".encode(), DataError, "is empty"),
        ("late.csv", b"\n" * 70_000 + b"a,b\n", DataError, "has no text at first"),
        ("picture.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", DataError, "no text: there are zero bytes"),
        ("latin.csv", "größe,b\n1,2\n".encode("latin-1"), DataError, "no text in UTF-8"),
        ("cut.gz", gzip.compress(b"a,b\n" * 9000, mtime=0)[:30], ConfigurationError, "can't be read"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path, name, content, kind, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(kind, match=said):
        look_at_text(tmp_path / name)


def test_a_file_that_vanished_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no file 'gone.csv' any more"):
        look_at_text(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="no files"):
        look_at_text(tmp_path)


def test_a_letter_that_the_look_cuts_in_two_is_text(tmp_path):
    (tmp_path / "t.csv").write_text("ab,c\n" + "aé,b\n" * 20_000)
    assert look_at_text(tmp_path / "t.csv").delimiter == ","


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and more")
    check_parquet(tmp_path)
    check_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes(b"words")
    for path in (tmp_path, tmp_path / "a.parquet"):
        with pytest.raises(DataError, match=r"'a.parquet' is no Parquet"):
            check_parquet(path)
    with pytest.raises(ConfigurationError, match="any more"):
        check_parquet(tmp_path / "gone.parquet")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", " -2", None], "whole"),
        (["1", "2.5", "1e3"], "number"),
        (["true", "False"], "boolean"),
        (["2024-02-29", "1999-12-31"], "date"),
        (["2024-02-29 10:00:00", "2024-02-29T10:00:00"], "timestamp"),
        (["2024-02-30"], "text"),
        (["1", "one"], "text"),
        (["1_000"], "text"),
        ([None, ""], "text"),
        (["20240101"], "whole"),
    ],
)
def test_type_of_texts(values, expected):
    assert guess_type(values) == expected
