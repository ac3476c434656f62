"""A Spark session that ends beside the server, and the way on from there."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from conftest import FORKED
from flow_servers import serving

#: A notebook's part: a session, the server beside it, and at a line from outside the end of the session; and all again.
BESIDE = """
import sys
from pyspark.sql import SparkSession
from sparkwater import flow

for _ in range(2):
    spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
    served = flow.serve(spark, sys.argv[1:], port=0)
    print(served.invite(), flush=True)
    sys.stdin.readline()
    spark.stop()
    print("stopped", flush=True)
    sys.stdin.readline()
    served.stop()
"""
LOST = "The Spark session has ended, and all variables with it. Save the flow, start anew, open it there and run it."
#: Seconds within which each page has to say so.
SOON = 30


def test_a_lost_session_is_told_and_the_saved_flow_goes_on_elsewhere(
    windows: Any, digits: Path, tmp_path: Path
) -> None:
    with serving("-c", BESIDE, str(digits), **FORKED) as server:
        person = windows(server.address)
        person.opens_folder("training")
        person.presses("Read pictures here")
        person.fills("Name of the data", "rows")
        person.presses("Read")
        person.sees_data("rows", "400 rows, 3 columns")
        person.trains("rows", "kept", network="mlp", imageShape="14, 14, 1", epochs="1")
        person.sees_the_end("Train kept,")
        person.trains("rows", "long", network="mlp", imageShape="14, 14, 1", epochs="5000")
        person.job("Train long,").get_by_text(re.compile("rows a second")).wait_for()
        server.tell("end the session")
        alert = person.page.get_by_role("alert").get_by_text(LOST, exact=True)
        failed = person.sees_the_end("Train long,", "Failed")
        assert LOST in failed.text_content()
        for name in ("Data", "Build", "Jobs", "Models", "Flow"):
            began = time.monotonic()
            person.goes_to(name)
            alert.locator("visible=true").first.wait_for()
            assert time.monotonic() - began < SOON, name
        person.looks_at("kept").get_by_role("heading", name="Confusion matrix").wait_for()
        panel = person.opens_tab("Score")
        person.presses("Score", panel)
        panel.get_by_text(LOST).wait_for()
        person.fills_the_form("rows", "more", network="mlp", imageShape="14, 14, 1")
        person.presses("Train")
        person.page.get_by_role("alert").get_by_text(LOST).locator("visible=true").nth(1).wait_for()
        person.goes_to("Flow")
        saved = person.downloads("Save", tmp_path)
        flow = json.loads(saved.read_text())
        assert [action["result"] for action in flow["actions"]] == ["rows", "kept"]
        person.page.close()
        earlier = digits / "earlier"
        (earlier / "metadata").mkdir(parents=True)
        (earlier / "metadata" / "part-0").write_text("a model")
        flow["actions"].append({"kind": "save_model", "model": "kept", "folder": str(earlier), "overwrite": True})
        saved.write_text(json.dumps(flow))
        person = windows(server.tell("start anew").strip())
        person.sees("Files")
        person.opens_a_flow(saved)
        person.sees(re.compile(r"^Opened flow.json: 3 cells"))
        person.sees(f"When it runs, it replaces what is at {earlier}.")
        person.presses("Run again")
        question = person.page.get_by_role("dialog", name="Run again")
        question.get_by_text(re.compile(f"in which there is something already: {re.escape(str(earlier))}")).wait_for()
        person.presses("Run all cells", question)
        person.sees(re.compile("earlier' exists already, and a cell replaces it; tick 'Replace what is there'"))
        assert (earlier / "metadata" / "part-0").read_text() == "a model"
        person.presses("Run again")
        question.get_by_role("checkbox", name="Replace what is there").click()
        person.presses("Run all cells", question)
        person.sees_the_end("Save kept as earlier")
        assert not (earlier / "metadata" / "part-0").exists()
        assert any((earlier / "metadata").glob("part-*"))
        person.looks_at("kept").get_by_role("heading", name="Confusion matrix").wait_for()
        person.page.close()
