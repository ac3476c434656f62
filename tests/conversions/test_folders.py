from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from pyspark.sql import SparkSession

from sparkwater.conversions import read_image_folder, read_images
from sparkwater.errors import ConfigurationError, DataError


def save(path: Path, kind: str = "PNG") -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2), "red").save(path, kind)
    return path.read_bytes()


def test_labels_are_the_names_of_the_class_folders(spark: SparkSession, tmp_path: Path) -> None:
    names = ["7", "a b", "cats & dogs", "c++", "50%", "a%20b", "x#y", "ü"]
    written = {name: save(tmp_path / name / "p.png") for name in names}
    frame = read_image_folder(spark, str(tmp_path))
    assert frame.columns == ["path", "content", "label"]
    rows = frame.collect()
    assert sorted(row.label for row in rows) == sorted(names)
    assert all(bytes(row.content) == written[row.label] for row in rows)


def test_a_root_folder_with_a_space_can_be_read(spark: SparkSession, tmp_path: Path) -> None:
    save(tmp_path / "my pictures" / "training" / "0" / "p.png")
    folder = tmp_path / "my pictures"
    rows = read_image_folder(spark, str(folder)).collect()
    assert [row.label for row in rows] == ["0"]


def test_suffixes_of_either_case_are_read_and_other_files_left_out(spark: SparkSession, tmp_path: Path) -> None:
    names = ["a.PNG", "b.Jpeg", "c.JPG", "d.bmp", "e.GIF", "f.tif", "g.TIFF", "h.WebP", "i.x.png"]
    for name in names:
        save(tmp_path / "0" / name)
    for name in ("notes.txt", "png", "p.png.part", "p.pngx"):
        (tmp_path / "0" / name).write_bytes(b"no picture")
    rows = read_images(spark, str(tmp_path)).select("path").collect()
    assert sorted(Path(row.path).name for row in rows) == names


def test_a_missing_folder_is_named(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "not here")
    for read in (read_images, read_image_folder):
        with pytest.raises(ConfigurationError, match=r"there is no folder .*not here"):
            read(spark, path)


@pytest.mark.parametrize("names", [[], ["notes.txt"], ["0/notes.txt"]])
def test_a_folder_without_pictures_is_named(spark: SparkSession, tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no picture")
    with pytest.raises(DataError, match=r"no pictures in .*webp") as caught:
        read_image_folder(spark, str(tmp_path))
    assert str(tmp_path) in str(caught.value)
