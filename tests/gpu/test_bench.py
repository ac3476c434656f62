from __future__ import annotations

import re

import pytest

from sparkwater.gpu import bench


@pytest.mark.parametrize("place", [[], ["--host-data"]])
def test_both_loops_train_and_a_line_a_batch_size_compares_them(
    capsys: pytest.CaptureFixture[str], place: list[str]
) -> None:
    bench.main(["--rows", "64", "--batch-size", "16", "32", "--rounds", "1", "--device", "cpu", *place])
    lines = capsys.readouterr().out.splitlines()
    assert [
        re.search(r"batch (\d+), float32, cpu: sparkwater [\d,]+ rows/s \(torch.channels_last\); plain", line)[1]
        for line in lines
    ] == ["16", "32"]  # type: ignore[index]
