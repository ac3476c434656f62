"""The documentation's code runs, and its tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from sparkwater.conversions.stages.spark_types import DTYPE_OF
from sparkwater.conversions.tensors.spec import DTYPES

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_the_examples_of_a_page_run_one_after_the_other(spark: SparkSession, page: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert blocks
    names: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page}, example {number}", "exec"), names)


def test_the_table_of_types_is_the_code_s() -> None:
    page = (DOCS / "tensor_columns.md").read_text()
    table = page[page.index("| Spark type | dtype |") :].split("\n\n")[0]
    rows = dict(re.findall(r"^\| ([\w ]+) \| (\w+) \|$", table, re.MULTILINE))
    expected = {
        "ML vector" if kind.__name__ == "VectorUDT" else kind().simpleString(): dtype
        for kind, dtype in DTYPE_OF.items()
    }
    assert {name: dtype for name, dtype in rows.items() if name != "Spark type"} == expected
    assert T.DecimalType not in DTYPE_OF
    for dtype in DTYPES:
        assert f"`{dtype}`" in page
