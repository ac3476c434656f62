"""What data, files and errors are called is text on all pages, whatever it looks like."""

from __future__ import annotations

import urllib.request
from http.cookiejar import CookieJar

import pytest
from conftest import start_session

from sparkwater.flow import serve
from sparkwater.flow.workbook.actions.splitting import SplitFrame
from sparkwater.flow.workbook.actions.tables import ChangeTypes, ReadCsv, ReadParquet

EVIL = "<img src=x onerror=alert(1)>"
#: Text that ends a string, a template or a script.
QUOTES = "`\"'${alert(1)}{{alert(1)}}"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Return the pages of a flow in which all that can be named is named so."""
    folder = tmp_path_factory.mktemp("files")
    (folder / f"{EVIL}.csv").write_text(f"{EVIL},label\n{EVIL},1\n{EVIL},2\n")
    served = serve(start_session("local[2]"), [folder], port=0)
    try:
        jobs = served.desk.jobs
        read = ReadCsv("data", str(folder / f"{EVIL}.csv"))
        jobs.complete(read)
        jobs.complete(ChangeTypes("typed", "data", ((EVIL, "number", ""),)))
        jobs.complete(SplitFrame("one", "data", 50, (("two", 50),), together=EVIL))
        jobs.wait(jobs.start(SplitFrame("three", "data", 50, (("four", 50),), together=QUOTES)).id)
        jobs.wait(jobs.start(ReadParquet("gone", f"{folder}/{EVIL}{QUOTES.replace('{', '').replace('}', '')}")).id)
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        opener.open(served.invite(), timeout=20).read()
        yield {
            name: opener.open(served.url + name, timeout=20).read().decode()
            for name in ("", "build", "jobs", "models", "flow")
        }
    finally:
        served.stop()


@pytest.mark.parametrize("name", ["", "build", "jobs", "flow"])
def test_names_of_files_columns_and_errors_are_no_markup(pages, name):
    page = pages[name]
    assert "<img src=x" not in page
    assert "${alert" not in page
    if name:
        assert "onerror=alert(1)" in page  # it is shown
    if name == "flow":
        assert "{alert(1)}{{alert(1)}}" in page
