"""What is wrong before anything runs is said before anything runs: no test here starts a Spark job."""

from __future__ import annotations

import sys
import time
import venv
from pathlib import Path

import pytest
from conftest import saying
from digits import png_frame, tensor_frame
from pyspark.sql import functions as F
from torch import nn

from sparkwater.errors import CheckpointError, ConfigurationError, DataError, SchemaError
from sparkwater.ml import AutoEncoder, ImageClassifier, ImageRegressor
from sparkwater.ml.launch.preflight import check_cluster, check_spark_version, promised_slots


@pytest.fixture
def no_jobs(spark):
    """Fail when the test started a Spark job."""
    spark.sparkContext.setJobGroup("refusal", "must stay empty")
    yield
    assert list(spark.sparkContext.statusTracker().getJobIdsForGroup("refusal")) == []
    spark.sparkContext._jsc.clearJobGroup()


#: Of each Param of the estimator: values that it refuses, and how. Other types are refused by all of them.
BAD = {
    "allowPlaintext": [],
    "allowSharedGpu": [],
    "augmentation": [
        ('[{"name": "shift"}]', "augmentation: 'shift' needs 'pixels'"),
        ("[", r"augmentation='\[' is no JSON"),
        ([{"name": "blur"}], "augmentation: .*'blur'"),
    ],
    "batchSize": [(0, "batchSize=0; accepted: integers from 1 up"), (2.5, "batchSize=2.5; accepted: ")],
    "beta1": [(1.0, "beta1=1.0; accepted: numbers from 0 up to, not including, 1")],
    "beta2": [(-0.1, "beta2=-0.1; accepted")],
    "calibrate": [
        (True, "calibrate=True needs rows to validate on: set validationIndicatorCol, validationDataFrame or"),
    ],
    "callbacks": [([3], r"callbacks=\[3\]; accepted: a list of functions")],
    "checkpointDir": [
        ("nowhere://x", "nothing here reads nowhere://"),
        ("s3://key:secret@bucket/x", "checkpointDir has a password in its URL"),
    ],
    "checkpointInterval": [(-1, "checkpointInterval=-1; accepted"), (5, "checkpointInterval=5 needs a checkpointDir")],
    "classWeight": [
        ("equal", "classWeight='equal'; accepted: none, balanced, a dict of labels"),
        ([1.0, 0.0], r"classWeight=\[1.0, 0.0\]"),
        ({0: float("nan")}, "classWeight={0: nan}"),
    ],
    "clipNorm": [(float("inf"), "clipNorm=inf; accepted")],
    "clipValue": [(-1.0, "clipValue=-1.0; accepted: numbers from 0 up")],
    "collective": [("mpi", "collective='mpi'; accepted: auto, horovod, torch, memory")],
    "compileNetwork": [],
    "decayEpochs": [(0.0, "decayEpochs=0.0; accepted: numbers above 0")],
    "decayFactor": [(1.5, "decayFactor=1.5; accepted: numbers above 0, up to 1")],
    "device": [("tpu", "device='tpu'; accepted: auto, cpu, cuda")],
    "epochs": [(-0.5, "epochs=-0.5; accepted: numbers from 0 up"), (float("nan"), "epochs=nan; accepted")],
    "epsilon": [(-1e-9, "epsilon=-1e-09; accepted: numbers from 0 up")],
    "featuresCol": [("missing", "there is no column 'missing'; the columns are"), ("", "there is no column ''")],
    "featuresCols": [(["features", "missing"], "there is no column 'missing'")],
    "freeze": [
        ("conv3", r"freeze='conv3'; did you mean conv\d.*Accepted: none, backbone, or a layer: conv1, pool1"),
        ("fc2", "freeze='fc2' leaves nothing to train"),
    ],
    "gradientCompression": [
        ("int8", "gradientCompression='int8'; accepted: none, float16, bfloat16"),
    ],
    "handleInvalid": [("ignore", "handleInvalid='ignore'; accepted: error, skip, keep")],
    "headLearningRateMultiplier": [(0.0, "headLearningRateMultiplier=0.0; accepted: numbers above 0")],
    "idCol": [("missing", "there is no column 'missing'")],
    "imageShape": [([28, 28], r"imageShape=\[28, 28\]; accepted"), ([28, 28, 2], "channels 1 or 3")],
    "initialization": [("zeros", "initialization='zeros'; accepted: paper, he, xavier")],
    "inputMean": [([0.5], r"inputMean=\[0.5\] and inputStd=None; give both")],
    "inputStd": [([0.5], r"inputMean=None and inputStd=\[0.5\]; give both")],
    "l1": [(-1e-9, "l1=-1e-09; accepted: numbers from 0 up")],
    "l2": [(-1.0, "l2=-1.0; accepted: numbers from 0 up")],
    "labelCol": [("missing", "there is no column 'missing'")],
    "labelSmoothing": [(1.0, "labelSmoothing=1.0; accepted: numbers from 0 up to, not including, 1")],
    "layerRateDecay": [(0.0, "layerRateDecay=0.0; accepted: numbers above 0")],
    "learningRate": [(0.0, "learningRate=0.0; accepted"), (float("nan"), "learningRate=nan; accepted")],
    "learningRateAnnealing": [(-1.0, "learningRateAnnealing=-1.0; accepted: numbers from 0 up")],
    "learningRateSchedule": [("steps", "learningRateSchedule='steps'; accepted: constant, step, cosine")],
    "maxMemoryInMB": [(-1.0, "maxMemoryInMB=-1.0; accepted: numbers from 0 up")],
    "maxNorm": [(-1.0, "maxNorm=-1.0; accepted")],
    "maxRestarts": [(-1, "maxRestarts=-1; accepted: integers from 0 up")],
    "maxRuntimeSecs": [(-1.0, "maxRuntimeSecs=-1.0; accepted")],
    "momentum": [(1.0, "momentum=1.0; accepted")],
    "momentumRamp": [(-1.0, "momentumRamp=-1.0; accepted")],
    "momentumStart": [(-0.1, "momentumStart=-0.1; accepted")],
    "nesterov": [],
    "network": [
        ("lenett", "network='lenett' is not registered; did you mean lenet"),
        ("no_such_module:net", "no_such_module can't be imported"),
        ("math:pi", "is a float; it must be a function or a class"),
        ("torch.nn:Identity", r"a tensor of shape \[1, 16, 16\] a row; it must be a value for each class"),
        ("onnx:s3://key:secret@bucket/net.onnx", "network has a password in its URL"),
        (nn.Conv2d(3, 2, 1), r"doesn't take imageShape=\[16, 16, 1\]: RuntimeError"),
    ],
    "networkArguments": [
        ({"depth": 3}, "unexpected keyword argument 'depth'"),
        ({"width": (1, 2)}, r"networkArguments={'width': \(1, 2\)}; accepted: a dict of names"),
    ],
    "numWorkers": [(0, "numWorkers=0; accepted: integers from 1 up")],
    "offsetCol": [
        ("missing", "there is no column 'missing'"),
        ("features", "offsetCol='features' is binary; accepted: numbers"),
    ],
    "optimizer": [("lbfgs", "optimizer='lbfgs'; accepted: sgd, adam, adamw, adadelta, rmsprop")],
    "ordinal": [
        (["one"], r"ordinal=\['one'\]; accepted: booleans, or a list of two or more different strings"),
        (["a", "a"], r"ordinal=\['a', 'a'\]; accepted: booleans"),
        ([0, 1], r"ordinal=\[0, 1\]; accepted: booleans"),
        (["low", "high"], r"lists strings; labelCol='label' is int: set ordinal=True"),
    ],
    "overwriteWithBestModel": [],
    "precision": [("float64", "precision='float64'; accepted: float32, bfloat16, float16")],
    "predictedLabelCol": [("prediction", "predictedLabelCol='prediction', as predictionCol is; accepted: a name of")],
    "predictionCol": [
        ("probability", "probabilityCol='probability', as predictionCol is; accepted: a name of its own")
    ],
    "pretrainedAutoencoder": [
        ("/no/such/model", "pretrainedAutoencoder='/no/such/model' holds no saved AutoEncoderModel"),
        ("https://me:secret@host/model", "pretrainedAutoencoder has a password in its URL"),
    ],
    "probabilityCol": [("prediction", "probabilityCol='prediction', as predictionCol is")],
    "rawPredictionCol": [("prediction", "rawPredictionCol='prediction', as predictionCol is")],
    "rho": [(1.0, "rho=1.0; accepted")],
    "seed": [(2**63, "seed=9223372036854775808; accepted: integers of 64 bits")],
    "stallTimeout": [(0, "stallTimeout=0; accepted: integers from 1 up")],
    "startTimeout": [(0, "startTimeout=0; accepted: integers from 1 up")],
    "stoppingMetric": [("mse", "stoppingMetric='mse'; accepted: logloss, error, meanPerClassError, auc, topKError")],
    "stoppingRounds": [(-1, "stoppingRounds=-1; accepted: integers from 0 up")],
    "stoppingTolerance": [(1.0, "stoppingTolerance=1.0; accepted")],
    "topK": [(0, "topK=0; accepted: integers from 1 up")],
    "trackers": [(["nothing"], "trackers.*'nothing'")],
    "validationDataFrame": [("rows", r"validationDataFrame='rows'; accepted: a pyspark\.sql\.DataFrame")],
    "validationFraction": [
        (1.0, "validationFraction=1.0; accepted: numbers from 0 up to, not including, 1"),
        (-0.1, "validationFraction=-0.1; accepted"),
        (float("nan"), "validationFraction=nan; accepted"),
    ],
    "validationIndicatorCol": [
        ("missing", "there is no column 'missing'"),
        ("label", "validationIndicatorCol='label' is int; accepted: booleans"),
    ],
    "virtualAdversarialRadius": [(-1.0, "virtualAdversarialRadius=-1.0; accepted: numbers from 0 up")],
    "warmStart": [
        ("/no/such/folder", "warmStart='/no/such/folder' holds neither a saved ImageClassifierModel nor"),
        ("https://me:secret@host/model", "warmStart has a password in its URL"),
    ],
    "warmupEpochs": [(-1.0, "warmupEpochs=-1.0; accepted")],
    "weightAveraging": [(1.0, "weightAveraging=1.0; accepted: numbers from 0 up to, not including, 1")],
    "weightCol": [
        ("missing", "there is no column 'missing'"),
        ("features", "weightCol='features' is binary; accepted"),
    ],
    "weightDecay": [(-0.1, "weightDecay=-0.1; accepted: numbers from 0 up")],
    "weightDecaySchedule": [("cosine", "weightDecaySchedule='cosine'; accepted: constant, flatCosine")],
    "weights": [
        ("/no/such/file.safetensors", "'/no/such/file.safetensors' can't be read"),
        ("s3a://key:secret@bucket/x", "weights has a password in its URL"),
    ],
}
#: What a regressor alone has, or refuses in another way.
BAD_FOR_REGRESSORS = {
    "distribution": [
        ("weibull", "distribution='weibull'; accepted: gaussian, laplace, huber, poisson, gamma, tweedie, quantile"),
        ("Gaussian", "distribution='Gaussian'; accepted: gaussian"),
    ],
    "huberAlpha": [(1.0, "huberAlpha=1.0; accepted: numbers above 0 and below 1"), (0.0, "huberAlpha=0.0; accepted")],
    "huberDelta": [(0.0, "huberDelta=0.0; accepted: numbers above 0"), (float("inf"), "huberDelta=inf; accepted")],
    "network": [
        ("lenett", "network='lenett' is not registered; did you mean lenet"),
        ("torch.nn:Identity", r"a tensor of shape \[1, 16, 16\] a row; it must be \[1\]"),
    ],
    "predictionCol": [],
    "quantileAlpha": [
        (0.0, "quantileAlpha=0.0; accepted: numbers above 0 and below 1"),
        (1.0, "quantileAlpha=1.0; accepted: numbers above 0 and below 1"),
        (float("nan"), "quantileAlpha=nan; accepted"),
    ],
    "quantiles": [
        ([0.1, 1.0], r"quantiles=\[0.1, 1.0\]; accepted: two or more numbers above 0 and below 1, ascending"),
        ([0.0, 0.5], r"quantiles=\[0.0, 0.5\]; accepted"),
        ([0.9, 0.1], r"quantiles=\[0.9, 0.1\]; accepted"),
        ([0.5, 0.5], r"quantiles=\[0.5, 0.5\]; accepted"),
        ([0.5], r"quantiles=\[0.5\]; .* quantileAlpha is for one"),
        ([0.1, 0.9], r"quantiles=\[0.1, 0.9\] are for distribution='quantile'; it is 'gaussian'"),
    ],
    "quantilesCol": [("prediction", "quantilesCol='prediction', as predictionCol is; accepted: a name of its own")],
    "stoppingMetric": [
        ("logloss", "stoppingMetric='logloss'; accepted: rmse, mae, r2, meanDeviance"),
        ("error", "stoppingMetric='error'; accepted: rmse, mae, r2, meanDeviance"),
        ("coverage", "stoppingMetric='coverage'; accepted: rmse"),
    ],
    "tweediePower": [
        (1.0, "tweediePower=1.0; accepted: numbers above 1 and below 2"),
        (2.0, "tweediePower=2.0; accepted"),
        (float("nan"), "tweediePower=nan; accepted"),
    ],
    "warmStart": [
        ("/no/such/folder", "warmStart='/no/such/folder' holds neither a saved ImageRegressorModel nor"),
    ],
}
#: What an autoencoder alone has, or refuses in another way.
BAD_FOR_AUTOENCODERS = {
    "activation": [("maxout", "activation='maxout'; accepted: rectifier, tanh, sigmoid")],
    "anomalyThreshold": [
        (0.0, "anomalyThreshold=0.0; accepted: numbers above 0, up to 1"),
        (float("nan"), "anomalyThreshold=nan; accepted"),
    ],
    "averageActivation": [(float("inf"), "averageActivation=inf; accepted: finite numbers")],
    "categoricalCols": [(["label"], r"categoricalCols=\['label'\] is set beside featuresCol='features', .*clear it")],
    "errorsCol": [],
    "freeze": [
        ("fc9", r"freeze='fc9'; did you mean fc\d.*Accepted: none, backbone, or a layer: flatten, fc1"),
        ("fc4", "freeze='fc4' leaves nothing to train"),
    ],
    "hidden": [
        ([], r"hidden=\[\]; accepted: a list of integers from 1 up"),
        ([8, 0], r"hidden=\[8, 0\]; accepted: a list of integers from 1 up"),
    ],
    "inputCols": [
        (["label", "missing"], "there is no column 'missing'"),
        (["label", "label"], "label"),
    ],
    "imputation": [("mode", "imputation='mode'; accepted: mean, median")],
    "inputDropoutRatio": [(1.0, "inputDropoutRatio=1.0; accepted: numbers from 0 up to, not including, 1")],
    "maxLevels": [(0, "maxLevels=0; accepted: integers from 1 to")],
    "minLevelRows": [(0, "minLevelRows=0; accepted: integers from 1 up")],
    "missingIndicator": [(False, "missingIndicator=False is set beside featuresCol='features'")],
    "network": [
        ("lenett", "network='lenett' is not registered; did you mean lenet"),
        ("torch.nn:Identity", r"a tensor of shape \[1, 16, 16\] a row; it must be \[256\]"),
    ],
    "noise": [(-0.1, "noise=-0.1; accepted: numbers from 0 up")],
    "numericCols": [(["label"], r"numericCols=\['label'\] is set beside featuresCol='features'")],
    "oneHotLevels": [(1001, "oneHotLevels=1001; accepted: integers from 0 to 1000")],
    "predictionCol": [],
    "reconstructionCol": [],
    "reconstructionErrorCol": [],
    "scaleVectors": [(False, "scaleVectors=False is set beside featuresCol='features'")],
    "scaling": [("log", "scaling='log'; accepted: standard, robust, quantile")],
    "sparsityBeta": [(-1.0, "sparsityBeta=-1.0; accepted: numbers from 0 up")],
    "stoppingMetric": [("rmse", "stoppingMetric='rmse'; accepted: reconstructionError, mse, crossEntropy")],
    "timeZone": [("Mars", "timeZone='Mars'; accepted: names of time zones")],
    "warmStart": [
        ("/no/such/folder", "warmStart='/no/such/folder' holds neither a saved AutoEncoderModel nor"),
    ],
}
OF_CLASSES = {
    "calibrate", "classWeight", "labelSmoothing", "ordinal", "predictedLabelCol", "probabilityCol",
    "rawPredictionCol", "topK",
}  # fmt: skip
TABLES = {
    ImageClassifier: BAD,
    ImageRegressor: {name: cases for name, cases in BAD.items() if name not in OF_CLASSES} | BAD_FOR_REGRESSORS,
    AutoEncoder: {name: cases for name, cases in BAD.items() if name not in {*OF_CLASSES, "labelCol"}}
    | BAD_FOR_AUTOENCODERS,
}
REFUSED = (ConfigurationError, SchemaError, CheckpointError, TypeError)


def test_each_param_is_in_the_table():
    for kind, table in TABLES.items():
        assert sorted(table) == sorted(param.name for param in kind().params)


def _id(value):
    return value.__name__ if isinstance(value, type) else str(value)


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [(kind, name, *case) for kind, table in TABLES.items() for name, cases in table.items() for case in cases],
    ids=_id,
)
@pytest.mark.usefixtures("no_jobs")
def test_param_out_of_range(spark, kind, name, value, message):
    with pytest.raises(REFUSED, match=message) as caught:
        kind(**{name: value}).fit(tensor_frame(spark, 4))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, table in TABLES.items() for name in table], ids=_id)
@pytest.mark.usefixtures("no_jobs")
def test_param_of_another_type_or_without_a_value(spark, kind, name):
    other = {1: object()}
    with pytest.raises(REFUSED, match=f"{name}={{1: <object .*; accepted: "):
        kind(**{name: other}).fit(tensor_frame(spark, 4))
    estimator = kind()
    if estimator.hasDefault(name):
        with pytest.raises(TypeError, match=f"{name}=None; accepted: "):
            estimator._set(**{name: None})
    else:
        # As if it had never been set: that is how wrappers pass what their user didn't give.
        assert not estimator._set(**{name: None}).isSet(name)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"inputMean": [float("inf")], "inputStd": [1.0]}, r"inputMean=\[inf\]; accepted: a finite number a channel"),
        ({"inputMean": [0.5], "inputStd": [0.0]}, r"inputStd=\[0.0\]; accepted: a number above 0 a channel"),
        (
            {"numWorkers": 2, "collective": "horovod", "gradientCompression": "bfloat16"},
            "Horovod adds no bfloat16; use 'float16', or collective='torch'",
        ),
        ({"numWorkers": 2, "collective": "memory", "device": "cuda"}, "memory is for CPUs; use collective='horovod'"),
        ({"inputMean": [0.5] * 3, "inputStd": [0.2] * 3}, r"pictures uint8\[1, 16, 16\] need 1 numbers each"),
    ],
)
@pytest.mark.usefixtures("no_jobs")
def test_params_that_do_not_go_together(spark, params, message):
    with pytest.raises(ConfigurationError, match=message):
        ImageClassifier(**params).fit(tensor_frame(spark, 4))


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
        ImageClassifier().fit(frame.withColumn("label", F.array(F.array("label"))))
    with pytest.raises(SchemaError, match="column 'when' is date"):
        ImageClassifier(featuresCol="when").fit(frame.withColumn("when", F.current_date()))
    with pytest.raises(ConfigurationError, match="set imageShape"):
        ImageClassifier(featuresCol="numbers").fit(frame.withColumn("numbers", F.array(F.lit(1.0))))
    with pytest.raises(SchemaError, match="is another shape"):
        ImageClassifier(imageShape=[28, 28, 1]).fit(frame)


@pytest.mark.parametrize("kind", ["string", "boolean", "date", "array<double>"])
@pytest.mark.usefixtures("no_jobs")
def test_labels_that_are_no_numbers(spark, kind):
    frame = tensor_frame(spark, 4).withColumn("label", F.lit(None).cast(kind))
    with pytest.raises(SchemaError, match=rf"labelCol='label' is {kind}; accepted: numbers; cast it, or use a class"):
        ImageRegressor().fit(frame)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"classWeight": "balanced"}, "classWeight='balanced' is for one class a row; labelCol='label' is an array"),
        ({"classWeight": {0: 2.0}}, r"classWeight={0: 2.0} is for one class a row; .* set classWeight='none'"),
        (
            {"stoppingMetric": "error"},
            "stoppingMetric='error'; accepted for labelCol='label', which is array<int>: logloss, subsetError",
        ),
        ({"stoppingMetric": "topKError"}, "stoppingMetric='topKError'; accepted for labelCol='label'"),
        ({"offsetCol": "id"}, "offsetCol='id' is for one class a row; labelCol='label' is an array"),
        ({"ordinal": True}, "ordinal=True is for one class a row; labelCol='label' is an array"),
        ({"calibrate": True, "validationIndicatorCol": "odd"}, "calibrate=True is for one class a row"),
    ],
)
@pytest.mark.usefixtures("no_jobs")
def test_params_that_do_not_go_with_several_labels_a_row(spark, params, message):
    with pytest.raises(ConfigurationError, match=message):
        ImageClassifier(**params).fit(tensor_frame(spark, 4).withColumn("label", F.array("label")))


@pytest.mark.usefixtures("no_jobs")
def test_a_temperature_and_offsets_do_not_go_together(spark):
    learner = ImageClassifier(calibrate=True, validationIndicatorCol="odd", offsetCol="id")
    with pytest.raises(ConfigurationError, match="calibrate=True and offsetCol='id' are both set"):
        learner.fit(tensor_frame(spark, 4).withColumn("odd", F.lit(True)))


@pytest.mark.parametrize("metric", ["subsetError", "hammingLoss"])
@pytest.mark.usefixtures("no_jobs")
def test_metrics_that_do_not_go_with_one_label_a_row(spark, metric):
    with pytest.raises(ConfigurationError, match=rf"stoppingMetric='{metric}'; accepted for labelCol='label', .* int:"):
        ImageClassifier(stoppingMetric=metric).fit(tensor_frame(spark, 4))


@pytest.mark.usefixtures("no_jobs")
def test_more_workers_than_slots_is_refused_within_seconds(spark):
    started = time.monotonic()
    with pytest.raises(ConfigurationError, match="numWorkers=4, but the cluster runs 2 tasks at a time"):
        ImageClassifier(numWorkers=4).fit(tensor_frame(spark, 8))
    assert time.monotonic() - started < 5


@pytest.mark.usefixtures("no_jobs")
def test_dynamic_allocation_is_refused(spark):
    with (
        saying(spark, "spark.dynamicAllocation.enabled", "true"),
        saying(spark, "spark.master", "yarn"),  # on local masters Spark pays no attention to it
        pytest.raises(ConfigurationError, match=r"spark.dynamicAllocation.enabled=true"),
    ):
        ImageClassifier().fit(tensor_frame(spark, 4))


@pytest.mark.parametrize(
    "setting",
    [
        "spark.authenticate", "spark.network.crypto.enabled", "spark.ssl.enabled", "spark.ssl.rpc.enabled",
        "spark.io.encryption.enabled",
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_jobs")
def test_plain_gradients_beside_protected_traffic_need_consent(spark, setting):
    with (
        saying(spark, setting, "true"),
        pytest.raises(ConfigurationError, match=rf"{setting}=true .* allowPlaintext=True"),
    ):
        ImageClassifier(numWorkers=2, collective="torch").fit(tensor_frame(spark, 8))


def test_missing_horovod_names_the_command(spark, monkeypatch):
    frame = tensor_frame(spark, 8)
    # Horovod stays on the disk, but off the path on which the driver looks for it.
    monkeypatch.delitem(sys.modules, "horovod", raising=False)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not (Path(entry) / "horovod").exists()])
    with pytest.raises(ConfigurationError, match=r"python -m sparkwater\.gpu\.build_horovod"):
        ImageClassifier(numWorkers=2, collective="horovod").fit(frame)
    assert ImageClassifier(numWorkers=2, epochs=0, device="cpu").fit(frame).summary.collective == "memory"


def test_executors_without_the_package_are_told_from_a_lost_rank(spark, monkeypatch, tmp_path):
    frame = tensor_frame(spark, 8)
    venv.create(tmp_path / "empty")
    monkeypatch.setattr(spark.sparkContext, "pythonExec", str(tmp_path / "empty" / "bin" / "python"))
    with pytest.raises(ConfigurationError, match=r"Python on the executors has no module \w+; .* set PYSPARK_PYTHON"):
        ImageClassifier(epochs=1, maxRestarts=2).fit(frame)


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


@pytest.mark.usefixtures("no_jobs")
def test_gradients_that_cross_no_network_or_may_be_plain_need_no_consent(spark):
    with saying(spark, "spark.authenticate", "true"):
        for workers, collective, allowed in ((2, "horovod", True), (2, "memory", False), (1, "torch", False)):
            check_cluster(spark, workers, collective, "cpu", 1, allowed)
