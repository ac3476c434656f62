from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from conftest import start_session
from digits import tensor_frame
from pyspark.sql import functions as F

from sparkwater.errors import ConfigurationError, DataError
from sparkwater.ml import ImageClassifier, confusion_matrix
from sparkwater.ml.reports.confusion import LabelScores
from sparkwater.ml.reports.summary import TrainingSummary


def held_out_frame():
    return tensor_frame(start_session("local[2]"), 120).withColumn("held", F.col("id") % 5 == 0)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    return ImageClassifier(
        network="auto",
        epochs=3,
        batchSize=32,
        learningRate=0.02,
        numWorkers=2,
        collective="torch",
        classWeight="balanced",
        validationIndicatorCol="held",
        checkpointDir=str(tmp_path_factory.mktemp("checkpoints")),
    ).fit(held_out_frame())


def test_the_parts_of_each_rank_add_up_to_the_fit(fitted):
    summary = fitted.summary
    assert len(summary.timingsPerRank) == 2
    for timings in summary.timingsPerRank:
        assert timings.total == pytest.approx(summary.totalSeconds)
        spent = {name for name, seconds in asdict(timings).items() if seconds > 0}
        assert spent >= asdict(timings).keys() - {"wait", "report"}
    assert min(timings.wait for timings in summary.timingsPerRank) == 0
    assert summary.timings.total == pytest.approx(summary.totalSeconds)


def test_the_confusion_matrix_is_that_of_the_model_on_the_rows_to_validate_on(fitted):
    matrix = fitted.summary.confusionMatrix
    scored = fitted.transform(held_out_frame().where("held"))
    assert matrix == confusion_matrix(scored, "label", "prediction")
    best = fitted.summary.records[fitted.summary.bestEpoch]
    assert matrix.error == pytest.approx(best.validation.error)
    rows = fitted.summary.perClass.collect()
    assert [row["label"] for row in rows] == list(matrix.labels)
    assert sum(row["rows"] for row in rows) == fitted.summary.numValidationRows == 24
    assert sum(row["error"] for row in rows) / len(rows) == pytest.approx(best.validation.meanPerClassError)


def test_the_summary_knows_its_plots(fitted):
    summary = fitted.summary
    record = summary.records[-1]
    curves = summary.plot()
    assert [axes.get_title(loc="left") for axes in curves.axes] == ["loss (= logloss)", "error"]
    assert f"validation rows: {summary.records[0].validation.logloss:.4g} in epoch 1" in curves.alt
    assert f"{record.loss:.4g} in epoch 3" in curves.alt
    assert f"The model is that of epoch {summary.bestEpoch + 1}, " in curves.alt
    assert summary.plot("confusion").alt == summary.confusionMatrix.plot().alt
    assert f"F1 of {len(summary.confusionMatrix.labels)} classes" in summary.plot("classes").alt
    labelled = replace(summary, confusionMatrix=None, labelScores=(LabelScores("a", 3.0, 0.5, 0.25, None, None),))
    assert labelled.plot("classes").alt.endswith("a precision 0.500, recall 0.250, F1 undefined.")
    with pytest.raises(DataError, match="has no confusion matrix"):
        labelled.plot("confusion")
    with pytest.raises(ConfigurationError, match="kind='roc' is not accepted; accepted: curves, confusion, classes"):
        summary.plot("roc")
    with pytest.raises(DataError, match="a training of no epochs has none"):
        replace(summary, records=()).plot()


def test_the_summary_survives_json_and_says_what_was_chosen(fitted):
    summary = fitted.summary
    assert TrainingSummary.from_dict(json.loads(json.dumps(summary.to_dict()))) == summary
    chosen = summary.resolved
    assert (chosen["network"], chosen["device"], chosen["memory"]) == ("lenet", "cpu", "memory")
    assert chosen["overwriteWithBestModel"] is True
    assert chosen["classWeight"].keys() == {"0", "1", "2", "3"}
    assert chosen["maxMemoryInMB"]
    assert chosen["scaling"][0]["mean"] == list(fitted.fitted.trained.scaling.mean)
    assert chosen["scaling"][0]["by"] == "training rows"


def test_the_summary_reads_as_text(fitted):
    text = str(fitted.summary)
    assert text.startswith("lenet, 2 workers (torch, cpu), ")
    assert f"epochs: 3, ended by epochs; the model is that of epoch {fitted.summary.bestEpoch}, the best" in text
    assert "rows: 96 trained, 24 to validate on, 0 of weight 0, 0 skipped" in text
    assert f"validation rows: logloss {fitted.summary.records[fitted.summary.bestEpoch].validation.logloss:.4f}" in text
    assert "  memory: memory" in text
    assert all(f"  {name} " in text for name in asdict(fitted.summary.timings))
    troubled = replace(
        fitted.summary, confusionMatrix=None, restarts=1, resumedAt=7, skippedRows=(("row 3", "it is no picture"),)
    )
    for line in ("by class: left out", "restarts: 1, went on from step 7", "skipped: row 3: it is no picture"):
        assert line in str(troubled)
    units = replace(fitted.summary, resolved={**fitted.summary.resolved, "labelScale": 0.288675})
    assert "  labelScale: 0.288675\n" in str(units)


def test_training_rows_are_judged_by_their_weights_where_none_are_held_out(spark):
    weighted = tensor_frame(spark, 60).withColumn("weight", 0.5 + (F.col("id") % 3))
    untrained = ImageClassifier(epochs=0).fit(weighted).summary
    assert (untrained.confusionMatrix, untrained.perClass) == (None, None)
    assert "epochs: 0" in str(untrained)
    summary = ImageClassifier(epochs=1, weightCol="weight", maxMemoryInMB=0.001).fit(weighted).summary
    assert summary.confusionMatrix.rows == 60 * 1.5
    assert summary.confusionMatrix.error == pytest.approx(summary.records[-1].training.error)
    assert summary.resolved["memory"] == "mapped file"
