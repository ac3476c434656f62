"""Models of networks as bundles: the scorer gives what ``transform`` gives."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import start_session
from digits import pictures, png, png_frame
from mixed_tables import INPUTS, mixed_frame, mixed_rows

from sparkwater.bundle import Bundle, export_bundle
from sparkwater.ml import (
    DeepLearningClassifier,
    ImageClassifier,
)


@pytest.fixture(scope="module")
def classifier():
    """A classifier of pictures with the weights that its network begins with."""
    frame = png_frame(start_session("local[2]"), 40)
    return ImageClassifier(epochs=0, featuresCol="content", imageShape=[16, 16, 1]).fit(frame)


def exported(model, sample, folder):
    export_bundle(model, str(folder), sample, overwrite=True)
    return Bundle.load(folder)


def check(model, frame, bundle, rows, absolute=1e-5):
    """Compare a bundle's outputs for rows with those of ``transform`` for a DataFrame of the same rows."""
    expected = model.transform(frame).collect()
    found = bundle.predict(rows)
    assert len(found) > 0
    for name, values in found.items():
        wanted = [row[name] for row in expected]
        if values.dtype == object:
            assert list(values) == wanted
        else:
            wanted = np.array([value.toArray() if hasattr(value, "toArray") else value for value in wanted])
            np.testing.assert_allclose(values, wanted, rtol=1e-4, atol=absolute)
    return found


def test_a_classifier_of_pictures(spark, classifier, tmp_path):
    frame = png_frame(spark, 30, seed=3)
    bundle = exported(classifier, frame, tmp_path / "bundle")
    encoded = [png(image) for image in pictures(30, seed=3)[0]]
    found = check(classifier, frame, bundle, encoded)
    assert found.keys() == {"rawPrediction", "probability", "prediction", "predictedLabel"}
    assert bundle.verify().pictures == 10
    again = bundle.predict([{"content": content, "other": 1} for content in encoded])
    assert np.array_equal(again["probability"], found["probability"])


def test_tables_with_missing_and_unseen_values(spark, tmp_path):
    frame = mixed_frame(spark, 80)
    model = DeepLearningClassifier(labelCol="kind", inputCols=INPUTS, epochs=0).fit(frame)
    bundle = exported(model, frame, tmp_path / "bundle")
    strange = [(900, None, None, None, None, None, "big", 1.0), (901, 1e9, -7, "violet", True, None, "big", 1.0)]
    tuples = mixed_rows(60, seed=5) + strange
    other = spark.createDataFrame(tuples, frame.schema)
    names = frame.columns
    check(model, other, bundle, [dict(zip(names, values, strict=True)) for values in tuples])
