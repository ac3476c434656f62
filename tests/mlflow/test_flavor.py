"""Models in a registry on SQLite: logged, registered, loaded as stages, served, and as functions of Spark."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import traceback
from pathlib import Path

import mlflow
import numpy as np
import pytest
from conftest import saying, start_session
from digits import pictures, png, png_frame, tensor_frame
from mixed_tables import INPUTS, mixed_frame
from mlflow.pyfunc import scoring_server
from pyspark.ml import PipelineModel
from pyspark.ml.feature import Tokenizer
from pyspark.sql import functions as F

from sparkwater.conversions.stages.stage_folders import load_stage
from sparkwater.errors import CheckpointError, ConfigurationError, DataError, UnsafeLoadError
from sparkwater.ml import DeepFeatures, DeepLearningClassifier, ImageClassifier
from sparkwater.mlflow import load_model, log_model, result_type, save_model, stages
from sparkwater.mlflow.stages import check_metadata, write_through
from sparkwater.mlflow.stores import without_passwords


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A tracking store and a registry in a SQLite file; pickles are refused."""
    folder = tmp_path_factory.mktemp("store")
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "false")  # set by the server
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        # Not by set_experiment, which later tests would have as well.
        patch.setenv("MLFLOW_EXPERIMENT_ID", mlflow.create_experiment("tests", (folder / "artifacts").as_uri()))
        yield folder
        mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def table(store):
    """A classifier of raw columns, registered, with the alias ``best``."""
    frame = mixed_frame(start_session("local[2]"), 60).coalesce(1).persist()
    learner = DeepLearningClassifier(inputCols=INPUTS, labelCol="kind", hidden=[4], epochs=1, batchSize=30)
    model = learner.setNumWorkers(1).fit(frame)
    info = log_model(model, "table", frame, registered_model_name="kinds", metadata={"team": "tests"})
    mlflow.MlflowClient().set_registered_model_alias("kinds", "best", info.registered_model_version)
    return model, frame, info


@pytest.fixture(scope="module")
def tensors(store):
    """A classifier of tensor columns with the weights that its network begins with."""
    frame = tensor_frame(start_session("local[2]"), 20).coalesce(1).persist()
    model = ImageClassifier(network="mlp", epochs=0, numWorkers=1).fit(frame)
    return model, frame, log_model(model, "tensors", frame).model_uri


def expected(model, frame, *names):
    rows = model.transform(frame).collect()
    return [np.array([row[name].toArray() if hasattr(row[name], "toArray") else row[name] for row in rows])
            for name in names]  # fmt: skip


def post(model_uri, content, kind="application/json"):
    """Send a request to the app that ``mlflow models serve`` runs, and return status and answer."""
    app, sent = scoring_server.init(mlflow.pyfunc.load_model(model_uri)), []
    scope = {"type": "http", "http_version": "1.1", "method": "POST", "path": "/invocations", "query_string": b""}
    scope["headers"] = [(b"content-type", kind.encode())]
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    answer = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(answer)


def test_a_registered_model_is_loaded_by_its_alias_as_the_stage_that_it_was(spark, table):
    model, frame, info = table
    for uri in ("models:/kinds@best", "models:/kinds/1", info.model_uri):
        loaded = load_model(uri)
        assert isinstance(loaded, type(model))
        assert loaded.fitted.trained.weights == model.fitted.trained.weights
    np.testing.assert_array_equal(expected(loaded, frame, "probability"), expected(model, frame, "probability"))
    described = mlflow.models.get_model_info("models:/kinds@best")
    assert described.flavors["sparkwater"]["model_class"].endswith(".DeepLearningClassifierModel")
    assert described.metadata == {"team": "tests"}


def test_it_scores_pandas_as_transform_does_missing_values_included(spark, table):
    model, frame, _ = table
    given = frame.toPandas()[INPUTS].astype({"day": "datetime64[ns]"})
    assert given.isna().any().all()
    found = mlflow.pyfunc.load_model("models:/kinds@best").predict(given)
    probability, labels = expected(model, frame, "probability", "predictedLabel")
    np.testing.assert_allclose(np.stack(found["probability"]), probability, atol=1e-5)
    assert found["predictedLabel"].tolist() == labels.tolist()
    whole = given.dropna().astype({"count": "int64", "flag": "bool"})  # MLflow's double refuses long integers
    labels = mlflow.pyfunc.load_model("models:/kinds@best").predict(whole)["predictedLabel"]
    assert labels.tolist() == found["predictedLabel"][whole.index].tolist()


def test_a_logged_model_has_signature_example_and_requirements_and_no_pickle(spark, table):
    _, _, info = table
    columns = {each.name: str(each.type) for each in info.signature.inputs.inputs}
    assert columns == {
        "size": "DataType.double", "count": "Any", "colour": "DataType.string", "flag": "Any",
        "day": "DataType.datetime",
    }  # fmt: skip
    folder = Path(mlflow.artifacts.download_artifacts(info.model_uri))
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert {"MLmodel", "input_example.json", "serving_input_example.json", "conda.yaml", "python_env.yaml"} <= set(
        files
    )
    assert "bundle/model.onnx" in files
    assert not [name for name, path in files.items() if name.endswith(".pkl") or path.read_bytes()[:1] == b"\x80"]
    assert not [name for name in files if name.endswith(".crc")]
    requirements = files["requirements.txt"].read_text().splitlines()
    assert requirements[0].startswith("mlflow==")
    assert [line.partition("=")[0] for line in requirements[1:]] == [
        "sparkwater[scorer]", "numpy", "onnxruntime", "pandas", "pillow"
    ]  # fmt: skip


def test_the_server_takes_rows_with_nulls_and_names_what_is_wrong(spark, table):
    model, frame, info = table
    rows = frame.limit(40).toPandas()[INPUTS]
    records = json.loads(rows.assign(day=rows["day"].astype("string")).to_json(orient="records"))
    assert any(record["flag"] is None for record in records)
    assert any(record["count"] is None for record in records)
    status, answer = post("models:/kinds@best", {"dataframe_records": records})
    assert status == 200
    (probability,) = expected(model, frame.limit(40), "probability")
    np.testing.assert_allclose([each["probability"] for each in answer["predictions"]], probability, atol=1e-5)
    folder = Path(mlflow.artifacts.download_artifacts(info.model_uri))
    assert post(info.model_uri, (folder / "serving_input_example.json").read_text())[0] == 200
    for name, error in (("size", "Model is missing inputs"), ("count", "there is no column")):
        given = {key: value for key, value in records[0].items() if key != name}
        status, answer = post(info.model_uri, {"dataframe_records": [given]})
        assert status == 400
        assert re.search(rf"{error} \W*{name}", str(answer))


def test_the_server_takes_tensors_and_pictures_in_base64_and_no_paths(spark, store, tensors, tmp_path):
    model, frame, uri = tensors
    images, _ = pictures(20)
    encoded = [base64.b64encode(image.tobytes()).decode() for image in images]
    status, answer = post(uri, {"dataframe_split": {"columns": ["features"], "data": [[one] for one in encoded]}})
    assert status == 200
    (probability,) = expected(model, frame, "probability")
    np.testing.assert_allclose([each["probability"] for each in answer["predictions"]], probability, atol=1e-5)
    photos = png_frame(spark, 8).coalesce(1).persist()
    classifier = ImageClassifier(network="mlp", epochs=0, numWorkers=1, featuresCol="content", imageShape=[16, 16, 1])
    classifier = classifier.fit(photos)
    save_model(classifier, str(tmp_path / "photos"), photos)
    rows = [{"content": base64.b64encode(png(image)).decode()} for image in pictures(8)[0]]
    status, answer = post(str(tmp_path / "photos"), {"dataframe_records": rows})
    assert status == 200
    assert [each["predictedLabel"] for each in answer["predictions"]] == list(
        expected(classifier, photos, "predictedLabel")[0]
    )
    (tmp_path / "own.png").write_bytes(png(images[0]))
    status, answer = post(str(tmp_path / "photos"), f"content\n{tmp_path}/own.png\n", "text/csv")
    assert status == 400
    assert "accepted: the bytes of an encoded picture" in str(answer)


def test_a_function_of_spark_takes_tensor_columns_and_gives_a_struct_of_all_outputs(spark, tensors):
    model, frame, uri = tensors
    probability, prediction = expected(model, frame, "probability", "prediction")
    score = mlflow.pyfunc.spark_udf(spark, uri, env_manager="local", model_config={"threads": 1})
    scored = frame.select(score("features").alias("scores"))
    assert scored.schema["scores"].dataType == result_type(uri)
    rows = scored.select("scores.*").collect()
    np.testing.assert_allclose([row["probability"] for row in rows], probability, atol=1e-5)
    assert [row["prediction"] for row in rows] == prediction.tolist()
    # As the documentation warns: an array has the outputs that are single numbers.
    plain = mlflow.pyfunc.spark_udf(spark, uri, result_type="array<double>", env_manager="local")
    assert [row[0] for row in frame.select(plain("features")).collect()] == [[each] for each in prediction]


def test_a_function_of_spark_takes_columns_of_all_kinds_with_nulls(spark, table):
    model, frame, _ = table
    score = mlflow.pyfunc.spark_udf(spark, "models:/kinds@best", env_manager="local")
    rows = frame.select(score(F.struct(*INPUTS)).alias("scores")).select("scores.*").collect()
    probability, labels = expected(model, frame, "probability", "predictedLabel")
    np.testing.assert_allclose([row["probability"] for row in rows], probability, atol=1e-5)
    assert [row["predictedLabel"] for row in rows] == labels.tolist()


def test_a_model_with_one_output_is_a_function_by_the_type_of_a_struct(spark, tensors, tmp_path):
    model, frame, _ = tensors
    features = DeepFeatures(model=model, layer=["fc1"], outputCols=["vector"])
    save_model(features, str(tmp_path / "model"), frame)
    kind = result_type(str(tmp_path / "model"))
    assert kind.simpleString() in ("struct<vector:array<double>>", "struct<vector:array<float>>")
    score = mlflow.pyfunc.spark_udf(spark, str(tmp_path / "model"), result_type=kind, env_manager="local")
    rows = frame.select(score("features").alias("found")).select("found.vector").collect()
    np.testing.assert_allclose([row[0] for row in rows], expected(features, frame, "vector")[0], atol=1e-4)


def test_a_model_without_a_bundle_is_refused_by_name_and_nothing_is_logged(spark, store, tmp_path):
    model = PipelineModel([Tokenizer(inputCol="text", outputCol="words")])
    frame = spark.createDataFrame([("a b",)], "text string")
    before = len(mlflow.search_logged_models(output_format="list"))
    with pytest.raises(ConfigurationError, match="Tokenizer can't go along in a bundle; these stages can: "):
        log_model(model, "texts", frame)
    with pytest.raises(ConfigurationError, match="Tokenizer can't go along"):
        save_model(model, str(tmp_path / "model"), frame)
    assert not (tmp_path / "model").exists()
    assert len(mlflow.search_logged_models(output_format="list")) == before


def test_a_save_that_fails_leaves_no_folder_and_one_that_is_there_is_kept(spark, tensors, tmp_path):
    model, frame, _ = tensors
    with pytest.raises(DataError, match="the sample has no row"):
        save_model(model, str(tmp_path / "model"), frame.limit(0))
    assert not (tmp_path / "model").exists()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").write_text("")
    with pytest.raises(mlflow.MlflowException, match="not empty"):
        save_model(model, str(tmp_path / "there"), frame)
    assert (tmp_path / "there" / "mine").exists()


def test_files_of_requirements_are_read_before_anything_is_exported(tensors, tmp_path):
    model, frame, _ = tensors
    missing = str(tmp_path / "none.txt")
    for options in ({"pip_requirements": missing}, {"conda_env": missing}, {"extra_pip_requirements": missing}):
        with pytest.raises(OSError, match=r"none\.txt"):  # and not that the sample is empty
            save_model(model, str(tmp_path / "model"), frame.limit(0), **options)
    assert not (tmp_path / "model").exists()


def test_on_one_machine_nothing_lies_where_others_read_it(spark, tmp_path, monkeypatch):
    seen = []

    def write(path):
        folder = Path(path.removeprefix("file:"))
        seen.append((folder, folder.parent.stat().st_mode & 0o777 if folder.parent.exists() else None))
        (folder / "inner").mkdir(parents=True)
        (folder / "inner" / "weights").write_text("secret")

    write_through(write, tmp_path / "model", spark, None)
    assert (tmp_path / "model" / "inner" / "weights").read_text() == "secret"
    monkeypatch.setenv("MLFLOW_DFS_TMP", str(tmp_path / "set"))
    write_through(write, tmp_path / "other", spark, None)
    write_through(write, tmp_path / "third", spark, str(tmp_path / "given"))
    assert seen[0][1] == 0o700
    assert [folder.parent for folder, _ in seen[1:]] == [tmp_path / "set", tmp_path / "given"]
    assert not any(folder.exists() for folder, _ in seen)


@pytest.fixture
def not_local(spark, tmp_path):
    """A default filesystem with a scheme of its own, whose folders are here: Hadoop's ViewFS, in place of HDFS."""
    settings = {"fs.defaultFS": "viewfs://store/"}
    for name in ("data", "user"):
        (tmp_path / name).mkdir()
        settings[f"fs.viewfs.mounttable.store.link./{name}"] = (tmp_path / name).as_uri()
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    before = hadoop.get("fs.defaultFS")
    for name, value in settings.items():
        hadoop.set(name, value)
    yield tmp_path
    for name in settings:
        hadoop.unset(name)
    hadoop.set("fs.defaultFS", before)


def test_a_model_goes_by_spark_s_filesystem_where_it_is_not_the_local_one(spark, tensors, not_local, monkeypatch):
    model, frame, _ = tensors
    copied = []

    def load(session, path, consent):
        copied.append(path)
        assert list((not_local / "data").glob("*/metadata/part-*"))
        return load_stage(session, path, consent)

    monkeypatch.setattr(stages, "load_stage", load)
    save_model(model, str(not_local / "model"), frame)  # by the user's home there
    (probability,) = expected(model, frame, "probability")
    with saying(spark, "spark.master", "spark://elsewhere:7077"):
        loaded = load_model(str(not_local / "model"), dfs_tmpdir="/data")
        np.testing.assert_array_equal(expected(loaded, frame, "probability")[0], probability)
    assert [path.rpartition("/")[0] for path in copied] == ["/data"]
    assert [*(not_local / "data").iterdir(), *(not_local / "user").glob("*/*")] == []


def test_a_stage_whose_metadata_stayed_with_an_executor_is_refused(tmp_path):
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "_SUCCESS").touch()
    with pytest.raises(ConfigurationError, match="a filesystem that they share; set dfs_tmpdir"):
        check_metadata(tmp_path)
    (tmp_path / "metadata" / "part-00000").touch()
    check_metadata(tmp_path)


def test_unknown_stores_are_refused_with_what_mlflow_knows(tensors, monkeypatch):
    model, frame, _ = tensors
    before = len(mlflow.search_logged_models(output_format="list"))
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_REGISTRY_URI", "nowhere://registry")  # set_registry_uri would leave it behind
        with pytest.raises(ConfigurationError, match=r"'nowhere://registry'; .* accepted schemes: .*'sqlite'"):
            log_model(model, "tensors", frame, registered_model_name="digits")
        assert len(mlflow.search_logged_models(output_format="list")) == before
        for ask in (load_model, result_type):
            with pytest.raises(ConfigurationError, match="set_registry_uri"):
                ask("models:/digits/1")
    tracking = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri("nowhere://runs")
    try:
        with pytest.raises(ConfigurationError, match="the tracking URI is 'nowhere://runs'"):
            log_model(model, "tensors", frame)
        mlflow.set_tracking_uri("nowhere://me:secret@runs/a")
        with pytest.raises(ConfigurationError, match=r"the tracking URI is 'nowhere://\*\*\*@runs/a'") as caught:
            log_model(model, "tensors", frame)
        assert "secret" not in "".join(traceback.format_exception(caught.value))
    finally:
        mlflow.set_tracking_uri(tracking)


def test_a_model_of_another_flavour_or_with_a_foreign_class_is_not_loaded(spark, tensors, tmp_path):
    model, frame, _ = tensors
    save_model(model, str(tmp_path / "model"), frame)
    (metadata,) = (tmp_path / "model" / "stage" / "metadata").glob("part-*")
    metadata.write_text(metadata.read_text().replace("sparkwater.ml.image_classifier_model", "os.path"))
    with pytest.raises(UnsafeLoadError, match=r"asks to load 'os\.path\.ImageClassifierModel'"):
        load_model(str(tmp_path / "model"))
    description = mlflow.models.Model.load(str(tmp_path / "model"))
    del description.flavors["sparkwater"]
    description.save(str(tmp_path / "model" / "MLmodel"))
    with pytest.raises(CheckpointError, match="has the flavours python_function, and no 'sparkwater'"):
        load_model(str(tmp_path / "model"))


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:secret@host/a@b", "https://***@b"),
        ("https://me@host:5000/a", "https://***@host:5000/a"),
        ("postgresql://me:p@ss/word@host/base", "postgresql://***@host/base"),
        ("https://host/a and http://me:secret@host", "https://host/a and http://***@host"),
        ("sqlite:////a/me@home/mlflow.db", "sqlite:////a/me@home/mlflow.db"),
        ("https://host/a@b", "https://host/a@b"),
        ("databricks", "databricks"),
    ],
)
def test_uris_are_shown_without_users_and_passwords(uri, shown):
    assert without_passwords(uri) == shown
