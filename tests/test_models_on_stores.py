"""Models, checkpoints and fits on stores of objects: through Python on an S3 server, through Hadoop without renames.

Hadoop's connector to S3 isn't to be had here. Its place takes ``ViewFileSystemOverloadScheme``, which is Hadoop's own:
it gives ``s3a://`` URLs to a local folder, and the package takes them for a store's. A rename by the package fails.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from by_value import by_value
from conftest import start_session
from digits import pictures, png, tensor_frame
from object_store import BUCKET, BUSY, GONE, Store
from processes import within
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.feature import StandardScaler
from pyspark.sql import DataFrame, SparkSession
from tables import MeanRegressor

from sparkwater.bundle.export.exporting import export_bundle
from sparkwater.conversions import ImageToTensor, TensorToVector, read_images, save_over, write_petastorm
from sparkwater.conversions.sessions.classic_files import ClassicFiles
from sparkwater.conversions.stages.saving import FORMAT
from sparkwater.errors import CheckpointError, ConfigurationError, UnsafeLoadError
from sparkwater.ml import ImageClassifier, ImageClassifierModel
from sparkwater.stacking import cross_fit
from sparkwater.stacking.folds import Folds

COMMITTERS = "org.apache.hadoop.mapreduce.lib.output.FileOutputCommitterFactory"
VIEW = "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that is ``s3a://local/models``."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def session(running_store: Store, folder: Path) -> SparkSession:
    """A session whose workers reach the store, and whose Hadoop knows s3a but not s3."""
    settings = {
        **{f"spark.executorEnv.{name}": value for name, value in running_store.environment.items()},
        "spark.hadoop.fs.s3a.impl": VIEW,
        # The connector has one of its own.
        "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": COMMITTERS,
        "spark.hadoop.fs.viewfs.overload.scheme.target.file.impl": "org.apache.hadoop.fs.LocalFileSystem",
        "spark.hadoop.fs.viewfs.mounttable.local.link./models": f"file://{folder}",
        # Without executors of its own Spark pays no attention to it, and neither do fits.
        "spark.dynamicAllocation.enabled": "true",
    }
    return start_session("local[2]", **settings)


@pytest.fixture(scope="module")
def rows(session: SparkSession) -> DataFrame:
    return tensor_frame(session, 32).cache()


@pytest.fixture(scope="module")
def pair(rows: DataFrame) -> tuple[ImageClassifierModel, ImageClassifierModel]:
    """Two models that say different things of the rows."""
    return learner(seed=1).fit(rows), learner(seed=2).fit(rows)


@pytest.fixture
def without_renames(monkeypatch: pytest.MonkeyPatch) -> None:
    def move(files: ClassicFiles, source: str, target: str) -> bool:
        raise AssertionError(f"{source} was renamed to {target}")

    monkeypatch.setattr(ClassicFiles, "move", move)


def weights(model) -> bytes:
    """Return the weights of a model, or of a pipeline's last stage: transforms of these tests would take most time."""
    last = model.stages[-1] if isinstance(model, PipelineModel) else model
    return last.fitted.trained.weights


@contextmanager
def no_jobs(session: SparkSession) -> Iterator[None]:
    """Fail where the ``with`` block runs a job."""
    session.sparkContext.setJobGroup("refused", "must stay empty")
    try:
        yield
        assert list(session.sparkContext.statusTracker().getJobIdsForGroup("refused")) == []
    finally:
        session.sparkContext._jsc.clearJobGroup()


def learner(seed: int = 1, **settings) -> ImageClassifier:
    return ImageClassifier(network="mlp", epochs=1, batchSize=16, numWorkers=1, seed=seed, **settings)


def test_tasks_read_pictures_by_their_uris(session: SparkSession, store: Store) -> None:
    images, _ = pictures(2)
    uris = [store.put(f"pictures/{number}.png", png(image)) for number, image in enumerate(images)]
    given = session.createDataFrame([(uri,) for uri in [*uris, f"s3://{BUCKET}/pictures/none.png"]], "uri string")
    decode = ImageToTensor(inputCol="uri", outputCol="features", imageShape=[16, 16, 1], handleInvalid="keep")
    found = {row["uri"]: row["features"] for row in decode.transform(given).collect()}
    assert [bytes(found[uri]) for uri in uris] == [image.tobytes() for image in images]
    assert found[f"s3://{BUCKET}/pictures/none.png"] is None


def test_a_model_is_trained_and_kept_on_a_store(rows, pair, store: Store) -> None:
    first, kept = store.put("weights.safetensors", weights(pair[0])), f"s3://{BUCKET}/checkpoints"
    tuned = learner(weights=first, checkpointDir=kept).setNumWorkers(2).fit(rows)
    assert tuned.summary.lostCheckpoints == ()
    path = f"s3://{BUCKET}/models/one"
    pair[0].save(path)
    assert weights(ImageClassifierModel.load(path)) == weights(pair[0])
    with pytest.raises(ConfigurationError, match="exists already"):
        tuned.save(path)
    tuned.write().overwrite().save(path)
    assert weights(ImageClassifierModel.load(path)) == weights(tuned)
    # The files of the model before are gone.
    assert len(store.names("models/one")) == 3
    for start in (path, kept):
        assert weights(learner(warmStart=start).setEpochs(0).fit(rows)) == weights(tuned)


def test_a_fit_whose_store_fails_goes_on_and_its_summary_says_what_was_lost(rows, store: Store) -> None:
    kept, refused = f"s3://{BUCKET}/lost", GONE
    undisturbed = learner().setEpochs(3).fit(rows)
    refusing = learner(
        checkpointDir=kept, callbacks=[lambda record: store.refuse(refused if record.epoch == 1 else "", every=3)]
    )
    with by_value(Store.__module__):
        model = refusing.setEpochs(3).fit(rows)
    assert weights(model) == weights(undisturbed)
    (lost,) = model.summary.lostCheckpoints
    assert f"no checkpoint could be written to '{kept}/" in lost
    assert f"checkpoint lost: {lost}" in str(model.summary)


def test_a_save_that_fails_at_any_request_leaves_the_old_model(pair, store: Store) -> None:
    old, new = pair
    path = f"s3://{BUCKET}/models/two"
    old.save(path)
    before = store.requests
    old.write().overwrite().save(path)
    needed, found = store.requests - before, set()
    for place in range(0, needed, max(1, needed // 5)):
        store.refuse(GONE, after=place)
        with suppress(CheckpointError):
            new.write().overwrite().save(path)
        store.refuse()
        loaded = weights(ImageClassifierModel.load(path))
        assert loaded in (weights(old), weights(new))
        found.add(loaded == weights(old))
        old.write().overwrite().save(path)
    assert found == {True, False}
    assert len(store.names("models/two")) == 3


def test_a_model_is_whole_while_the_store_refuses_or_delays_every_third_request(pair, store: Store) -> None:
    old, new = pair
    path = f"s3://{BUCKET}/models/third"
    old.save(path)
    store.delay(0.2, every=3)
    new.write().overwrite().save(path)
    assert weights(ImageClassifierModel.load(path)) == weights(new)
    # Clients try again where a store is busy, and give up where a request is wrong.
    store.refuse(BUSY, every=3)
    old.write().overwrite().save(path)
    assert weights(ImageClassifierModel.load(path)) == weights(old)
    for first in range(3):
        for use_it in (new.write().overwrite().save, ImageClassifierModel.load):
            store.refuse(GONE, after=first, every=3)
            with pytest.raises(CheckpointError, match=rf"{path}.*AWS Error"):
                use_it(path)
        store.refuse()
        assert weights(ImageClassifierModel.load(path)) == weights(old)
    new.write().overwrite().save(path)
    assert len(store.names("models/third")) == 3


def test_damaged_metadata_leads_nowhere_else(rows, store: Store) -> None:
    path = f"s3://{BUCKET}/models/three"
    TensorToVector(inputCol="a", outputCol="b").save(path)
    name = "models/three/metadata/part-00000"
    said = store.client.get_object(Bucket=BUCKET, Key=name)["Body"].read().decode()
    assert f'"format":{FORMAT}' in said
    assert TensorToVector.load(path).getOutputCol() == "b"
    with pytest.raises(UnsafeLoadError, match="was saved as"):
        ImageClassifier.load(path)
    content = said.partition('"content":"')[2].partition('"')[0]
    store.put(name, said.replace(content, "../two").encode())
    with pytest.raises(CheckpointError, match=r"names the folder '\.\./two'"):
        TensorToVector.load(path)
    with pytest.raises(CheckpointError, match="holds no saved TensorToVector"):
        TensorToVector.load(f"s3://{BUCKET}/models/none")
    with within(10), pytest.raises(ConfigurationError, match="there is no such bucket"):
        TensorToVector.load("s3://no-such/model")
    with within(10), pytest.raises(ConfigurationError, match="there is no such bucket"):
        learner(checkpointDir="s3://no-such/model").fit(rows)


def test_models_without_credentials_say_what_to_set(pair, store: Store, monkeypatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-1")  # a filesystem of its own
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    path, said = (
        f"s3://{BUCKET}/models/secret",
        r"models/secret.*; the store was given none, or .*: set AWS_ACCESS_KEY_ID",
    )
    for use_it in (pair[0].save, ImageClassifierModel.load):
        with within(10), pytest.raises(CheckpointError, match=said):
            use_it(path)


def test_what_sparks_own_readers_and_writers_need_is_named_before_any_job(session, rows, store: Store) -> None:
    url = f"s3://{BUCKET}/data"
    jars = r"--packages org\.apache\.hadoop:hadoop-aws:3\.\d+\.\d+ .*spark\.hadoop\.fs\.s3\.impl"
    for use_it in (
        lambda: read_images(session, url),
        lambda: cross_fit({"mean": MeanRegressor()}, rows, Folds(2), checkpointDir=url),
        lambda: save_over(PipelineModel([Pipeline(stages=[StandardScaler()])]), url),
        lambda: save_over(PipelineModel([TensorToVector(inputCol="features", outputCol="pixels")]), url),
    ):
        with no_jobs(session), pytest.raises(ConfigurationError, match=jars):
            use_it()
    assert store.names("data") == []


def test_a_dataset_needs_sparks_own_writer(rows) -> None:
    needs_petastorm()
    with pytest.raises(ConfigurationError, match=r"--packages org\.apache\.hadoop:hadoop-aws"):
        write_petastorm(rows, f"s3://{BUCKET}/data")


@pytest.mark.usefixtures("without_renames")
def test_a_pipeline_is_replaced_through_hadoop_without_a_rename(rows, pair, folder: Path, monkeypatch) -> None:
    pixels = TensorToVector(inputCol="features", outputCol="pixels")
    scaled = Pipeline(stages=[pixels, StandardScaler(inputCol="pixels", outputCol="scaled")]).fit(rows)
    old, new = (PipelineModel([*scaled.stages, model]) for model in pair)
    path = "s3a://local/models/pipeline"
    old.save(path)  # by Spark's own writer
    assert weights(PipelineModel.load(path)) == weights(old)

    def write(files: ClassicFiles, name: str, content: bytes) -> None:
        raise CheckpointError(f"{name} can't be written")

    with monkeypatch.context() as broken:
        broken.setattr(ClassicFiles, "write", write)
        with pytest.raises(CheckpointError, match="can't be written"):
            save_over(new, path)
    assert weights(PipelineModel.load(path)) == weights(old)
    save_over(new, path)
    assert weights(PipelineModel.load(path)) == weights(new)
    stages = folder / "pipeline" / "stages"
    assert len({file.relative_to(stages).parts[0] for file in stages.rglob("*") if file.is_file()}) == 3
    with pytest.raises(ConfigurationError, match=r"save PipelineModel\(\[it\]\)"):
        save_over(old.stages[1], path)


@pytest.mark.usefixtures("without_renames")
def test_fits_go_on_from_a_store_without_a_rename(session, folder: Path) -> None:
    rows = session.createDataFrame([(i, float(i)) for i in range(12)], "id int, label double")
    first, again, without_rows = MeanRegressor(), MeanRegressor(), MeanRegressor()
    for mean in (first, again, without_rows):
        if mean is without_rows:  # a pointer to a folder that somebody deleted
            (written,) = (folder / "fits").glob("writing-*")
            shutil.rmtree(written)
        level_one = cross_fit({"mean": mean}, rows, Folds(2), idCol="id", checkpointDir="s3a://local/models/fits")
        values = sorted(row["mean"] for row in level_one.frame.collect())
        assert len(values) == 12
    assert first.fits > 0
    assert again.fits == without_rows.fits == 0


@pytest.mark.usefixtures("without_renames")
def test_a_bundle_is_written_in_place_and_never_replaced(session, rows, pair, folder: Path) -> None:
    export_bundle(pair[0], "s3a://local/models/bundle", rows)
    kept = (folder / "bundle" / "manifest.json").read_bytes()
    with (
        no_jobs(session),
        pytest.raises(ConfigurationError, match="can't replace a folder as a whole; give a new path"),
    ):
        export_bundle(pair[0], "s3a://local/models/bundle", rows, overwrite=True)
    assert (folder / "bundle" / "manifest.json").read_bytes() == kept


@pytest.mark.usefixtures("without_renames")
def test_a_dataset_is_written_in_place_and_never_replaced(rows, folder: Path) -> None:
    needs_petastorm()
    write_petastorm(rows, "s3a://local/models/dataset")
    assert (folder / "dataset" / "_common_metadata").exists()
    with pytest.raises(ConfigurationError, match="a store of objects can't replace a folder as a whole"):
        write_petastorm(rows, "s3a://local/models/dataset", mode="overwrite")
    broken = rows.selectExpr("if(id < 99, raise_error('broken row'), id) as label")
    with pytest.raises(Exception, match="broken row"):
        write_petastorm(broken, "s3a://local/models/half")
    assert not (folder / "half").exists()


def needs_petastorm() -> None:
    pytest.importorskip("petastorm.unischema", exc_type=(ImportError, AttributeError), reason="writing needs petastorm")
