"""Figures from bounded parts of DataFrames."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from conftest import start_session
from PIL import Image
from pyspark.ml.functions import array_to_vector
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from sparkwater.conversions import TensorToImage, from_numpy
from sparkwater.errors import ConfigurationError, DataError, SchemaError
from sparkwater.plots import (
    plot_contributions,
    plot_dependence,
    plot_first_row,
    plot_importance,
    plot_largest_losses,
    plot_neighbors,
    plot_pictures,
    plot_reliability,
)


@pytest.fixture(scope="module")
def session() -> SparkSession:
    return start_session("local[2]")


@pytest.fixture(scope="module")
def pictures(session: SparkSession) -> DataFrame:
    """Eight pictures of one shade each: 10, 20, ..., 80."""
    shades = np.arange(10, 90, 10, dtype=np.uint8)
    arrays = {"id": np.arange(8), "features": np.repeat(shades, 16).reshape(8, 1, 4, 4)}
    return from_numpy(session, arrays).cache()


def shown(plot: Any) -> list[int]:
    """Return the first pixel of each picture."""
    return [int(axes.images[0].get_array()[0, 0, 0]) for axes in plot.axes if axes.get_visible()]


def words(plot: Any) -> list[str]:
    return [axes.get_xlabel() for axes in plot.axes if axes.get_visible()]


def test_importance_reads_forty_rows(session: SparkSession) -> None:
    lines = [(f"f{at}", 100.0 - at, 99.0 - at, 101.0 - at) for at in range(60)]
    frame = session.createDataFrame(lines, "feature string, importance double, lower double, upper double")
    plot = plot_importance(frame.coalesce(1))
    assert plot.alt.startswith("Loss of the metric of 40 features, largest first: f0 100 (99 to 101)")
    with pytest.raises(SchemaError, match="there is no column 'lower'"):
        plot_importance(frame.drop("lower"))


def test_dependence_has_the_mean_and_so_many_rows_at_most(session: SparkSession) -> None:
    means = [(0.0, 0, 1.0), (1.0, 0, 2.0), (0.0, 1, 0.0), (1.0, 1, -2.0)]
    dependence = session.createDataFrame(means, "value double, index int, mean double")
    lines = [(row, value, [row + value, -float(row)], 0.5) for row in range(1, 6) for value in (0.0, 1.0)]
    curves = session.createDataFrame(lines, "row int, value double, output array<double>, original double")
    plot = plot_dependence(dependence, curves, column="age", outputIndex=1, maxRows=3)
    (axes,) = plot.axes
    thin = [line for line in axes.lines if line.get_linewidth() < 1 and len(line.get_xdata()) == 2]
    assert [list(line.get_ydata()) for line in thin] == [[-1.0, -1.0], [-2.0, -2.0], [-3.0, -3.0]]
    assert "the mean goes from 0 at 0.0 to -2 at 1.0" in plot.alt
    with pytest.raises(ConfigurationError, match="give both the same grid"):
        plot_dependence(dependence.where("value = 0"), curves)
    with pytest.raises(DataError, match="no values of output 2"):
        plot_dependence(dependence, outputIndex=2)


def test_contributions_are_coloured_by_columns_or_by_a_vector(session: SparkSession) -> None:
    lines = [({"a": float(at), "b": 0.1}, 1.0, float(at), Vectors.dense(-at, at)) for at in range(1, 9)]
    lines.append((None, None, 0.0, None))
    frame = session.createDataFrame(lines, ["contributions", "baseValue", "a", "v"]).coalesce(1)
    assert "of 8 rows, mean size by feature, largest first: a 4.5 (correlation with the value's rank +1.00); b" in (
        plot_contributions(frame).alt
    )
    assert "a 4.5 (correlation with the value's rank -1.00)" in plot_contributions(frame, valuesCol="v").alt
    assert "of 3 rows, mean size by feature, largest first: a 2; b 0.1." in (
        plot_contributions(frame, kind="bars", maxRows=3).alt
    )
    assert "from the base value 1 to 2.1: a +1; b +0.1" in plot_first_row(frame).alt
    for bad, match in (({"kind": "pie"}, "accepted: swarm, bars"), ({"maxRows": 0}, "maxRows=0 is not accepted")):
        with pytest.raises(ConfigurationError, match=match):
            plot_contributions(frame, **bad)
    with pytest.raises(DataError, match="no row has contributions"):
        plot_contributions(frame.where("a = 0"))
    without = frame.withColumn("v", F.when(F.col("a") > 2, F.col("v")))
    assert "of 8 rows, mean size by feature, largest first: a 4.5 (correlation with the value's rank -1.00)" in (
        plot_contributions(without, valuesCol="v").alt
    )
    longer = frame.withColumn("v", array_to_vector(F.array(F.col("a"), F.col("a"), F.col("a"))))
    with pytest.raises(DataError, match="a vector of valuesCol has 3 entries, and there are 2 features"):
        plot_contributions(longer, valuesCol="v")


def test_pictures_of_all_columns_are_shown_and_no_more_than_asked_for(pictures: DataFrame) -> None:
    plot = plot_pictures(pictures.coalesce(1), wordsCols=["id"], maxPictures=3)
    assert shown(plot) == [10, 20, 30]
    assert words(plot) == ["0", "1", "2"]
    structs = TensorToImage(inputCol="features", outputCol="image").transform(pictures.coalesce(1))
    of_structs = plot_pictures(structs, "image", ["id"], maxPictures=2)
    assert (shown(of_structs), words(of_structs)) == ([10, 20], ["0", "1"])
    assert words(plot_pictures(structs, "image", maxPictures=2)) == ["", ""]
    file = io.BytesIO()
    Image.new("RGB", (6, 6), (70, 1, 1)).save(file, "PNG")
    lines = [(bytearray(file.getvalue()), "red"), (bytearray(b"broken"), "none")]
    encoded = pictures.sparkSession.createDataFrame(lines, "content binary, name string")
    for columns, expected in (([], [""]), (["name"], ["red"])):
        plot = plot_pictures(encoded, "content", columns)
        assert (shown(plot), words(plot)) == ([70], expected)
    with pytest.raises(SchemaError, match="accepted: tensors, encoded pictures"):
        plot_pictures(pictures, "id")
    with pytest.raises(ConfigurationError, match="columns=0 is not accepted"):
        plot_pictures(pictures, columns=0)


def test_the_largest_losses_are_the_least_probable_own_classes(pictures: DataFrame) -> None:
    chances = [
        (at, "cat" if at % 2 else "dog", float(at % 2 == 0), Vectors.dense(at / 10, 1 - at / 10)) for at in range(8)
    ]
    scores = pictures.sparkSession.createDataFrame(chances, ["id", "label", "number", "probability"])
    scored = pictures.join(scores, "id")
    # The own probability: of cats, the first class, id / 10; of dogs 1 - id / 10.
    plot = plot_largest_losses(scored, classes=["cat", "dog"], maxPictures=3)
    assert shown(plot) == [20, 40, 70]
    assert words(plot)[0] == "cat, taken for dog\n0.90, loss 2.30"
    by_number = plot_largest_losses(scored, labelCol="number", classes=["cat", "dog"], maxPictures=3)
    assert shown(by_number) == [20, 40, 70]
    with pytest.raises(ConfigurationError, match=r"give classes=model\.classes"):
        plot_largest_losses(scored)
    # Probabilities of numbers stand at the number, whatever place it has among the classes.
    lines = [(0, 1.0, Vectors.dense(0.0, 0.3, 0.6, 0.1)), (1, 3.0, Vectors.dense(0.0, 0.2, 0.1, 0.7))]
    numbers = pictures.join(pictures.sparkSession.createDataFrame(lines, ["id", "label", "probability"]), "id")
    expected = ["1, taken for 2\n0.60, loss 1.20", "3, taken for 3\n0.70, loss 0.36"]
    for classes in ([1.0, 2.0, 3.0], [1, 3], None):
        assert words(plot_largest_losses(numbers, classes=classes)) == expected


def test_reliability_is_that_of_the_second_class_or_of_the_predicted_one(session: SparkSession) -> None:
    # Of the second of two classes: 0.2 three times, of which it is one; 0.95 and 1.0, of which it is both.
    lines = [(0.2, "no"), (0.2, "yes"), (0.2, "no"), (0.95, "yes"), (1.0, "yes")]
    two = session.createDataFrame(
        [(label, Vectors.dense(1 - chance, chance)) for chance, label in lines], ["label", "probability"]
    )
    plot = plot_reliability(two, classes=["no", "yes"])
    assert plot.axes[0].get_xlabel() == "predicted probability of yes"
    (line,) = [line for line in plot.axes[0].lines if line.get_marker() == "o"]
    assert [list(map(float, value)) for value in line.get_data()] == [
        pytest.approx([0.2, 0.975]),
        pytest.approx([1 / 3, 1.0]),
    ]
    assert [bar.get_height() for bar in plot.axes[1].patches] == [3, 2]
    # Of three it is that of the predicted class: 0.6 twice, right once; a label that was never learned is wrong.
    lines = [(1.0, [0.3, 0.6, 0.1]), (0.0, [0.3, 0.6, 0.1]), (7.0, [0.1, 0.1, 0.8]), (None, [1.0, 0.0, 0.0])]
    three = session.createDataFrame(
        [(label, Vectors.dense(chances)) for label, chances in lines], ["label", "probability"]
    )
    plot = plot_reliability(three)
    assert plot.axes[0].get_xlabel() == "predicted probability of the predicted class"
    (line,) = [line for line in plot.axes[0].lines if line.get_marker() == "o"]
    assert [list(map(float, value)) for value in line.get_data()] == [[0.6, 0.8], [0.5, 0.0]]
    with pytest.raises(ConfigurationError, match=r"give classes=model\.classes"):
        plot_reliability(two)
    with pytest.raises(SchemaError, match="probabilityCol='label' is no vector column"):
        plot_reliability(three, probabilityCol="label")
    with pytest.raises(DataError, match="no bins"):
        plot_reliability(three.where("label is null"))


def fails(frame: DataFrame) -> DataFrame:
    """Return rows whose first job fails."""
    return frame.where(F.raise_error(F.lit("a job ran")).isNull())


def test_arguments_and_columns_are_refused_before_any_job(session: SparkSession, pictures: DataFrame) -> None:
    flat = from_numpy(session, {"id": np.arange(2), "features": np.zeros((2, 5), np.uint8)})
    scored = flat.withColumn("label", F.lit(0.0))
    with pytest.raises(SchemaError, match=r"holds tensors uint8\[5\]; accepted: those of two axes"):
        plot_largest_losses(fails(scored))
    with pytest.raises(SchemaError, match="probabilityCol='label' is no vector column"):
        plot_largest_losses(fails(pictures.withColumn("label", F.lit(0.0))), probabilityCol="label")
    with pytest.raises(SchemaError, match="holds tensors"):
        plot_pictures(fails(flat))
    pairs = session.createDataFrame([(1, 1, 2, 0.5)], "queryId long, rank int, referenceId long, value double")
    for given, columns in (
        ((pairs, pictures, pictures.drop("id")), {}),
        ((pairs, pictures.drop("features"), pictures), {}),
        ((pairs, pictures, pictures), {"wordsCol": "none"}),
        ((pairs, pictures, flat), {}),
        ((pairs.drop("value"), pictures, pictures), {}),
    ):
        with pytest.raises(SchemaError, match=r"there is no column|holds tensors"):
            plot_neighbors(fails(given[0]), *given[1:], **columns)
    means = fails(session.createDataFrame([(0.0, 0, 1.0)], "value double, index int, mean double"))
    curves = session.createDataFrame([(1, 0.0, [1.0])], "row int, value double, output array<double>")
    with pytest.raises(SchemaError, match="there is no column 'original'"):
        plot_dependence(means, curves)
    with pytest.raises(ConfigurationError, match="maxRows=-1 is not accepted"):
        plot_dependence(means, curves.withColumn("original", F.lit(0.5)), maxRows=-1)


def test_neighbours_stand_beside_their_query(pictures: DataFrame) -> None:
    lines = [(query, rank, (query + rank) % 8, 0.1 * rank) for query in range(8) for rank in (1, 2, 3)]
    pairs = pictures.sparkSession.createDataFrame(lines, "queryId long, rank int, referenceId long, value double")
    plot = plot_neighbors(pairs, pictures, pictures, maxQueries=2, maxNeighbors=2)
    assert shown(plot) == [10, 20, 30, 20, 30, 40]
    assert words(plot)[:3] == ["0", "1\n0.1", "2\n0.2"]
    one_each = plot_neighbors(pairs.where("rank = 1"), pictures, pictures, maxQueries=2, maxNeighbors=2)
    assert shown(one_each) == [10, 20, 20, 30]
    with pytest.raises(DataError, match="no pairs"):
        plot_neighbors(pairs.where("rank > 9"), pictures, pictures)
    with pytest.raises(ConfigurationError, match="maxQueries=0"):
        plot_neighbors(pairs, pictures, pictures, maxQueries=0)
