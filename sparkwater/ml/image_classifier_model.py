"""``ImageClassifierModel``: a trained picture classifier, as a Spark ML model."""

from __future__ import annotations

from sparkwater.gpu.tasks import ClassificationTask, MultiLabelTask
from sparkwater.ml.network_model import NetworkModel
from sparkwater.ml.params.classifier import ClassifierColumns
from sparkwater.ml.params.pictures import PictureParams
from sparkwater.ml.scoring.prediction import PredictionColumns, class_columns, label_columns


class ClassifierModel(ClassifierColumns, NetworkModel):
    """Base of the models of classifiers."""

    @property
    def kind(self) -> str:  # type: ignore[override]
        """``classification``, or ``multilabel`` for several labels a row, which ensembles don't take."""
        return self._task.kind

    @property
    def classes(self) -> list[float] | list[str]:
        """The labels, sorted; the network's output ``i`` is for ``classes[i]``."""
        return list(self._task.classes)  # type: ignore[return-value]

    @property
    def numClasses(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def prediction_columns(self) -> PredictionColumns:
        """Return columns of log-odds, probabilities, and the class or the labels of each row."""
        task = self._task
        return label_columns(task, self) if isinstance(task, MultiLabelTask) else class_columns(task, self)

    @property
    def _task(self) -> ClassificationTask | MultiLabelTask:
        task = self.fitted.trained.task
        assert isinstance(task, (ClassificationTask, MultiLabelTask))  # no other task makes such a model
        return task


class ImageClassifierModel(ClassifierModel, PictureParams):
    """A trained `ImageClassifier`.

    ``transform`` keeps every row, its order within a partition and all its columns, and adds the
    prediction columns. It scores Arrow batches on the executors; a Python worker builds the network
    once.
    """
