"""First rows as texts and small pictures."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from digits import png
from PIL import Image
from pyspark.ml.linalg import Vectors

from sparkwater.conversions import TensorSpec, with_tensor_spec
from sparkwater.flow.views.data.rows import SIDE, first_rows, picture_url


def pixels(url: str) -> np.ndarray:
    head, _, content = url.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_rows_of_all_kinds(spark):
    grey = np.full((10, 20), 200, np.uint8)
    markup = "<script>alert(1)</script>"
    rows = [
        (bytearray(png(grey)), bytearray(np.full((1, 2, 2), 9, np.uint8)), [1, 2], Vectors.dense(range(9)), markup),
        (bytearray(b"no picture"), bytearray(b"\1"), [], Vectors.sparse(3, [1], [0.5]), "y" * 1000),
        (None, None, None, None, None),
    ]
    frame = spark.createDataFrame(rows, ["content", "features", "list", "vector", "text"]).coalesce(1)
    view = first_rows(with_tensor_spec(frame, "features", TensorSpec("uint8", (1, 2, 2))))
    assert view.names == ("content", "features", "list", "vector", "text")
    assert view.pictures == (True, True, False, False, False)
    first, second, third = view.rows
    shown = pixels(first[0].picture)
    assert shown.shape == (SIDE, SIDE, 3)
    assert (shown[SIDE // 2, SIDE // 2] == 200).all()
    assert pixels(first[1].picture).tolist() == np.full((2, 2, 3), 9).tolist()
    assert first[2].text == "[1, 2]"
    assert first[3].text == "[0, 1, 2, 3, 4, 5, … (9 numbers)]"
    assert first[4].text == markup
    assert "no picture in one of" in second[0].problem
    assert second[0].picture == ""
    assert "1" in second[1].problem  # another length than the spec's
    assert second[3].text == "[0, 0.5, 0]"
    assert second[4].text == "y" * 120 + "…"
    assert all(cell.missing and not cell.text for cell in third)


def test_a_huge_picture_and_many_columns_are_bounded(spark):
    # Its header asks for more pixels than are decoded; nothing of it is.
    huge = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(huge, "PNG")
    frame = spark.createDataFrame([(bytearray(huge.getvalue()), *range(150))])
    view = first_rows(frame)
    assert "too many pixels" in view.rows[0][0].problem
    assert (len(view.names), view.left_out) == (100, 51)


def test_only_so_many_rows_and_columns_of_pictures_are_read(spark):
    content = bytearray(png(np.zeros((4, 4), np.uint8)))
    frame = spark.createDataFrame([(content,) * 6] * 9)
    view = first_rows(frame, rows=5)
    assert len(view.rows) == 5
    assert view.pictures == (True,) * 4 + (False,) * 2
    assert view.rows[0][5].text == f"{len(content)} bytes"


@pytest.mark.parametrize("shape", [(200, 100), (3, 50, 60), (50, 60, 3), (1, 300, 300)])
def test_pictures_of_any_shape_become_small(shape):
    values = np.random.default_rng(0).normal(size=shape)
    assert max(pixels(picture_url(values)).shape[:2]) <= SIDE
