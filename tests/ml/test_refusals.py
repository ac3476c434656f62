"""What is wrong before anything runs is said before anything runs: no test here starts a Spark job."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from conftest import start_session
from digits import png_frame, tensor_frame
from pyspark.sql import functions as F
from torch import nn

from sparkwater.errors import CheckpointError, ConfigurationError, DataError, SchemaError
from sparkwater.ml import ImageClassifier
from sparkwater.ml.preflight import check_spark_version, promised_slots


@pytest.fixture
def no_jobs(spark):
    """Fail when the test started a Spark job."""
    spark.sparkContext.setJobGroup("refusal", "must stay empty")
    yield
    assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("refusal")) == []
    spark.sparkContext._jsc.clearJobGroup()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"freeze": "conv3"},
            r"freeze='conv3'; did you mean conv\d.*Accepted: none, backbone, or a layer: conv1, pool1",
        ),
        ({"freeze": "fc2"}, "freeze='fc2' leaves nothing to train"),
        ({"weights": "/no/such/file.safetensors"}, "'/no/such/file.safetensors' can't be read"),
        ({"headLearningRateMultiplier": 0.0}, "headLearningRateMultiplier=0.0; accepted: numbers above 0"),
        ({"inputMean": [0.5]}, r"inputMean=\[0.5\] and inputStd=None; give both"),
        ({"inputMean": [0.5], "inputStd": [0.0]}, r"inputStd=\[0.0\]; accepted: a number above 0 a channel"),
        ({"inputMean": [0.5] * 3, "inputStd": [0.2] * 3}, r"pictures uint8\[1, 16, 16\] need 1 numbers each"),
        ({"epochs": -0.5}, "epochs=-0.5; accepted: numbers from 0 up"),
        (
            {"stoppingMetric": "mse"},
            "stoppingMetric='mse'; accepted: logloss, error, meanPerClassError, auc, topKError",
        ),
        ({"stoppingRounds": -1}, "stoppingRounds=-1; accepted: integers from 0 up"),
        ({"topK": 0}, "topK=0"),
        ({"maxRuntimeSecs": -1.0}, "maxRuntimeSecs=-1.0"),
        ({"classWeight": "equal"}, "classWeight='equal'; accepted: none, balanced, a dict of labels"),
        ({"classWeight": [1.0, 0.0]}, r"classWeight=\[1.0, 0.0\]"),
        ({"batchSize": 0}, "batchSize=0"),
        ({"numWorkers": 0}, "numWorkers=0"),
        ({"learningRate": 0.0}, "learningRate=0.0"),
        ({"learningRate": float("nan")}, "learningRate=nan"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"weightDecay": -0.1}, "weightDecay=-0.1"),
        ({"maxMemoryInMB": -1.0}, "maxMemoryInMB=-1.0; accepted: numbers from 0 up"),
        ({"optimizer": "lbfgs"}, "optimizer='lbfgs'; accepted: sgd, adam, adamw, adadelta, rmsprop"),
        ({"learningRateSchedule": "steps"}, "learningRateSchedule='steps'; accepted: constant, step, cosine"),
        ({"decayEpochs": 0.0}, "decayEpochs=0.0; accepted: numbers above 0"),
        ({"decayFactor": 1.5}, "decayFactor=1.5; accepted: numbers above 0, up to 1"),
        ({"labelSmoothing": 1.0}, "labelSmoothing=1.0; accepted: numbers from 0 up to, not including, 1"),
        ({"maxNorm": -1.0}, "maxNorm=-1.0"),
        ({"clipNorm": float("inf")}, "clipNorm=inf"),
        ({"augmentation": '[{"name": "shift"}]'}, "augmentation: 'shift' needs 'pixels'"),
        ({"device": "tpu"}, "device='tpu'"),
        ({"collective": "mpi"}, "collective='mpi'; accepted: horovod, torch"),
        ({"precision": "float64"}, "precision='float64'; accepted: float32, bfloat16, float16"),
        ({"gradientCompression": "int8"}, "gradientCompression='int8'; accepted: none, float16, bfloat16"),
        ({"gradientCompression": "bfloat16"}, "Horovod adds no bfloat16; use 'float16', or collective='torch'"),
        ({"handleInvalid": "ignore"}, "handleInvalid='ignore'; accepted: error, skip, keep"),
        ({"network": "lenett"}, "network='lenett' is not registered; did you mean lenet"),
        ({"initialization": "zeros"}, "initialization='zeros'; accepted: paper, he, xavier"),
        ({"network": "no_such_module:net"}, "no_such_module can't be imported"),
        ({"network": "math:pi"}, "is a float; it must be a function or a class"),
        ({"network": "torch.nn:Identity"}, r"a tensor of shape \[1, 16, 16\] a row; it must be a value for each class"),
        ({"network": nn.Conv2d(3, 2, 1)}, r"doesn't take imageShape=\[16, 16, 1\]: RuntimeError"),
        ({"network": "lenet", "networkArguments": {"depth": 3}}, "unexpected keyword argument 'depth'"),
        ({"imageShape": [28, 28]}, r"imageShape=\[28, 28\]"),
        ({"imageShape": [28, 28, 2]}, r"channels 1 or 3"),
    ],
)
@pytest.mark.usefixtures("no_jobs")
def test_param_out_of_range(spark, params, message):
    with pytest.raises((ConfigurationError, CheckpointError), match=message):
        ImageClassifier(**params).fit(tensor_frame(spark, 4))


@pytest.mark.parametrize(
    "params", [{"network": 3}, {"networkArguments": ["width"]}, {"networkArguments": {"width": (1, 2)}}]
)
def test_param_of_another_type(spark, params):
    with pytest.raises(TypeError, match=f"{next(iter(params))}=.*; accepted: "):
        ImageClassifier(**params)


@pytest.mark.usefixtures("no_jobs")
def test_pictures_for_a_network_of_ones_own_need_a_shape(spark):
    with pytest.raises(ConfigurationError, match=r"set imageShape=\[height, width, channels\]"):
        ImageClassifier(featuresCol="content", network=nn.Flatten()).fit(png_frame(spark, 4))


@pytest.mark.usefixtures("no_jobs")
def test_picture_too_small_for_the_network(spark):
    with pytest.raises(ConfigurationError, match="at least 16 x 16 pixels"):
        ImageClassifier(featuresCol="content", imageShape=[10, 28, 1]).fit(png_frame(spark, 4))


@pytest.mark.usefixtures("no_jobs")
def test_columns_that_do_not_fit(spark):
    frame = tensor_frame(spark, 4)
    with pytest.raises(SchemaError, match="there is no column 'missing'; the columns are id, features, label"):
        ImageClassifier(featuresCol="missing").fit(frame)
    with pytest.raises(SchemaError, match="there is no column 'missing'"):
        ImageClassifier(labelCol="missing").fit(frame)
    with pytest.raises(SchemaError, match="labelCol='label' is array"):
        ImageClassifier().fit(frame.withColumn("label", F.array("label")))
    with pytest.raises(SchemaError, match="column 'when' is date"):
        ImageClassifier(featuresCol="when").fit(frame.withColumn("when", F.current_date()))
    with pytest.raises(ConfigurationError, match="set imageShape"):
        ImageClassifier(featuresCol="numbers").fit(frame.withColumn("numbers", F.array(F.lit(1.0))))
    with pytest.raises(SchemaError, match="is another shape"):
        ImageClassifier(imageShape=[28, 28, 1]).fit(frame)


@pytest.mark.usefixtures("no_jobs")
def test_more_workers_than_slots_is_refused_within_seconds(spark):
    started = time.monotonic()
    with pytest.raises(ConfigurationError, match="numWorkers=4, but the cluster runs 2 tasks at a time"):
        ImageClassifier(numWorkers=4).fit(tensor_frame(spark, 8))
    assert time.monotonic() - started < 5


def test_dynamic_allocation_is_refused():
    spark = start_session("local[2]", spark__dynamicAllocation__enabled="true")
    with pytest.raises(ConfigurationError, match=r"spark.dynamicAllocation.enabled=true"):
        ImageClassifier().fit(tensor_frame(spark, 4))


def test_plain_gradients_beside_authenticated_traffic_need_consent():
    spark = start_session("local[2]", spark__authenticate="true", spark__authenticate__secret="not a secret")
    frame = tensor_frame(spark, 8)
    with pytest.raises(ConfigurationError, match=r"spark.authenticate=true .* allowPlaintext=True"):
        ImageClassifier(numWorkers=2).fit(frame)
    assert ImageClassifier(numWorkers=2, epochs=1, allowPlaintext=True).fit(frame).summary.numWorkers == 2
    assert ImageClassifier(epochs=1).fit(frame).summary.numWorkers == 1


def test_missing_horovod_names_the_command(spark, monkeypatch):
    frame = tensor_frame(spark, 8)
    # Horovod stays on the disk, but off the path on which the driver looks for it.
    monkeypatch.delitem(sys.modules, "horovod", raising=False)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not (Path(entry) / "horovod").exists()])
    with pytest.raises(ConfigurationError, match=r"python -m sparkwater\.gpu\.build_horovod"):
        ImageClassifier(numWorkers=2).fit(frame)


def test_old_spark_is_refused():
    with pytest.raises(ConfigurationError, match=r"Spark 3\.5\.4 is too old: sparkwater needs Spark 4\.0"):
        check_spark_version("3.5.4")
    check_spark_version("4.0.0")
    check_spark_version("4.1.0-SNAPSHOT")


def test_slots_that_a_master_promises():
    assert promised_slots("local-cluster[2,3,1024]", running=1) == 6
    assert promised_slots("local[2]", running=2) == 2
    assert promised_slots("spark://host:7077", running=1) is None


def test_labels_that_are_no_classes(spark):
    frame = tensor_frame(spark, 8)
    with pytest.raises(DataError, match=r"holds -1\.0; numeric labels are 0, 1, 2"):
        ImageClassifier().fit(frame.withColumn("label", F.col("label") - 1))
    with pytest.raises(DataError, match=r"holds 0\.5"):
        ImageClassifier().fit(frame.withColumn("label", F.col("label") + 0.5))
    with pytest.raises(DataError, match="all 8 labels are null"):
        ImageClassifier().fit(frame.withColumn("label", F.lit(None).cast("int")))
    with pytest.raises(DataError, match="no rows to train on"):
        ImageClassifier().fit(frame.where("label < 0"))
    with pytest.raises(DataError, match=r"row 5: the label None is not one of the classes"):
        ImageClassifier(idCol="id").fit(frame.withColumn("label", F.when(F.col("id") != 5, F.col("label"))))
