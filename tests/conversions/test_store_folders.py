"""Files of older saves in a stage's folder on a store of objects."""

from __future__ import annotations

import pytest

from sparkwater.conversions.stages.store_folders import leftovers

STAGE = ("metadata/part-00000", "content-new/")
PIPELINE = ("metadata/part-00000", "stages/0_a-new/", "stages/1_b-new/")


@pytest.mark.parametrize(
    ("names", "stays", "found"),
    [
        (["metadata/part-00000", "content-new/a", "content-new/b/c"], STAGE, []),
        (["metadata/part-00000", "content-old/a", "content-old/b/c", "content-new/a"], STAGE, ["content-old"]),
        # Spark's own writer marks its success, and one that began with the same name is another file.
        (
            ["metadata/part-00000", "metadata/part-00000-x.txt", "metadata/_SUCCESS", "stages/0_a/metadata/part-00000"],
            STAGE,
            ["metadata/_SUCCESS", "metadata/part-00000-x.txt", "stages"],
        ),
        (
            ["stages/0_a-old/data/x", "stages/0_a-old/metadata/y", "stages/0_a-new/data/x", "content-old/a", "a"],
            PIPELINE,
            ["a", "content-old", "stages/0_a-old"],
        ),
    ],
)
def test_folders_in_which_nothing_stays_are_deleted_whole(names: list[str], stays, found: list[str]) -> None:
    assert leftovers(names, stays) == found
