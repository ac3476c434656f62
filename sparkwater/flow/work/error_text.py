"""Errors in words that a page can show."""

from __future__ import annotations

import re

from sparkwater.conversions.sessions.session import spark_errors
from sparkwater.errors import SparkwaterError, root_cause

_LONGEST = 2000
#: How Py4J begins.
_JAVA = re.compile(r"An error occurred while calling \S+\s*:\s*(?:[\w.$]+: )?")
#: Words of a row's own, such as why it isn't scored, as Spark puts them.
_RAISED = re.compile(r"\[USER_RAISED_EXCEPTION\] (.*?) SQLSTATE: P0001")


def in_words(error: BaseException) -> str:
    """Return the first paragraph of an error's message; with the class, where it is neither ours nor Spark's own."""
    from pyspark.errors import PySparkException

    try:
        whole = _RAISED.sub(r"\1", str(error))
        text = whole.split("\n\tat ")[0].strip()  # what follows are lines of Java
    except Exception:  # some ask a JVM for their words, which may be gone
        text = "its words can't be had any more"
    if isinstance(error, SparkwaterError):
        return _short(text)
    if _JAVA.match(text):  # an error of Java's that PySpark has no class for: its own words, and those of its cause
        own, cause = _JAVA.sub("", text).rstrip(" :"), root_cause(whole)
        if cause is None:
            return _short(own)
        return _short(cause if cause in own else f"{own}: {cause}")
    if isinstance(error, PySparkException):
        return _short(text.split("\n\nJVM stacktrace:")[0].split(";\n'")[0])
    return _short(f"{type(error).__name__}: {text}")


def expected_errors() -> tuple[type[Exception], ...]:
    """Return the errors whose words are for users: sparkwater's, Spark's, and those of a JVM that is gone."""
    return (SparkwaterError, *spark_errors())


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
