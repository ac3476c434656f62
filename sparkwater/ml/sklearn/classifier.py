"""``SklearnClassifier``: a classifier of scikit-learn or its kin as a Spark ML Estimator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sparkwater.ml.columns.classes import check_label_type, find_classes
from sparkwater.ml.columns.roles import RowColumns
from sparkwater.ml.params.classifier import ClassifierColumns
from sparkwater.ml.sklearn.learner import SklearnLearner, SklearnModel, class_vector
from sparkwater.ml.sklearn.params import ClassifierSettings
from sparkwater.ml.sklearn.rows import check_bound
from sparkwater.ml.sklearn.scoring import add_predictions, class_outputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class SklearnClassifierModel(SklearnModel, ClassifierColumns):
    """A trained `SklearnClassifier`.

    ``transform`` keeps every row, its order within a partition and all its columns, and adds the prediction columns:
    probabilities, their logarithms as raw predictions, and the most probable class. A row without features fails the
    job.
    """

    kind = "classification"

    @property
    def classes(self) -> list[float] | list[str]:
        """The labels, sorted; strings have their probabilities in this order."""
        return list(self.trained.classes)

    @property
    def numClasses(self) -> int:
        """The length of the probability vector."""
        return class_vector(self.trained.classes).size

    def _transform(self, dataset: DataFrame) -> DataFrame:
        vector, names = class_vector(self.trained.classes), tuple(self.getInputCols() or ())
        self.check_output_columns()
        return add_predictions(
            dataset, self.feature_columns(dataset), names, class_outputs(vector, self), self.trained.content, vector
        )


class SklearnClassifier(SklearnLearner[SklearnClassifierModel], ClassifierSettings, ClassifierColumns):
    """A classifier of scikit-learn, or of a library that follows it, as a Spark ML Estimator.

    ``fit`` trains it in one Spark task, which holds all rows: in the order of their content, so that the result
    doesn't depend on their partitions. ``cross_fit`` and `sparkwater.stacking.StackedEnsemble` train all folds of all
    such learners as the tasks of one Spark job.

    Labels are numbers 0, 1, 2, ..., booleans or strings. It is saved with skops, without pickle; loading one of
    another library than scikit-learn needs consent: ``SklearnClassifierModel.read().allowing("lightgbm").load(path)``.
    """

    kind = "classification"
    model_type = SklearnClassifierModel

    def check_label(self, frame: DataFrame) -> None:
        """Refuse a label column that holds no classes, and output columns of one name."""
        check_label_type(frame.schema, self.getLabelCol())
        self.check_output_columns()

    def find_classes(self, frame: DataFrame) -> tuple[Any, ...]:
        """Return the classes of the rows, if one task may hold them; a Spark job."""
        found = find_classes([(frame, RowColumns())], self.getLabelCol())
        check_bound(found.rows, self.getMaxRows())
        return found.classes
