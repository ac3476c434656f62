from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest
from pyspark.ml import Estimator
from pyspark.ml.param import Param
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DecimalType,
    DoubleType,
    FloatType,
    LongType,
    ShortType,
    StringType,
    StructField,
    StructType,
)

import sparkwater.conversions
import sparkwater.ml
import sparkwater.stacking
from sparkwater.conversions.stages.levels import ESSENTIAL, EXPERT, LEVELS
from sparkwater.conversions.stages.settings import Settings
from sparkwater.errors import ConfigurationError, SparkwaterError
from sparkwater.flow.views import forms
from sparkwater.flow.views.forms import Field, estimator_class, form_of
from sparkwater.flow.views.suggestions import (
    identifier_columns,
    is_no_double,
    plain_columns,
    still_fitting,
    suggested_model,
    suggested_name,
)
from sparkwater.flow.views.validation import fill, place, refusal, typed_value
from sparkwater.flow.workbook.actions import from_json, to_json
from sparkwater.flow.workbook.actions.estimators import LEFT_OUT, PACKAGES, VARIABLES
from sparkwater.flow.workbook.actions.training import Define, Fit

OWN = [name for name in PACKAGES if issubclass(estimator_class(name), Settings)]
#: Good text for Params that take few values, or that others constrain.
GOOD = {
    "imageShape": "28, 28, 1",
    "hidden": "8 4",
    "quantiles": "0.1, 0.9",
    "hiddenDropoutRatios": "0.5",
    "tweediePower": "1.5",
    "timeZone": "Europe/Berlin",
    "augmentation": '[{"name": "shift", "pixels": 2}]',
    "networkArguments": '{"width": 2}',
    "classWeight": "balanced",
    "ordinal": '["low", "high"]',
    "inputMean": "0.5",
    "inputStd": "0.25",
    "space": '{"learningRate": [0.1, 0.2]}',
}
GOOD_OF_KIND = {
    forms.INTEGER: "3",
    forms.NUMBER: "0.5",
    forms.SWITCH: "yes",
    forms.TEXT: "word",
    forms.COLUMN: "some column",
    forms.COLUMNS: ["a", "b"],
    forms.INTEGERS: "3, 4",
    forms.NUMBERS: "0.25 0.75",
    forms.WORDS: "one, two",
}

#: Public estimators that a flow doesn't offer.
LEFT_TO_PYTHON = {
    "SklearnClassifier": "its estimator is an object of scikit-learn, which only code makes",
    "SklearnRegressor": "its estimator is an object of scikit-learn, which only code makes",
    "TableToTensor": "networks for tables encode columns by themselves",
    "BestLearner": "metaLearner names it",
    "GreedySelection": "metaLearner names it",
    "LogPool": "metaLearner names it",
    "Pool": "metaLearner names it",
    "NonNegativeRegression": "metaLearner names it",
}


def good(field: Field) -> Any:
    """Return what a user might type or choose for a field."""
    if field.kind == forms.CHOICE:
        return field.choices[-1]
    if field.kind == forms.CHOICES:
        return list(field.choices[:2])
    return GOOD.get(field.name) or GOOD_OF_KIND[field.kind]


def own_message(name: str, param: str, value: Any) -> str:
    """Return the message of an estimator that is given a value in Python."""
    with pytest.raises((SparkwaterError, TypeError)) as caught:
        estimator_class(name)(**{param: value}).accepted_value(param)
    return str(caught.value)


def test_every_public_estimator_has_a_form_or_a_reason() -> None:
    public = {
        name
        for package in (sparkwater.conversions, sparkwater.ml, sparkwater.stacking)
        for name in package.__all__
        if isinstance(each := getattr(package, name), type) and issubclass(each, Estimator)
    }
    own = {name for name, package in PACKAGES.items() if package.startswith("sparkwater")}
    assert public - LEFT_TO_PYTHON.keys() == own
    assert not LEFT_TO_PYTHON.keys() - public
    assert not LEFT_TO_PYTHON.keys() & own


@pytest.mark.parametrize("name", PACKAGES)
def test_every_param_has_a_field_or_a_reason(name: str) -> None:
    kind, form = estimator_class(name), form_of(name)
    spark = {one for one, value in inspect.getmembers(kind) if isinstance(value, Param)}
    params = set(kind.declarations()) if name in OWN else spark
    fields = [field.name for field in form.fields]
    assert len(set(fields)) == len(fields)
    assert {*fields, *form.left_out} == params
    assert not {*fields} & {*form.left_out}
    assert all(form.left_out.values())
    assert {*form.left_out} >= {*LEFT_OUT} & params
    assert all(field.doc and field.level in LEVELS and field.subject for field in form.fields)


def test_fields_stand_in_the_order_and_levels_of_the_documentation() -> None:
    form = form_of("ImageClassifier")
    first = [field.name for field in form.fields if field.level == "Essential"]
    assert first == sorted(first, key=ESSENTIAL.index)
    assert first[:4] == ["featuresCol", "labelCol", "imageShape", "network"]
    assert {field.name for field in form.fields if field.level == "Expert"} <= EXPERT
    assert {"Stopping", "What is learned"} <= form.groups("Advanced").keys()
    assert form_of("AutoML").field("maxRuntimeSecs").level == "Essential"
    assert form_of("GBTClassifier").field("maxIter").level == "Essential"


def test_kinds_of_input_follow_from_the_declarations() -> None:
    form = form_of("ImageClassifier")
    kinds = {
        "epochs": forms.NUMBER,
        "batchSize": forms.INTEGER,
        "nesterov": forms.SWITCH,
        "optimizer": forms.CHOICE,
        "imageShape": forms.INTEGERS,
        "inputMean": forms.NUMBERS,
        "labelCol": forms.COLUMN,
        "predictionCol": forms.TEXT,
        "featuresCols": forms.COLUMNS,
        "augmentation": forms.JSON,
        "validationDataFrame": forms.VARIABLE,
        "network": forms.CHOICE,
    }
    assert {name: form.field(name).kind for name in kinds} == kinds
    assert form_of("AutoML").field("include").kind == forms.CHOICES
    assert form_of("LogisticRegression").field("thresholds").kind == forms.NUMBERS
    assert form_of("LogisticRegression").field("family").choices == ("auto", "binomial", "multinomial")
    assert form_of("GBTRegressor").field("featureSubsetStrategy").kind == forms.TEXT  # numbers too


def test_networks_are_chosen_from_those_that_fit_the_rows() -> None:
    pictures, tables, coders = (
        form_of(name).field("network").choices for name in ("ImageClassifier", "DeepLearningRegressor", "AutoEncoder")
    )
    assert {"lenet", "resnet18", "auto"} <= {*pictures}
    assert {"realmlp", "tabm", "h2o"} <= {*tables}
    assert "lenet" not in tables
    assert "tabm" not in pictures
    assert {*coders} == {"autoencoder", "conv_autoencoder"}


@pytest.mark.parametrize(
    ("param", "typed", "value"),
    [
        ("epochs", "many", "many"),
        ("epochs", "-1", -1),
        ("epochs", "inf", float("inf")),
        ("batchSize", "3.5", 3.5),
        ("batchSize", "0", 0),
        ("optimizer", "magic", "magic"),
        ("nesterov", "perhaps", "perhaps"),
        ("imageShape", "28, wide, 1", [28, "wide", 1]),
        ("inputMean", "0.5, nan", [0.5, float("nan")]),
        ("augmentation", "[{]", "[{]"),
        ("classWeight", "heavy", "heavy"),
        ("ordinal", '["one"]', ["one"]),
        ("networkArguments", "[1]", [1]),
        ("seed", "1e30", 1e30),
        ("epochs", f"1{'0' * 400}", float("inf")),
        ("networkArguments", "[" * 5_000, "[" * 5_000),
        ("labelCol", 3, 3),
        ("featuresCols", "a", "a"),
    ],
)
def test_bad_values_are_refused_in_the_estimators_own_words(param: str, typed: Any, value: Any) -> None:
    filled = fill("ImageClassifier", {param: typed, "learningRate": "0.25"})
    assert filled.errors == {param: own_message("ImageClassifier", param, value)}
    assert param in filled.errors[param]
    assert filled.values == {"learningRate": 0.25}


def test_lists_of_names_are_refused_in_the_estimators_own_words() -> None:
    assert fill("AutoML", {"include": ["magic"]}).errors == {"include": own_message("AutoML", "include", ["magic"])}


def test_code_is_no_network() -> None:
    for name in ("os:system", "onnx:/etc/passwd", "user_networks:tiny", "tabm"):
        message = fill("ImageClassifier", {"network": name}).errors["network"]
        assert repr(name) in message
        assert "lenet" in message


def test_spark_s_own_params_are_refused_with_their_documentation() -> None:
    filled = fill("LogisticRegression", {"maxIter": "x", "regParam": "0.5", "fitIntercept": "no", "thresholds": "1 2"})
    assert filled.values == {"regParam": 0.5, "fitIntercept": False, "thresholds": [1.0, 2.0]}
    assert filled.errors["maxIter"].startswith("maxIter='x'")
    assert "max number of iterations" in filled.errors["maxIter"]


def test_numbers_that_the_jvm_has_no_place_for_are_refused() -> None:
    typed = {"maxDepth": "2147483648", "numTrees": "2147483647", "seed": "9223372036854775807"}
    filled = fill("RandomForestClassifier", typed)
    assert filled.values == {"numTrees": 2**31 - 1, "seed": 2**63 - 1}
    assert filled.errors["maxDepth"].startswith("maxDepth=2147483648: whole numbers have 32 bits here")
    assert "seed" in fill("RandomForestClassifier", {"seed": str(2**63)}).errors


def test_empty_inputs_are_not_set() -> None:
    assert fill("ImageClassifier", {"epochs": "", "optimizer": None, "featuresCols": [], "labelCol": " "}).values == {}
    assert typed_value(form_of("ImageClassifier").field("epochs"), "  ") is None


@pytest.mark.parametrize("name", PACKAGES)
def test_explicit_values_make_an_equal_estimator(name: str) -> None:
    form = form_of(name)
    typed = {field.name: good(field) for field in form.fields if field.kind != forms.VARIABLE}
    filled = fill(name, typed)
    assert not filled.errors
    assert filled.values.keys() == typed.keys()
    action = from_json(json.loads(json.dumps(to_json(Define("made", name, filled.values)))))
    assert action == Define("made", name, filled.values)
    if name not in OWN:  # these are made in the JVM: see test_actions.py
        return
    names: dict[str, Any] = {}
    exec(action.code().text, names)
    made, same = names["made"], estimator_class(name)(**filled.values)
    assert type(made) is estimator_class(name)
    values = {param.name: value for param, value in made.extractParamMap().items()}
    assert values == {param.name: value for param, value in same.extractParamMap().items()}
    assert {param.name for param in made.params if made.isSet(param)} == typed.keys()


def test_params_that_contradict_each_other_are_refused_at_one_of_them() -> None:
    estimator = estimator_class("ImageClassifier")(inputMean=[0.5])
    where, message = refusal(estimator, None)
    assert where == "inputMean"
    assert message.startswith("inputMean=[0.5] and inputStd=None")
    assert refusal(estimator_class("ImageClassifier")(epochs=2), None) is None


def test_messages_stand_at_the_param_that_they_name() -> None:
    form = form_of("ImageClassifier")
    assert place(form, "stoppingMetric='auc'; accepted for labelCol='x': ...") == "stoppingMetric"
    assert place(form, "there are 2 slots for 8 workers") == ""


def test_what_was_typed_stays_where_it_fits_the_next_estimator_and_frame() -> None:
    typed = {
        "epochs": "many", "network": "lenet", "labelCol": "kind", "weightCol": "gone", "imageShape": "28, 28, 1",
        "ignoredCols": ["kind", "gone"],
    }  # fmt: skip
    kept = still_fitting(form_of("DeepLearningClassifier"), typed, ["kind", "size"])
    assert kept == {"epochs": "many", "labelCol": "kind"}
    assert still_fitting(form_of("ImageClassifier"), typed, ["kind"]).keys() == {
        "epochs", "network", "labelCol", "imageShape",
    }  # fmt: skip


def test_ids_and_words_are_looked_for_among_plain_columns() -> None:
    types = {
        "content": BinaryType(), "flag": BooleanType(), "label": LongType(), "path": StringType(), "mean": DoubleType(),
    }  # fmt: skip
    schema = StructType([StructField(name, kind) for name, kind in types.items()])
    assert plain_columns(schema, ("label",)) == ["label", "flag", "path", "mean"]
    assert identifier_columns(schema) == ["path", "label", "mean"]


def test_labels_of_all_types_that_estimators_accept_are_offered() -> None:
    kinds = (BooleanType(), ShortType(), LongType(), FloatType(), DoubleType(), DecimalType(9, 2), StringType())
    schema = StructType([StructField(kind.simpleString(), kind) for kind in (BinaryType(), *kinds)])
    assert plain_columns(schema) == [kind.simpleString() for kind in kinds]
    assert [name for name in schema.names if is_no_double(schema, name)] == ["boolean", "decimal(9,2)"]


def test_estimators_suggest_names_for_their_models() -> None:
    names = {name: suggested_model(name) for name in ("GBTRegressor", "RandomForestClassifier", "ImageClassifier")}
    assert names == {"GBTRegressor": "trees", "RandomForestClassifier": "forest", "ImageClassifier": "network"}


def test_files_suggest_names_that_variables_may_have() -> None:
    files = ("Penguins 2.csv", "class.parquet", "2024-01", "a.b.c", "---", "spark")
    suggested = [suggested_name(file) for file in files]
    assert suggested == ["penguins_2", "class_data", "data_2024_01", "a", "data", "spark_data"]
    assert suggested_name(f"{'long_' * 60}.csv") == "long_" * 7 + "long"


def test_code_is_an_argument_a_line_where_it_is_long() -> None:
    short = Fit("model", "digits", "ImageClassifier", {"labelCol": "it's"})
    assert short.code().text == (
        'from sparkwater.ml import ImageClassifier\n\nmodel = ImageClassifier(labelCol="it\'s").fit(digits)\n'
    )
    params = dict.fromkeys(("learningRate", "momentum", "l1", "l2", "clipNorm", "weightDecay"), 0.5)
    long = Fit("model", "digits", "ImageClassifier", params, {"validationDataFrame": "rest"})
    assert long.code().lines[0] == "model = ImageClassifier("
    assert long.code().lines[-2:] == ("    validationDataFrame=rest,", ").fit(digits)")
    both = Fit("model", "digits", "StackedEnsemble", {"metaLearner": "pool"}, {"learners": ("one", "two")})
    assert both.code().lines[1:3] == ("    metaLearner='pool',", "    learners={'one': one, 'two': two},")


@pytest.mark.parametrize(
    "changed",
    [
        {"estimator": "Popen"},
        {"estimator": "__import__('os')"},
        {"params": {"network": "os:system"}},
        {"params": {"network": "onnx:/etc/passwd"}},
        {"params": {"network": ["lenet"]}},
        {"params": {"weights": "/etc/passwd"}},
        {"params": {"checkpointDir": "/tmp"}},
        {"params": {"callbacks": []}},
        {"params": {"trackers": ["tensorboard"]}},
        {"params": {"warmStart": "/models/one"}},
        {"params": {"epochs=1).fit(digits); evil(": 1}},
        {"params": {"lambda": 1}},
        {"params": {"epochs": float("inf")}},
        {"variables": {"epochs": "digits"}},
        {"variables": {"warmStart": "__import__('os')"}},
        {"variables": {"validationDataFrame": ["a", "b"]}},
        {"variables": {"learners": "one"}},
        {"params": {"secondLevelLearners": {"one": 1}}},
        {"variables": {"learners": ["one", "two); evil("]}},
        {"params": {"space": {"network": ["lenet", "os:system"]}}},
        {"params": {"space": {"weights": ["/etc/passwd"]}}},
        {"params": {"space": {"epochs": 3}}},
        {"params": {"space": "epochs"}},
        {"frame": "digits); evil("},
        {"result": "spark"},
    ],
    ids=str,
)
def test_what_would_be_code_or_a_path_is_refused(changed: dict[str, Any]) -> None:
    action = {"kind": "fit", "result": "model", "frame": "digits", "estimator": "ImageClassifier", "params": {}}
    assert from_json(action) == Fit("model", "digits", "ImageClassifier")
    with pytest.raises(ConfigurationError):
        from_json({**action, **changed})


@pytest.mark.parametrize("name", PACKAGES)
def test_no_text_is_taken_for_a_param_that_names_files_or_code(name: str) -> None:
    # A new Param that does so belongs to LEFT_OUT, to VARIABLES or to NAMES.
    named = re.compile(r"\b(files?|folders?|paths?|URIs?|URLs?|modules?|import|pickles?|callables?)\b")
    free = [field for field in form_of(name).fields if field.kind in (forms.TEXT, forms.JSON, forms.WORDS)]
    assert [field.name for field in free if named.search(field.doc)] == []


@pytest.mark.parametrize("name", OWN)
def test_a_form_speaks_of_what_it_takes_alone(name: str) -> None:
    refused = re.compile(r"import path|ONNX|nn\.Module|any estimator|an instance|scipy")
    fields = form_of(name).fields
    assert [field.name for field in fields if refused.search(field.doc)] == []
    networks = {field.name: (field.doc, field.choices) for field in fields}
    if "network" in networks:
        doc, choices = networks["network"]
        assert doc.startswith("name of a network. ")
        assert ("auto: " in doc) == ("auto" in choices)


def test_params_left_out_and_variables_are_params() -> None:
    declared = {param for name in OWN for param in estimator_class(name).declarations()}
    assert {*LEFT_OUT, *VARIABLES} <= declared
