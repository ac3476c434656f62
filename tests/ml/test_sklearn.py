"""Estimators of scikit-learn and LightGBM as Spark ML stages: fits, predictions, refusals, files."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pyarrow as pa
import pytest
from conftest import start_session
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from tables import table

from sparkwater.errors import CheckpointError, ConfigurationError, DataError, SchemaError, UnsafeLoadError
from sparkwater.ml import SklearnClassifier, SklearnClassifierModel, SklearnRegressor, SklearnRegressorModel
from sparkwater.ml.sklearn.estimators import seeded, weight_argument
from sparkwater.ml.sklearn.files import check_portable, dump_estimator, foreign_types
from sparkwater.ml.sklearn.fitting import SklearnFit, read_report, run_fit
from sparkwater.ml.sklearn.predictions import ClassVector, column_values, predicted
from sparkwater.ml.sklearn.rows import FEATURES, KEY, LABEL, Layout, read_rows

MATRIX = Layout((), "label")


def batch(keys: list[int], **columns: pa.Array) -> pa.RecordBatch:
    given = {
        FEATURES: pa.array([[float(key), key % 2] for key in keys], pa.list_(pa.float64())),
        LABEL: pa.array([float(key % 2) for key in keys]),
        KEY: pa.array(keys, pa.int64()),
        **columns,
    }
    return pa.RecordBatch.from_arrays(list(given.values()), names=list(given))


def report(batches: list[pa.RecordBatch], estimator: object, most: int = 100) -> str:
    fit = SklearnFit("a fit", estimator, ClassVector((0.0, 1.0), (0, 1)), MATRIX, most)
    return next(run_fit(batches, fit)).column("report")[0].as_py()


def test_rows_stand_in_the_order_of_their_keys_however_they_are_cut() -> None:
    one = read_rows([batch([5, 1, 3])], MATRIX, 3)
    cut = read_rows([batch([3]), batch([]), batch([1, 5])], MATRIX, 3)
    assert one.features.tolist() == cut.features.tolist() == [[1, 1], [3, 1], [5, 1]]
    assert one.columns[KEY].tolist() == cut.columns[KEY].tolist() == [1, 3, 5]


def test_named_columns_come_as_a_data_frame_in_the_same_order() -> None:
    layout = Layout(("height", "kind"), "label")
    inputs = {"input0": pa.array([None, 2.5]), "input1": pa.array(["a", None])}
    rows = read_rows([batch([9, 4], **inputs)], layout, 2)
    assert list(rows.features.columns) == ["height", "kind"]
    assert rows.features["kind"].tolist() == [None, "a"]
    assert rows.features["height"].tolist()[0] == 2.5
    assert np.isnan(rows.features["height"].tolist()[1])
    chosen = rows.where(np.array([True, False]))
    assert (chosen.features["height"].tolist(), chosen.columns[KEY].tolist()) == ([2.5], [4])


@pytest.mark.parametrize(
    ("given", "layout", "most", "error", "message"),
    [
        ([batch([1, 2]), batch([3])], MATRIX, 2, ConfigurationError, "3 rows and maxRows=2"),
        ([], MATRIX, 2, DataError, "no rows"),
        ([batch([1], label=pa.array([None], pa.float64()))], MATRIX, 9, DataError, "1 rows have no usable label"),
        ([batch([1], label=pa.array([None], pa.string()))], MATRIX, 9, DataError, "1 rows have no usable label"),
        ([batch([1], features=pa.array([None], pa.list_(pa.float64())))], MATRIX, 9, DataError, "no features"),
        ([batch([1, 2], features=pa.array([[1.0], [1.0, 2.0]]))], MATRIX, 9, DataError, "have 1 and 2 numbers"),
        ([batch([1], weight=pa.array([-1.0]))], Layout((), "label", True), 9, DataError, "negative"),
    ],
)
def test_rows_that_a_task_cannot_use_are_refused(given, layout, most, error, message) -> None:
    with pytest.raises(error, match=message):
        read_rows(given, layout, most)


def test_a_task_reports_mistakes_and_warnings_and_raises_nothing() -> None:
    with pytest.raises(ConfigurationError, match="there are 4 rows and maxRows=3"):
        read_report(report([batch([1, 2, 3, 4])], LogisticRegression(), most=3))
    with pytest.raises(ConfigurationError, match=r"a fit: SVC can't learn these rows: ValueError: The number of cl"):
        read_report(report([batch([1, 3])], SVC()))
    told = read_report(report([batch(list(range(40)))], LogisticRegression(max_iter=1)))
    assert told["rows"] == 40
    assert "ConvergenceWarning: lbfgs failed" in told["warnings"][0]


def test_probabilities_stand_at_the_place_of_their_class() -> None:
    vector = ClassVector((0.0, 2.0, 5.0), (0, 2, 5))
    assert vector.number(np.array([5.0, 0.0, 2.0])).tolist() == [2, 0, 1]
    fitted = KNeighborsClassifier(1).fit([[0.0], [1.0]], [0, 2])
    found = predicted(fitted, np.array([[1.0], [0.1]]), vector)
    assert found.tolist() == [[0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0]]
    assert column_values(found, vector)["predictionCol"].tolist() == [5, 0]


def test_seeds_are_set_where_there_are_none() -> None:
    nested = make_pipeline(StandardScaler(), RandomForestClassifier(3))
    copied = seeded(nested, 7)
    assert copied.get_params()["randomforestclassifier__random_state"] == 7
    assert nested.get_params()["randomforestclassifier__random_state"] is None
    assert seeded(RandomForestClassifier(random_state=1), 7).random_state == 1


def test_weights_go_to_the_last_step_or_are_refused() -> None:
    assert weight_argument(RandomForestClassifier()) == "sample_weight"
    assert weight_argument(make_pipeline(StandardScaler(), SVC())) == "svc__sample_weight"
    with pytest.raises(ConfigurationError, match=r"KNeighborsClassifier\.fit takes no sample_weight"):
        weight_argument(make_pipeline(StandardScaler(), KNeighborsClassifier()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SklearnClassifier(estimator=RidgeClassifier()), "RidgeClassifier has no predict_proba"),
        (lambda: SklearnClassifier(estimator=SVC()), "SVC has no predict_proba"),
        (lambda: SklearnClassifier(estimator=RandomForestClassifier), "is a class; accepted: an instance"),
        (lambda: SklearnClassifier(estimator="forest"), "is no scikit-learn estimator"),
        (lambda: SklearnRegressor(estimator=LogisticRegression()), "is a classifier; put it into SklearnClassifier"),
    ],
)
def test_other_estimators_are_refused_where_they_are_given(spark, make, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make()


class Own(LogisticRegression):
    """A class that a notebook defines."""


def test_what_executors_cannot_import_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Own, "__module__", "__main__")
    monkeypatch.setattr("__main__.Own", Own, raising=False)
    with pytest.raises(ConfigurationError, match=r"needs __main__\.Own, which executors can't import"):
        check_portable(Own())


def test_scikit_learn_s_own_classes_are_no_foreign_types() -> None:
    rows, labels = np.random.default_rng(0).random((40, 2)), np.arange(40) % 2
    for estimator in (RandomForestClassifier(2), make_pipeline(StandardScaler(), LogisticRegression())):
        assert foreign_types(dump_estimator(estimator.fit(rows, labels)), "") == []
    assert foreign_types(dump_estimator(lightgbm.LGBMClassifier()), "") == ["lightgbm.sklearn.LGBMClassifier"]
    with pytest.raises(CheckpointError, match="here is damaged"):
        foreign_types(b"no archive", "here")


@pytest.fixture(scope="module")
def cancer() -> DataFrame:
    return table(start_session("local[2]"), "breast_cancer", 200).cache()


@pytest.fixture(scope="module")
def forest(cancer: DataFrame) -> SklearnClassifierModel:
    return SklearnClassifier(estimator=RandomForestClassifier(8), seed=3).fit(cancer)


def test_the_model_is_scikit_learn_s_on_the_same_rows_whatever_their_partitions(cancer, forest) -> None:
    scored = forest.transform(cancer).orderBy("id").collect()
    features = np.array([row.features.toArray() for row in scored])
    np.testing.assert_array_equal(
        [row.probability.toArray() for row in scored], forest.estimator.predict_proba(features)
    )
    assert [row.prediction for row in scored] == [float(row.probability.argmax()) for row in scored]
    assert BinaryClassificationEvaluator().evaluate(forest.transform(cancer)) > 0.99
    assert (forest.numClasses, forest.classes, forest.trained.rows) == (2, [0.0, 1.0], 200)
    moved = SklearnClassifier(estimator=RandomForestClassifier(8), seed=3).fit(cancer.orderBy(F.rand(1)).repartition(3))
    np.testing.assert_array_equal(moved.estimator.predict_proba(features), forest.estimator.predict_proba(features))
    assert moved.estimator.random_state == 3


def test_columns_of_a_table_strings_as_labels_and_weights(spark: SparkSession) -> None:
    frame = spark.range(60).selectExpr(
        "id % 5 as size", "if(id % 3 = 0, null, id) as age", "concat('k', id % 2) as kind", "id % 2 = 0 as flag",
        "if(id % 2 = 0, 'yes', 'no') as answer", "if(id < 30, 0.0, 1.0) as weight",
    )  # fmt: skip
    names = ["kind", "size"]
    estimator = make_pipeline(make_column_transformer((OneHotEncoder(), ["kind"])), LogisticRegression())
    params = {"labelCol": "answer", "inputCols": names}
    model = SklearnClassifier(estimator=estimator, weightCol="weight", **params).fit(frame)
    assert model.classes == ["no", "yes"]
    scored = model.transform(frame)
    assert scored.where("predictedLabel = answer").count() == 60
    assert set(scored.columns) - set(frame.columns) == {
        "prediction", "predictedLabel", "probability", "rawPrediction",
    }  # fmt: skip
    trees = lightgbm.LGBMClassifier(n_estimators=2, min_child_samples=2, verbose=-1)
    with_nulls = SklearnClassifier(estimator=trees, labelCol="answer", inputCols=["age", "flag"]).fit(frame)
    assert list(with_nulls.estimator.feature_name_) == ["age", "flag"]
    with pytest.raises(SchemaError, match="inputCols names 'when', which is date"):
        SklearnClassifier(estimator=trees, labelCol="answer", inputCols=["when"]).fit(
            frame.withColumn("when", F.current_date())
        )


def test_a_regressor_learns_numbers(spark: SparkSession, tmp_path: Path) -> None:
    frame = table(spark, "diabetes", 100)
    model = SklearnRegressor(estimator=GradientBoostingRegressor(n_estimators=5)).fit(frame)
    model.save(str(tmp_path / "model"))
    loaded = SklearnRegressorModel.load(str(tmp_path / "model"))
    rows = loaded.transform(frame).collect()
    features = np.array([row.features.toArray() for row in rows])
    assert [row.prediction for row in rows] == model.estimator.predict(features).tolist()
    assert "probability" not in rows[0]


def test_refusals_before_a_job_and_before_a_fit(cancer: DataFrame) -> None:
    failing = cancer.withColumn("label", F.raise_error(F.lit("a job ran")).cast("double"))
    with pytest.raises(ConfigurationError, match="has no estimator"):
        SklearnClassifier().fit(failing)
    with pytest.raises(SchemaError, match="no column 'x'"):
        SklearnClassifier(estimator=LogisticRegression(), featuresCol="x").fit(failing)
    with pytest.raises(ConfigurationError, match="fit takes no sample_weight"):
        SklearnClassifier(estimator=KNeighborsClassifier(), weightCol="id").fit(failing)
    with pytest.raises(ConfigurationError, match="there are 200 rows and maxRows=150"):
        SklearnClassifier(estimator=LogisticRegression(), maxRows=150).fit(cancer)


def test_saved_stages_hold_no_pickle_and_load_with_consent(cancer, forest, tmp_path: Path) -> None:
    forest.save(str(tmp_path / "forest"))
    assert {file.name for file in (tmp_path / "forest").iterdir() if not file.name.startswith(".")} == {
        "metadata", "model.json", "estimator.skops",
    }  # fmt: skip
    loaded = SklearnClassifierModel.load(str(tmp_path / "forest"))
    assert loaded.trained == forest.trained
    learner = SklearnClassifier(estimator=lightgbm.LGBMClassifier(n_estimators=3, verbose=-1), maxRows=500)
    model = Pipeline(stages=[learner]).fit(cancer)
    for stage, kind in ((learner, SklearnClassifier), (model, PipelineModel)):
        path = str(tmp_path / kind.__name__)
        stage.save(path)
        with pytest.raises(UnsafeLoadError, match=r"holds 'lightgbm.*allowing\('lightgbm'\)"):
            kind.load(path)
    again = SklearnClassifier.read().allowing("lightgbm").load(str(tmp_path / "SklearnClassifier"))
    assert (again.getEstimator().n_estimators, again.getMaxRows()) == (3, 500)
    cancer.sparkSession.conf.set("spark.sparkwater.allowedNetworks", "lightgbm")
    try:
        pipeline = PipelineModel.load(str(tmp_path / "PipelineModel"))
    finally:
        cancer.sparkSession.conf.unset("spark.sparkwater.allowedNetworks")
    expected = [row.probability for row in model.transform(cancer).collect()]
    assert [row.probability for row in pipeline.transform(cancer).collect()] == expected


def test_a_function_in_a_saved_estimator_is_refused(cancer: DataFrame, tmp_path: Path) -> None:
    import os

    learner = SklearnClassifier(estimator=make_pipeline(FunctionTransformer(os.system), LogisticRegression()))
    learner.save(str(tmp_path / "learner"))
    with pytest.raises(UnsafeLoadError, match=r"holds '(posix|os)\.system', whose code would run"):
        SklearnClassifier.load(str(tmp_path / "learner"))
