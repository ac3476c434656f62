"""Actions that use fitted models on frames: scores, errors, deep features, nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sparkwater.errors import ConfigurationError
from sparkwater.flow.workbook.actions.base import Action
from sparkwater.flow.workbook.code import Code, literal, variable
from sparkwater.flow.workbook.column_types import quoted

#: The measure that is a table of classes; the others are numbers of Spark's evaluator.
CONFUSION = "confusion"

#: Measures of predictions, with what they are in a few words.
MEASURES = {
    CONFUSION: "confusion matrix",
    "rmse": "root of the mean squared error",
    "mae": "mean absolute error",
    "r2": "R squared: the explained share of the variance",
}

#: Largest number of pictures that are asked for their nearest.
MOST_QUERIES = 50


@dataclass(frozen=True)
class Score(Action):
    """Predictions of a model on a frame.

    Attributes
    ----------
    result : str
        The scored DataFrame: that of ``frame`` with the model's columns.
    model, frame : str
        The model and the DataFrame.
    """

    kind: ClassVar[str] = "score"

    result: str
    model: str
    frame: str

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Score {self.frame} by {self.model}"

    def code(self) -> Code:
        """Return its Python."""
        return Code((), (f"{variable(self.result)} = {variable(self.model)}.transform({variable(self.frame)})",))


@dataclass(frozen=True)
class WrongRows(Action):
    """Rows that a classifier takes for another class than their label says, with its scores.

    Attributes
    ----------
    result : str
        The DataFrame of them.
    model, frame : str
        The classifier, and a DataFrame with labels.
    label, prediction : str
        The column of labels, and that of the model's scores which is compared with it.
    outdated : tuple of str
        Columns of the DataFrame that give way to the model's: another model's scores.
    numeric : bool
        Whether labels are compared as numbers: flags too.
    """

    kind: ClassVar[str] = "wrong_rows"

    result: str
    model: str
    frame: str
    label: str
    prediction: str
    outdated: tuple[str, ...] = ()
    numeric: bool = False

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Rows of {self.frame} that {self.model} gets wrong"

    def code(self) -> Code:
        """Return its Python."""
        rows = variable(self.frame)
        if self.outdated:
            rows += f".drop({', '.join(map(literal, self.outdated))})"
        label, prediction = (f"F.col({literal(_column(name))})" for name in (self.label, self.prediction))
        if self.numeric:
            label += ".cast('double')"
        lines = (
            f"{variable(self.result)} = {variable(self.model)}.transform({rows})",
            f"{variable(self.result)} = {variable(self.result)}.where({label} != {prediction})",
        )
        return Code(("from pyspark.sql import functions as F",), lines)


@dataclass(frozen=True)
class Evaluate(Action):
    """Predictions against labels, as a confusion matrix or one number.

    Attributes
    ----------
    result : str
        The `sparkwater.ml.ConfusionMatrix`, or a float.
    scored : str
        The scored DataFrame.
    label, prediction : str
        Its columns.
    measure : str
        One of `MEASURES`.
    as_doubles : bool
        Whether labels become doubles first: flags and decimals.
    """

    kind: ClassVar[str] = "evaluate"

    result: str
    scored: str
    label: str
    prediction: str
    measure: str = CONFUSION
    as_doubles: bool = False

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Compare {self.prediction} with {self.label} in {self.scored}"

    def code(self) -> Code:
        """Return its Python."""
        result, scored = variable(self.result), variable(self.scored)
        label, prediction = literal(self.label), literal(self.prediction)
        functions: tuple[str, ...] = ()
        if self.as_doubles:
            functions = ("from pyspark.sql import functions as F",)
            scored += f".withColumn({label}, F.col({literal(_column(self.label))}).cast('double'))"
        if self.measure == CONFUSION:
            call = f"confusion_matrix({scored}, {label}, {prediction})"
            return Code((*functions, "from sparkwater.ml import confusion_matrix"), (f"{result} = {call}",))
        if self.measure not in MEASURES:
            raise ConfigurationError(f"measure={self.measure[:100]!r}; accepted: {', '.join(MEASURES)}")
        made = f"RegressionEvaluator(labelCol={label}, predictionCol={prediction}, metricName={literal(self.measure)})"
        lines = (f"{result} = {made}.evaluate({scored})",)
        return Code((*functions, "from pyspark.ml.evaluation import RegressionEvaluator"), lines)


@dataclass(frozen=True)
class ExtractFeatures(Action):
    """Outputs of a layer inside a trained network, as a column of vectors.

    Attributes
    ----------
    result : str
        The DataFrame with the column.
    model, frame : str
        The model and the DataFrame.
    layer : str
        The layer's name; ``penultimate`` for the input of the last one.
    column : str
        The column to add.
    """

    kind: ClassVar[str] = "extract_features"

    result: str
    model: str
    frame: str
    layer: str = "penultimate"
    column: str = "deepFeatures"

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Deep features of {self.frame} by {self.model}, layer {self.layer}"

    def code(self) -> Code:
        """Return its Python."""
        made = (
            f"DeepFeatures(model={variable(self.model)}, layer={literal(self.layer)}, outputCol={literal(self.column)})"
        )
        line = f"{variable(self.result)} = {made}.transform({variable(self.frame)})"
        return Code(("from sparkwater.ml import DeepFeatures",), (line,))


@dataclass(frozen=True)
class NearestRows(Action):
    """Rows nearest to some of a frame, by their vectors.

    Attributes
    ----------
    result : str
        A DataFrame of ``queryId``, ``rank``, ``referenceId`` and ``value``.
    queries, references : str
        DataFrames with the columns of ids and vectors. Where they are the same one, no row is its own neighbour.
    features, identifier : str
        These columns.
    first : int
        Number of rows that are asked for: those whose ids have the smallest hashes, which are a mix of all.
    k : int
        Neighbours of each.
    measure : str
        As in `sparkwater.ml.distance_matrix`.
    """

    kind: ClassVar[str] = "nearest_rows"

    result: str
    queries: str
    references: str
    features: str
    identifier: str
    first: int = 6
    k: int = 6
    measure: str = "cosine"

    @property
    def title(self) -> str:
        """A few plain words."""
        return f"Nearest of {self.references} to {self.first} of {self.queries}"

    @property
    def is_among_itself(self) -> bool:
        """True where rows are looked for among themselves: each would be its own nearest."""
        return self.queries == self.references

    def code(self) -> Code:
        """Return its Python."""
        if not 1 <= self.first <= MOST_QUERIES:
            raise ConfigurationError(f"first={self.first}; accepted: whole numbers from 1 to {MOST_QUERIES}")
        if self.k < 1:
            raise ConfigurationError(f"k={self.k}; accepted: whole numbers from 1 up")
        result, identifier, among_itself = variable(self.result), literal(self.identifier), self.is_among_itself
        asked = f"{variable(self.queries)}.orderBy(F.xxhash64({identifier})).limit({literal(self.first)})"
        lines = (
            f"{result} = k_nearest(",
            f"    {asked},",
            f"    {variable(self.references)},",
            f"    {literal(self.k + among_itself)},",
            f"    {literal(self.measure)},",
            f"    featuresCol={literal(self.features)},",
            f"    idCol={identifier},",
            ")",
        )
        imports = ("from pyspark.sql import functions as F", "from sparkwater.ml import k_nearest")
        if not among_itself:
            return Code(imports, lines)
        # Among equal rows the row itself may be any of those found, or none: ranks are counted anew.
        rank = "F.row_number().over(Window.partitionBy('queryId').orderBy('rank'))"
        others = f"{result}.where('queryId != referenceId')"
        kept = f"{result} = {others}.withColumn('rank', {rank}).where('rank <= {int(self.k)}')"
        return Code(("from pyspark.sql import Window", *imports), (*lines, kept))


def _column(name: str) -> str:
    """Return a column's name as `F.col` takes it."""
    return name if name.isidentifier() else quoted(name)
