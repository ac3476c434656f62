from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from conftest import start_session
from made_flows import workspace
from PIL import Image
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.bundle import Bundle
from sparkwater.errors import ConfigurationError, SchemaError
from sparkwater.flow.views.forms import estimator_class, form_of
from sparkwater.flow.views.galleries import (
    has_labels,
    is_text,
    nearest,
    outdated_columns,
    picture_columns,
    vector_columns,
    worst_pictures,
)
from sparkwater.flow.views.models import alike, comparison, model_view
from sparkwater.flow.views.networks import drawing_of, planned_network
from sparkwater.flow.views.suggestions import suggested_columns
from sparkwater.flow.views.tables import Matrix
from sparkwater.flow.views.validation import refusal
from sparkwater.flow.work.workspace import Workspace
from sparkwater.flow.workbook.actions.keeping import ExportBundle, SaveModel
from sparkwater.flow.workbook.actions.scoring import Evaluate, ExtractFeatures, NearestRows, Score, WrongRows
from sparkwater.flow.workbook.actions.training import Define, Fit
from sparkwater.ml import ImageClassifier, ImageClassifierModel


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return workspace(start_session("local[2]"), tmp_path_factory.mktemp("flow"))


def root(flow: Workspace) -> Path:
    return flow.folders.roots[0]


def test_a_network_s_summary_is_shown_whole(flow: Workspace) -> None:
    model = flow.value("network")
    view, summary = model_view("network", model), model.summary
    assert (view.name, view.kind) == ("network", "ImageClassifierModel")
    facts = dict(view.facts)
    assert facts["Network"] == "mlp"
    assert facts["Rows trained"] == str(summary.numRows)
    assert facts["Rows to validate on"] == str(summary.numValidationRows)
    assert {curves.title for curves in view.curves} >= {"loss (logloss)", "error"}
    error = next(curves for curves in view.curves if curves.title == "error")
    assert error.lines["validation rows"] == tuple(one.validation["error"] for one in summary.records)
    assert error.lines["training rows"] == tuple(one.training["error"] for one in summary.records)
    assert view.matrix == Matrix(summary.confusionMatrix.labels, summary.confusionMatrix.counts, "validation rows")
    tables = {table.title: table for table in view.tables}
    judged = summary.records[-1 if summary.bestEpoch is None else summary.bestEpoch]
    assert tables["Metrics"].rows[0] == ("logloss", judged.training["logloss"], judged.validation["logloss"])
    assert [row[0] for row in tables["By class, validation rows"].rows] == list(summary.confusionMatrix.labels)
    assert dict(tables["Choices that were open"].rows)["collective"] == "local"


def test_networks_are_drawn_before_and_after_the_fit(flow: Workspace) -> None:
    drawn = drawing_of(model_view("network", flow.value("network")).network)
    assert drawn.title == "mlp, rows of 1 x 16 x 16"
    svg = base64.b64decode(drawn.url.removeprefix("data:image/svg+xml;base64,")).decode()
    assert svg.startswith("<svg")
    assert "Linear" in svg
    planned = planned_network(ImageClassifier(network="lenet"), flow.value("bars"))
    assert (planned.input_shape, planned.layers[-1].output_shape) == ((1, 16, 16), (10,))
    sized = planned_network(
        ImageClassifier(network="lenet", featuresCol="content", imageShape=[20, 20, 3]), flow.value("coded")
    )
    assert sized.input_shape == (3, 20, 20)
    coder = planned_network(estimator_class("AutoEncoder")(network="autoencoder"), flow.value("bars"))
    assert coder.layers[-1].output_shape == (256,)
    with pytest.raises(ConfigurationError, match="follows from the columns"):
        planned_network(estimator_class("DeepLearningClassifier")(), flow.value("bars"))


@pytest.fixture(scope="module")
def swapped(flow: Workspace) -> DataFrame:
    """Rows whose labels are wrong where the id is small, with scores of another model."""
    label = (F.col("label") + (F.col("id") < 3).cast("int")) % 4
    rest = flow.value("rest").withColumn("label", label).withColumn("own.label", label > 0)
    flow._names["swapped"] = rest.withColumn("PREDICTION", F.lit("another")).withColumn("probability", F.lit(0.5))
    return flow.value("swapped")


def test_pictures_that_are_wrong_come_with_what_they_were_taken_for(flow: Workspace, swapped: DataFrame) -> None:
    model = flow.value("network")
    outdated = outdated_columns(model, swapped.schema)
    assert outdated == ("PREDICTION", "probability")
    flow.run(WrongRows("wrong", "network", "swapped", "label", "prediction", outdated, numeric=True))
    rows = {row.id: row for row in flow.value("wrong").collect()}
    expected = {row.id: row.prediction for row in model.transform(flow.value("rest")).collect()}
    labels = {row.id: row.label for row in swapped.collect()}
    assert {key: row.prediction for key, row in rows.items()} == {
        key: taken for key, taken in expected.items() if taken != labels[key]
    }
    found = worst_pictures(flow.value("wrong"), model, "features", "label")
    assert 3 <= len(found) == len(rows) < 20
    image = Image.open(io.BytesIO(base64.b64decode(found[0].url.removeprefix("data:image/png;base64,"))))
    assert image.size == (16, 16)
    assert "taken for" in found[0].words[0]
    assert len(worst_pictures(flow.value("wrong"), model, "features", "label", most=2)) == 2
    assert worst_pictures(flow.value("wrong").where("id < 0"), model, "features", "label") == []


def test_flags_are_compared_as_numbers_by_names_of_any_kind(flow: Workspace, swapped: DataFrame) -> None:
    outdated = outdated_columns(flow.value("network"), swapped.schema)
    flow.run(WrongRows("unlike", "network", "swapped", "own.label", "prediction", outdated, numeric=True))
    for row in flow.value("unlike").collect():
        assert row["own.label"] != row.prediction
    assert not flow.value("unlike").isEmpty()


def test_labels_are_one_class_a_row(swapped: DataFrame) -> None:
    schema = swapped.select(F.col("`own.label`"), F.lit("a").alias("text"), F.array("id").alias("several")).schema
    assert [is_text(schema, name) for name in ("own.label", "text")] == [False, True]
    with pytest.raises(SchemaError, match="accepted: labels of one class a row"):
        is_text(schema, "several")


def test_rows_without_labels_are_told_from_rows_that_are_right(swapped: DataFrame) -> None:
    assert has_labels(swapped, "label")
    assert not has_labels(swapped.withColumn("own.label", F.lit(None).cast("int")), "own.label")


def test_what_fit_refuses_is_refused_before_any_job_at_its_param(flow: Workspace) -> None:
    frame = flow.value("bars")
    for params, where in (
        ({"labelCol": "nothing"}, "labelCol"),
        ({"featuresCol": "label"}, "imageShape"),
        ({"stoppingMetric": "kappa"}, "stoppingMetric"),
        ({"numWorkers": 9, "startTimeout": 1}, "numWorkers"),
    ):
        found = refusal(ImageClassifier(**params), frame)
        assert found is not None, params
        assert found[0] == where, found
    assert refusal(ImageClassifier(), frame) is None
    assert refusal(estimator_class("LogisticRegression")(maxIter=-1), frame)[0] == "maxIter"
    assert refusal(estimator_class("LogisticRegression")(maxIter=3), frame) is None
    assert "learners" in refusal(estimator_class("StackedEnsemble")(), frame)[1]
    assert refusal(estimator_class("AutoML")(maxRuntimeSecs=0), frame)[0] == "maxRuntimeSecs"


def test_spark_s_own_estimators_are_made_with_what_was_typed(flow: Workspace) -> None:
    made = flow.run(Define("other", "LogisticRegression", {"maxIter": 3, "regParam": 0.5, "labelCol": "kind"}))
    assert {param.name: made.getOrDefault(param) for param in made.params if made.isSet(param)} == {
        "maxIter": 3, "regParam": 0.5, "labelCol": "kind",
    }  # fmt: skip


def test_columns_are_suggested_where_the_defaults_are_missing(flow: Workspace) -> None:
    coded, bars = flow.value("coded"), flow.value("bars")
    assert suggested_columns(form_of("ImageClassifier"), coded.schema) == {"featuresCol": "content"}
    assert suggested_columns(form_of("ImageClassifier"), bars.schema) == {}
    named = coded.withColumnRenamed("label", "Species")
    assert suggested_columns(form_of("DeepLearningClassifier"), named.schema) == {"labelCol": "Species"}
    assert (picture_columns(bars.schema), picture_columns(coded.schema)) == (["features"], ["content"])


def test_scores_deep_features_neighbours_and_an_ensemble(flow: Workspace) -> None:
    flow.run(Score("scored", "network", "rest"))
    assert "probability" in flow.value("scored").columns
    matrix = flow.run(Evaluate("matrix", "scored", "label", "prediction"))
    assert matrix.rows == 60
    error = flow.run(Evaluate("error", "scored", "label", "prediction", "mae"))
    assert error == pytest.approx(
        sum(abs(i - j) * n for i, row in enumerate(matrix.counts) for j, n in enumerate(row)) / 60
    )
    fine, flag = F.col("label").cast("decimal(9,2)") / 4, F.col("label") > 1
    guessed = {"guess": F.col("prediction") / 4, "side": (F.col("prediction") > 1).cast("double")}
    flow._names["typed"] = flow.value("scored").withColumns({"fine": fine, "flag": flag, **guessed})
    exact = flow.run(Evaluate("exact", "typed", "fine", "guess", as_doubles=True))
    assert (exact.labels, exact.counts) == (("0", "0.25", "0.5", "0.75"), matrix.counts)
    sides = flow.run(Evaluate("sides", "typed", "flag", "side", as_doubles=True))
    assert (sides.labels, sides.rows) == (("0", "1"), 60)
    flow.run(Evaluate("distance", "typed", "flag", "side", "mae", as_doubles=True))
    for name in ("bars", "rest"):
        flow.run(ExtractFeatures(f"{name}_deep", "network", name))
    assert vector_columns(flow.value("bars_deep").schema) == ["deepFeatures"]
    flow.run(NearestRows("near", "rest_deep", "bars_deep", "deepFeatures", "id", first=3, k=2))
    found = nearest(flow.value("near"), flow.value("rest_deep"), flow.value("bars_deep"), "features", "id", "label")
    assert [len(others) for _, others in found] == [2, 2, 2]
    asked = flow.value("rest_deep").orderBy(F.xxhash64("id")).limit(3).collect()
    assert sorted(query.words for query, _ in found) == sorted((str(row["label"]),) for row in asked)
    for _, others in found:
        assert float(others[0].words[1]) >= float(others[1].words[1])
    flow.run(NearestRows("own", "rest_deep", "rest_deep", "deepFeatures", "id", first=3, k=2))
    own = flow.value("own").collect()
    assert sorted(row["rank"] for row in own) == [1, 1, 1, 2, 2, 2]
    assert not any(row["queryId"] == row["referenceId"] for row in own)
    with pytest.raises(ConfigurationError, match="k=0; accepted"):
        flow.run(NearestRows("none", "rest_deep", "rest_deep", "deepFeatures", "id", k=0))
    glm = {"featuresCol": "deepFeatures", "maxIter": 5, "regParam": 0.1}
    flow.run(Define("glm", "LogisticRegression", glm))
    flow.run(Define("flat", "LogisticRegression", {**glm, "regParam": 1.0}))
    params = {"numFolds": 2, "metaLearner": "pool", "finalModels": "average"}
    flow.run(Fit("both", "bars_deep", "StackedEnsemble", params, {"learners": ("glm", "flat")}))
    flow.run(Fit("alone", "bars_deep", "LogisticRegression", glm))
    view = model_view("both", flow.value("both"))
    assert {row[0] for row in view.tables[0].rows} == {"glm", "flat", "ensemble"}
    assert dict(view.facts)["Meta-learner"] == "pool"
    assert view.matrix.total == 160
    space = {"space": {"regParam": [0.1, 10.0]}, "numFolds": 2}
    flow.run(Fit("searched", "bars_deep", "GridSearch", space, {"estimator": "glm"}))
    trials = model_view("searched", flow.value("searched")).tables[0].rows
    assert [row[1] for row in trials] == ["regParam=0.1", "regParam=10.0"]
    alone = model_view("alone", flow.value("alone"))
    assert len(alone.curves[0].lines["training rows"]) == len(flow.value("alone").summary.objectiveHistory)
    held_out = {"validationDataFrame": "rest"}
    fits = {name: Fit(name, "bars_deep", "LogisticRegression") for name in ("both", "alone")}
    fits["network"] = Fit("network", "bars", "ImageClassifier", {}, held_out)
    assert alike(flow.models(), "both", fits) == ["both", "alone"]
    assert alike(flow.models(), "searched", fits) == ["searched"]  # nothing is known of its data
    assert comparison([("both", flow.value("both"))], fits).rows[0][:2] == ("both", "bars_deep")
    assert comparison([("network", flow.value("network"))], fits).rows[0][7] == "validation rows, rest"
    table = comparison([(name, flow.value(name)) for name in flow.models()])
    lines = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert lines["network"]["judged on"] == "validation rows"
    assert lines["both"]["judged on"] == "rows out of fold"
    assert min(lines["network"]["logloss"], lines["both"]["logloss"]) > 0
    assert "logLoss" not in table.columns
    assert lines["network"]["error"] == flow.value("network").summary.records[-1].validation["error"]


def test_models_are_saved_and_exported_within_the_folders_alone(flow: Workspace) -> None:
    folder = root(flow) / "models" / "bars"
    flow.run(SaveModel("network", str(folder)))
    assert ImageClassifierModel.load(str(folder)).weights == flow.value("network").weights
    with pytest.raises(Exception, match="exists"):
        flow.run(SaveModel("network", str(folder)))
    flow.run(SaveModel("network", str(folder), overwrite=True))
    flow.run(ExportBundle("network", "rest", f"{folder}_bundle"))
    assert Bundle.load(f"{folder}_bundle").verify().rows == 60
    for outside in ("/tmp/elsewhere", f"{folder}/../../../elsewhere", "models/bars"):
        for action in (SaveModel("network", outside), ExportBundle("network", "rest", outside)):
            with pytest.raises(ConfigurationError, match=r"outside of|whole path"):
                flow.run(action)


def test_models_are_saved_at_names_as_they_are_written(flow: Workspace) -> None:
    inside = root(flow) / "odd"
    flow.run(Define("plain", "LogisticRegression", {"maxIter": 3}))
    for name in ("%2e%2e/%2e%2e/out", 'a b#c it\'s "so" <b> a;b:c 50%'):
        folder = inside / name
        flow.run(SaveModel("network", str(folder)))
        assert (folder / "metadata").is_dir(), name
        assert ImageClassifierModel.load(str(folder)).weights == flow.value("network").weights
        flow.run(SaveModel("plain", f"{folder}/of_spark"))
        assert (folder / "of_spark" / "metadata").is_dir(), name
        flow.run(ExportBundle("network", "rest", f"{folder}_bundle"))
        assert Path(f"{folder}_bundle", "manifest.json").is_file(), name
    assert {path.name for path in root(flow).parent.iterdir()} & {"out", "out_bundle"} == set()
    assert {path.name for path in root(flow).iterdir()} & {"out", "out_bundle"} == set()
