"""Spark's fitted stages through onnxruntime, against ``transform``: on thresholds, beside them, and far away."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from against_spark import differences, graph_of, score
from conftest import start_session
from onnx.helper import get_attribute_value
from onnx.numpy_helper import to_array
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.ml import Estimator, PipelineModel
from pyspark.ml import classification as C
from pyspark.ml import clustering as K
from pyspark.ml import feature as P
from pyspark.ml import regression as R
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import CrossValidatorModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from sparkwater.bundle.export.inputs import input_columns
from sparkwater.bundle.export.registry import check_stage, emit, exportable
from sparkwater.bundle.graph.builder import Graph
from sparkwater.bundle.graph.column import number, string, vector
from sparkwater.errors import ConfigurationError, DataError, SchemaError

SCHEMA = "a double, b double, f float, n int, color string, size int, flag boolean"
KEEP = {"handleInvalid": "keep"}
COLORS, SIZES = ["red", "teal", "blue", "gr\u00fcn", "black"], [10, 20, 30]
NEW = "a color that training never saw"


def row(random_: random.Random) -> tuple[Any, ...]:
    return (
        round(random_.uniform(0.0, 5.0), 2),
        random_.choice([0.1, 0.3, 0.7, 1.1, 2.3]),
        random_.uniform(0.0, 1.0),
        random_.randrange(10),
        random_.choice(COLORS),
        random_.choice(SIZES),
        random_.random() < 0.5,
    )


def labelled(frame: DataFrame) -> DataFrame:
    three = F.pmod(F.floor(F.col("a") + F.length("color") / 3), F.lit(3)).cast("double")
    target = F.col("a") * 0.2 + F.col("b") * F.col("f") + F.col("n") * 0.01 + 0.1
    return frame.withColumns(
        {"three": three, "two": (target > 1.4).cast("double"), "y": target, "name": F.concat(F.lit("c"), "two")}
    )


def named(stage: Any, name: str) -> Any:
    """Return a learner whose output columns have its name."""
    outputs = ("predictionCol", "probabilityCol", "rawPredictionCol", "linkPredictionCol")
    return stage.copy({stage.getParam(param): f"{name} {param}" for param in outputs if stage.hasParam(param)})


def column_stages() -> list[Any]:
    return [
        P.StringIndexer(inputCols=["color", "size"], outputCols=["color_at", "size_at"], **KEEP),
        P.Imputer(inputCols=["a", "n", "f"], outputCols=["a_full", "n_full", "f_full"]),
        P.Imputer(inputCol="n", outputCol="n_three", missingValue=3.0, strategy="median"),
        P.Bucketizer(
            splitsArray=[[-np.inf, 0.0, 1.0, 2.5, np.inf], [-np.inf, 0.0, 0.1, 0.3, np.inf]],
            inputCols=["a", "b"],
            outputCols=["a_bucket", "b_bucket"],
            **KEEP,
        ),
        P.IndexToString(inputCol="a_bucket", outputCol="a_name", labels=["p", "q", "r", "s", "none"]),
    ]


def encoders() -> list[Any]:
    return [
        P.OneHotEncoder(inputCols=["color_at", "size_at"], outputCols=["color_hot", "size_hot"], **KEEP),
        P.OneHotEncoder(inputCol="color_at", outputCol="color_all", dropLast=False, **KEEP),
        P.VectorAssembler(inputCols=["a", "b", "f", "n", "color_at", "size_at", "flag"], outputCol="features", **KEEP),
        P.VectorAssembler(inputCols=["a_full", "color_hot", "n_three"], outputCol="nested", **KEEP),
        P.VectorAssembler(inputCols=["color_hot", "size_hot", "a_bucket", "b_bucket"], outputCol="counts", **KEEP),
    ]


def vector_stages() -> list[Any]:
    return [
        P.StandardScaler(inputCol="nested", outputCol="standard", withMean=True),
        P.StandardScaler(inputCol="nested", outputCol="spread"),
        P.MinMaxScaler(inputCol="nested", outputCol="span", min=-1.0, max=3.0),
        P.MaxAbsScaler(inputCol="features", outputCol="largest"),
        P.RobustScaler(inputCol="nested", outputCol="robust", withCentering=True),
        P.Normalizer(inputCol="nested", outputCol="unit"),
        P.Normalizer(inputCol="nested", outputCol="unit1", p=1.0),
        P.Normalizer(inputCol="nested", outputCol="unit3", p=3.0),
        P.Normalizer(inputCol="features", outputCol="unit_inf", p=float("inf")),
        P.PCA(inputCol="nested", outputCol="components", k=3),
    ]


def fit_all(stages: list[Any], frame: DataFrame) -> list[Any]:
    """Return stages fitted on the same rows; a pipeline would compute them anew for each."""
    return [stage.fit(frame) if isinstance(stage, Estimator) else stage for stage in stages]


def learners() -> dict[str, Any]:
    trees = {"maxDepth": 4, "seed": 5}
    binary, many = {"labelCol": "two"}, {"labelCol": "three"}
    number = {"labelCol": "y"}
    glm = {"labelCol": "y", "featuresCol": "nested", "maxIter": 3}
    stages = {
        "logistic": C.LogisticRegression(maxIter=5, regParam=0.01, **binary),
        "logistic cut": C.LogisticRegression(maxIter=5, regParam=0.01, threshold=0.3, **binary),
        "multinomial": C.LogisticRegression(maxIter=5, regParam=0.01, thresholds=[0.2, 0.5, 0.3], **many),
        "bayes": C.NaiveBayes(featuresCol="counts", **many),
        "complement": C.NaiveBayes(modelType="complement", featuresCol="counts", **many),
        "gauss": C.NaiveBayes(modelType="gaussian", **many),
        "bernoulli": C.NaiveBayes(modelType="bernoulli", featuresCol="color_all", **many),
        "layers": C.MultilayerPerceptronClassifier(layers=[7, 4, 3], maxIter=5, seed=1, **many),
        "tree": C.DecisionTreeClassifier(**trees, **many),
        "forest": C.RandomForestClassifier(numTrees=7, **trees, **many),
        "boosted": C.GBTClassifier(maxIter=4, **trees, **binary),
        "line": R.LinearRegression(maxIter=5, regParam=0.01, **number),
        "tree of y": R.DecisionTreeRegressor(**trees, **number),
        "forest of y": R.RandomForestRegressor(numTrees=5, **trees, **number),
        "boosted y": R.GBTRegressor(maxIter=4, **trees, **number),
        "clusters": K.KMeans(k=4, seed=3, maxIter=3, featuresCol="standard"),
        "glm": R.GeneralizedLinearRegression(offsetCol="f", **glm),
        "glm log": R.GeneralizedLinearRegression(family="poisson", **glm),
        "glm power": R.GeneralizedLinearRegression(family="tweedie", variancePower=1.5, linkPower=0.3, **glm),
        "glm logit": R.GeneralizedLinearRegression(family="binomial", **{**glm, **binary}),
        "glm probit": R.GeneralizedLinearRegression(family="binomial", link="probit", **{**glm, **binary}),
        "glm cloglog": R.GeneralizedLinearRegression(family="binomial", link="cloglog", **{**glm, **binary}),
    }
    return {name: named(stage, name) for name, stage in stages.items()}


@dataclass(frozen=True)
class Fitted:
    """Stages fitted on the same rows."""

    features: list[Any]
    learners: dict[str, Any]
    frame: DataFrame

    @property
    def all(self) -> PipelineModel:
        return PipelineModel([*self.features, *self.learners.values()])


def fit_stages(spark: Any) -> Fitted:
    random_ = random.Random(7)
    frame = labelled(spark.createDataFrame([row(random_) for _ in range(240)], SCHEMA).coalesce(1)).persist()
    features: list[Any] = []
    ready = frame
    for stages in (column_stages(), encoders(), vector_stages()):
        found = fit_all(stages, ready)
        ready = PipelineModel(found).transform(ready).persist()
        features += found
    fitted = dict(zip(learners(), fit_all(list(learners().values()), ready), strict=True))
    return Fitted(features, fitted, frame)


@pytest.fixture(scope="module")
def fitted() -> Iterator[Fitted]:
    spark = start_session("local[2]")
    yield fit_stages(spark)
    spark.catalog.clearCache()


def thresholds_of(graph: Graph) -> set[tuple[int, float]]:
    """Columns and thresholds of all trees in a graph."""
    learned = [name for name in graph.columns if name.endswith("predictionCol")]
    found: set[tuple[int, float]] = set()
    for node in graph.build({f"out {name}": graph.column(name) for name in learned}).graph.node:
        if node.op_type == "TreeEnsemble":
            given = {one.name: get_attribute_value(one) for one in node.attribute}
            found |= set(zip(given["nodes_featureids"], to_array(given["nodes_splits"]).tolist(), strict=True))
    return found


def hard_rows(thresholds: set[tuple[int, float]], random_: random.Random) -> list[tuple[Any, ...]]:
    """Rows on thresholds, next to them, far away, without values, and with unseen ones."""
    rows = [row(random_) for _ in range(60)]
    for column, value in sorted(thresholds):
        beside = [value, np.nextafter(value, np.inf), np.nextafter(value, -np.inf), float(np.float32(value))]
        if column < 2:
            rows += [(*one[:column], float(number), *one[column + 1 :]) for number in beside for one in [row(random_)]]
    changes = [
        *({0: value} for value in (float("nan"), 0.0, -0.0, 1.0, 2.5, -1e6, 1e6, 1e-300, 5e-324, -5e-324)),
        *({1: value} for value in (float("nan"), -0.0, 0.1, np.nextafter(0.3, 0.0).item(), 1e9)),
        *({2: value} for value in (None, float("nan"), 1e30)),
        *({3: value} for value in (None, -1, 2**31 - 1)),
        *({4: value} for value in (None, NEW, "")),
        *({5: value} for value in (None, 11)),
        {6: None},
        {0: float("nan"), 1: float("nan"), **dict.fromkeys(range(2, 7))},
    ]
    return rows + [tuple(change.get(place, value) for place, value in enumerate(row(random_))) for change in changes]


#: What adds products in another order than Spark does.
ROUNDED = ("line", "glm", "boosted y")


def test_all_stages_and_learners_give_what_transform_gives(fitted: Fitted):
    graph = graph_of(fitted.all, fitted.frame)
    thresholds = thresholds_of(graph)
    assert len(thresholds) > 40
    rows = fitted.frame.sparkSession.createDataFrame(hard_rows(thresholds, random.Random(8)), SCHEMA)
    found = differences(fitted.all, rows.coalesce(1), graph)
    decided = [name for name in found if name.endswith("predictionCol") and not name.startswith(ROUNDED)]
    assert {name: found[name] for name in decided if found[name]} == {}
    assert {name: away for name, away in found.items() if not away <= 1e-12} == {}


def handling(stage: Any, how: str, **params: Any) -> Any:
    return stage.copy({stage.getParam(name): value for name, value in {"handleInvalid": how, **params}.items()})


def test_rows_that_spark_leaves_out_are_marked(fitted: Fitted):
    indexer, _, _, bucketizer, *_ = fitted.features
    assembler = P.VectorAssembler(inputCols=["a_bucket", "f", "n"], outputCol="vector", handleInvalid="skip")
    stage = PipelineModel([handling(indexer, "skip"), handling(bucketizer, "skip"), assembler])
    rows = [(place, *values) for place, values in enumerate(hard_rows(set(), random.Random(4)))]
    frame = fitted.frame.sparkSession.createDataFrame(rows, f"id int, {SCHEMA}").coalesce(1)
    kept = [one.id for one in stage.transform(frame).collect()]
    graph = graph_of(stage, frame)
    outputs = ["color_at", "size_at", "vector", "b_bucket"]
    problem = score(graph, outputs, frame.collect())["problem"]
    assert 60 < len(kept) < len(rows) - 8
    assert np.flatnonzero(problem == 0).tolist() == kept
    assert all(
        one.skips
        for one in graph.problems({name: graph.column(name) for name in outputs})
        if "outside" not in one.reason
    )


def refusing(fitted: Fitted) -> dict[str, tuple[list[Any], str, dict[int, Any]]]:
    """Stages by the reason that they refuse a row for; a column that they add, and the row's change."""
    indexer, _, _, bucketizer, *_ = fitted.features
    encoder = P.OneHotEncoder(inputCol="n", outputCol="out")
    joined = P.VectorAssembler(inputCols=["a", "n"], outputCol="pair", handleInvalid="keep")
    bayes = C.NaiveBayes(labelCol="three", featuresCol="pair", predictionCol="out")
    clusters = K.KMeans(k=2, seed=1, maxIter=1, featuresCol="pair", predictionCol="out")
    ready = joined.transform(fitted.frame)
    bounds = P.Bucketizer(splits=[0.0, 1.0, 9.0], inputCol="a", outputCol="out")
    return {
        "StringIndexer: the value of 'color'": ([handling(indexer, "error")], "color_at", {4: NEW}),
        "OneHotEncoder: 'n' is none of 10": ([encoder.fit(fitted.frame)], "out", {3: 10}),
        "Bucketizer: 'a' is outside": ([bounds], "out", {0: -1.0}),
        "Bucketizer: 'b' is missing": ([handling(bucketizer, "error")], "b_bucket", {1: float("nan")}),
        "VectorAssembler: a number is missing in one of a, n": ([handling(joined, "error")], "pair", {3: None}),
        "IndexToString: 'n' is no place": (
            [P.IndexToString(inputCol="n", outputCol="out", labels=["x", "y"])], "out", {3: 2},
        ),
        "KMeans: a number is missing in 'pair'": ([joined, clusters.fit(ready)], "out", {0: float("nan")}),
        "NaiveBayes: a feature is not from 0 up": ([joined, bayes.fit(ready)], "out", {0: -1.0}),
    }  # fmt: skip


def test_rows_that_spark_fails_at_are_marked_with_the_reason(fitted: Fitted):
    spark, good = fitted.frame.sparkSession, (1.5, 0.3, 0.5, 1, "red", 10, True)
    for reason, (stages, name, change) in refusing(fitted).items():
        bad = tuple(change.get(place, value) for place, value in enumerate(good))
        frame, stage = spark.createDataFrame([good, bad], SCHEMA).coalesce(1), PipelineModel(stages)
        graph = graph_of(stage, frame)
        found = score(graph, [name], [dict(zip(frame.columns, values, strict=True)) for values in (good, bad)])
        (problem,) = [one for one in graph.problems({name: graph.column(name)}) if one.reason.startswith(reason)]
        assert not problem.skips
        assert [number > 0 for number in found["problem"]] == [False, True], reason
        with pytest.raises((PySparkException, Py4JJavaError)):
            stage.transform(frame).select(name).collect()


def test_floats_are_found_by_the_text_that_spark_gives_them(spark):
    frame = spark.createDataFrame([(0.1,), (0.3,), (0.1,)], "f float").coalesce(1)
    indexer = P.StringIndexer(inputCol="f", outputCol="at").fit(frame)
    assert differences(indexer, frame) == {"at": 0}


def test_imputed_decimals_are_rounded_to_their_places(spark):
    rows = [(Decimal("1.00"), Decimal("2"), 1.0), (Decimal("2.00"), Decimal("3"), 2.0), (Decimal("2.00"), None, 3.0)]
    frame = spark.createDataFrame([*rows, (None, None, None)], "a decimal(10,2), b decimal(9,0), c double").coalesce(1)
    imputer = P.Imputer(inputCols=["a", "b", "c"], outputCols=["a_full", "b_full", "c_full"]).fit(frame)
    last = imputer.transform(frame).collect()[-1]
    assert (last["a_full"], last["b_full"]) == (Decimal("1.67"), Decimal("3"))
    assert max(differences(imputer, frame).values()) == 0


def test_labels_that_no_output_needs_are_left_out_with_their_column(fitted: Fitted):
    labels = P.StringIndexerModel.from_labels(["c0.0", "c1.0"], inputCol="name", outputCol="label")
    stage = PipelineModel([labels, *fitted.features[:4]])
    graph = graph_of(stage, fitted.frame)
    model = graph.build({"out": graph.column("a_bucket")})
    assert [one.name for one in model.graph.input] == ["a"]
    without = graph_of(stage, fitted.frame.drop("name"))
    assert "label" not in without.columns


def test_two_exports_are_equal_to_the_byte(fitted: Fitted):
    stage = PipelineModel([*fitted.features, fitted.learners["tree"], fitted.learners["glm probit"]])
    graphs = [graph_of(stage, fitted.frame) for _ in range(2)]
    first, second = (
        one.build({"out": one.column("tree probabilityCol"), "mean": one.column("glm probit predictionCol")})
        for one in graphs
    )
    assert first.SerializeToString() == second.SerializeToString()


def test_best_models_of_validators_go_along(fitted: Fitted):
    line = fitted.learners["line"]
    best = CrossValidatorModel(line)
    graph = Graph({"features": vector("features", 7)})
    emit(best, graph)
    assert "line predictionCol" in graph.columns


def test_foreign_stages_are_refused_with_those_that_can_go_along(fitted: Fitted):
    foreign = P.VectorSlicer(inputCol="features", outputCol="out", indices=[0])
    with pytest.raises(ConfigurationError, match=r"VectorSlicer can't go along .* Bucketizer, .* VectorAssembler"):
        check_stage(PipelineModel([PipelineModel([foreign])]))
    assert {"KMeansModel", "PCAModel", "StackedEnsembleModel", "CombinerModel"} <= set(exportable())
    with pytest.raises(ConfigurationError, match="set its labels"):
        emit(P.IndexToString(inputCol="n", outputCol="out"), Graph({"n": number("n")}))


def test_columns_of_another_kind_or_length_are_refused(fitted: Fitted):
    scaler = next(stage for stage in fitted.features if isinstance(stage, P.MinMaxScalerModel))
    line = fitted.learners["line"]
    with pytest.raises(SchemaError, match="MinMaxScalerModel needs vectors; column 'nested' is a number"):
        emit(scaler, Graph({"nested": number("nested")}))
    with pytest.raises(SchemaError, match="was fitted on vectors of 7 numbers; column 'features' has 2"):
        emit(line, Graph({"features": vector("features", 2)}))
    with pytest.raises(SchemaError, match="VectorAssembler takes numbers and vectors; column 'color' holds strings"):
        emit(P.VectorAssembler(inputCols=["color"], outputCol="out"), Graph({"color": string("color")}))
    with pytest.raises(SchemaError, match="Bucketizer needs numbers; column 'a' is a string"):
        emit(P.Bucketizer(splits=[0.0, 1.0], inputCol="a", outputCol="out"), Graph({"a": string("a")}))


def test_vectors_of_unknown_length_are_measured_by_the_first_row(fitted: Fitted):
    spark = fitted.frame.sparkSession
    frame = spark.createDataFrame([(Vectors.sparse(3, {1: 2.0}), bytearray(b"x"))], ["v", "bytes"])
    assert input_columns(frame) == {"v": vector("v", 3)}
    with pytest.raises(DataError, match="'v' holds vectors of unknown length"):
        input_columns(frame.limit(0))
