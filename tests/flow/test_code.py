"""Nothing that a browser or a file says becomes code: values are literals, names are checked."""

from __future__ import annotations

import ast
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.code import Code, comment, literal, variable

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)
HOSTILE = (
    "'); __import__('os').system('true') #",
    '"""',
    "\\'",
    "a\nimport os",
    "\r\x0c\x85\u2028x",
    "\u202e\u2066",
    "\ud800",
    "{x}",
    "\0",
)


@given(PLAIN)
def test_a_literal_gives_the_value_again_exactly(value):
    again = ast.literal_eval(literal(value))
    assert again == value
    assert repr(again) == repr(value)  # 1, 1.0 and True are told apart


@pytest.mark.parametrize("text", HOSTILE)
def test_text_stays_one_literal_on_one_line(text):
    written = literal(text)
    assert len(written.splitlines()) == 1
    node = ast.parse(written, mode="eval").body
    assert isinstance(node, ast.Constant)
    assert node.value == text


class Text(str):
    """A str whose repr is code."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "__import__('os')"


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 1j, b"x", {1}, object(), Text("x"), {1: 2}, {Text("x"): 1}, [[math.nan]], print],
)
def test_other_values_are_refused(value):
    with pytest.raises(ConfigurationError):
        literal(value)


def test_values_within_values_without_end_are_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(ConfigurationError, match="within one another"):
        literal(endless)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1a",
        "a b",
        "a;b",
        "a\n",
        "class",
        "match",
        "spark",
        "print",
        "__builtins__",
        "_x",
        "ﬁ",
        "é",
        None,
        3,
        "a.b",
        "a" * 61,
    ],
)
def test_names_that_are_no_plain_identifiers_are_refused(name):
    with pytest.raises(ConfigurationError, match="can't name a variable"):
        variable(name)


def test_a_good_name_is_taken():
    assert variable("digits_1") == "digits_1"
    assert variable("a" * 60) == "a" * 60


@pytest.mark.parametrize("text", HOSTILE)
def test_a_comment_is_one_line(text):
    written = comment(text)
    assert written.startswith("#")
    assert len(written.splitlines()) == 1
    assert ast.parse(written + "\n").body == []


def test_names_that_code_binds_are_known():
    code = Code(("from a.b import c as d, e", "import f.g"), ("x, y = d(e)", "_z = [w for w in x]"))
    assert code.imported == {"d", "e", "f"}
    assert code.assigned == {"x", "y", "w"}


def test_a_page_shows_the_first_of_very_many_lines():
    few, many = (Code(("import a",), tuple(f"x = {n}" for n in range(size))) for size in (59, 2_000))
    assert few.shown == few.text.strip()
    shown = many.shown.splitlines()
    assert shown[:60] == many.text.splitlines()[:60]
    assert shown[60:] == ["# ... and 1,942 more lines, which scripts have."]
