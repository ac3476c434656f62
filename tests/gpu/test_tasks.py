"""Properties that all tasks have."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from sparkwater.errors import CheckpointError
from sparkwater.gpu.tasks import (
    TASKS,
    ClassificationTask,
    MultiLabelTask,
    OrdinalTask,
    QuantilesTask,
    ReconstructionTask,
    RegressionTask,
    Task,
    task_from_dict,
)
from sparkwater.gpu.tasks.regression import DISTRIBUTIONS, LOGARITHMIC

CPU = torch.device("cpu")

REGRESSIONS: list[Task] = [
    RegressionTask(distribution, center=0.7, scale=1.0 if distribution in LOGARITHMIC else 2.5, quantile=0.9, delta=0.4)
    for distribution in DISTRIBUTIONS
]
ALL: list[Task] = [
    ClassificationTask((0.0, 3.0)),
    ClassificationTask(("ape", "cat", "dog"), class_weights=(1.0, 2.0, 0.5), label_smoothing=0.1, top_k=2),
    MultiLabelTask((0.0, 1.0, 7.0), label_smoothing=0.2),
    MultiLabelTask(("a", "b")),
    *REGRESSIONS,
    QuantilesTask((0.1, 0.5, 0.75), center=0.7, scale=2.5),
    OrdinalTask((0.0, 3.0, 4.0)),
    OrdinalTask(("low", "high"), beginning=(0.5,)),
    ReconstructionTask(numbers=3, categories=(4, 2), flags=(1,), threshold=0.5),
]
EACH = pytest.mark.parametrize("task", ALL, ids=str)


@dataclass(frozen=True)
class Scored:
    """Rows with their outputs, and weights that binary fractions hold exactly."""

    outputs: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def scored(task: Task, rows: int, seed: int = 0) -> Scored:
    generator = torch.Generator().manual_seed(seed)
    outputs = torch.randn(rows, task.outputs, generator=generator)
    shape = (rows, *task.target.shape)
    if isinstance(task, (ClassificationTask, OrdinalTask)):
        targets = torch.randint(0, len(task.classes), shape, generator=generator)
    elif isinstance(task, MultiLabelTask):
        targets = torch.rand(shape, generator=generator) > 0.5
    elif isinstance(task, ReconstructionTask):
        ids = [torch.randint(0, count, (rows,), generator=generator) for count in (2, 2, 2, *task.categories)]
        targets = torch.stack(ids, dim=1).float()
    else:
        targets = torch.randint(int(getattr(task, "least", 0.0) > 0), 9, shape, generator=generator).double()
    return Scored(outputs, targets, torch.randint(1, 8, (rows,), generator=generator).double() / 4)


def summed(task: Task, rows: Scored, weights: torch.Tensor | None, parts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return the sums over parts of the rows, added up as ranks do."""
    total = task.sums(CPU)
    for part in parts:
        sums, chosen = task.sums(CPU), torch.tensor(part, dtype=torch.int64)
        given = None if weights is None else weights[chosen]
        sums.add(task.adjust(rows.outputs[chosen]), rows.targets[chosen], given)
        total.values += sums.values
    return total.values


def test_all_kinds_are_tested() -> None:
    assert {type(task) for task in ALL} == set(TASKS.values())
    assert {kind: task.kind for kind, task in TASKS.items()} == {kind: kind for kind in TASKS}


@EACH
def test_a_task_survives_json(task: Task) -> None:
    again = task_from_dict(json.loads(json.dumps(task.to_dict())))
    assert again == task
    assert hash(again) == hash(task)
    assert again.to_dict() == task.to_dict()


@EACH
def test_a_damaged_task_is_refused(task: Task) -> None:
    whole = json.loads(json.dumps(task.to_dict()))
    for name in whole:
        without = {key: value for key, value in whole.items() if key != name}
        if name in ("kind", "classes", "distribution", "quantiles", "numbers"):
            with pytest.raises((ValueError, TypeError, KeyError)):
                task_from_dict(without)
        else:
            task_from_dict(without)  # a field that a later version adds has its default
        damages: list[Any] = [{}, None, "damaged", [[]], [None], math.nan, math.inf]
        if name in ("threshold", "alpha"):
            damages.remove(None)  # there is none
        for damaged in damages if name == "center" else [*damages, -1.0]:
            with pytest.raises((ValueError, TypeError, KeyError, CheckpointError)):
                task_from_dict({**whole, name: damaged})
    with pytest.raises(TypeError):
        task_from_dict([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "classes", [[1.0, 0.0], [0.0, 0.0], ["b", "a"], ["a", "a"], [], ["a", 1.0], [True], [math.nan], "ab"], ids=str
)
@pytest.mark.parametrize("kind", ["classification", "multilabel"])
def test_classes_that_are_not_sorted_and_different_are_refused(kind: str, classes: Any) -> None:
    whole = (ClassificationTask if kind == "classification" else MultiLabelTask)((0.0, 1.0)).to_dict()
    with pytest.raises(ValueError, match="no list of classes"):
        task_from_dict({**whole, "classes": classes})


def test_a_task_of_another_version_is_named() -> None:
    with pytest.raises(
        CheckpointError, match=r"learned the task 'ranking'; this process knows classification, multilabel, ordinal,"
    ):
        task_from_dict({"kind": "ranking", "weights": [1]})


@EACH
@settings(max_examples=15, deadline=None, database=None, derandomize=True)
@given(data=st.data())
def test_sums_over_any_parts_are_those_over_all_rows(task: Task, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 40))
    rows = scored(task, count, data.draw(st.integers(0, 100)))
    places = data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    parts = [[row for row, place in enumerate(places) if place == part] for part in range(4)]
    weights = rows.weights if data.draw(st.booleans()) else None
    whole = summed(task, rows, weights, [range(count)])
    torch.testing.assert_close(summed(task, rows, weights, parts), whole, rtol=1e-5, atol=1e-5)


@EACH
def test_a_row_of_weight_2_is_that_row_twice(task: Task) -> None:
    rows, weights = scored(task, 20), torch.ones(20, dtype=torch.float64)
    weights[3], weights[7] = 2.0, 3.0
    twice = summed(task, rows, None, [[*range(20), 3, 7, 7]])
    torch.testing.assert_close(summed(task, rows, weights, [range(20)]), twice, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(summed(task, rows, None, [range(20)]), twice)


@EACH
def test_metrics_are_those_that_the_task_names(task: Task) -> None:
    rows = scored(task, 30)
    sums = task.sums(CPU)
    sums.add(task.adjust(rows.outputs), rows.targets, rows.weights)
    found = sums.metrics()
    assert list(found) == list(task.METRICS)
    for name, value in found.items():
        assert value is None or math.isfinite(value)
        assert task.unfit(name) is None or value is None
        assert getattr(found, name) == value
    assert task.unfit("perplexity")
    with pytest.raises(AttributeError, match=f"no metric 'perplexity'; there are {', '.join(task.METRICS)}"):
        _ = found.perplexity


@EACH
def test_losses_are_of_each_row_alone_and_learn(task: Task) -> None:
    rows = scored(task, 12)
    outputs = rows.outputs.requires_grad_()
    losses = task.losses(outputs, rows.targets)
    assert losses.shape == (12,)
    assert losses.dtype == torch.float32
    for row in range(12):
        torch.testing.assert_close(task.losses(outputs[row : row + 1], rows.targets[row : row + 1])[0], losses[row])
    (gradient,) = torch.autograd.grad(losses.sum(), outputs)
    assert gradient.isfinite().all()
    assert task.losses(outputs - 0.01 * gradient, rows.targets).sum() < losses.sum()


@EACH
def test_row_weights_are_there_where_the_task_says_so(task: Task) -> None:
    rows = scored(task, 9)
    weights = task.row_weights(rows.targets)
    assert (weights is not None) == task.weighs == bool(getattr(task, "class_weights", ()))
    if weights is not None:
        assert weights.dtype == torch.float32
        expected = [task.class_weights[target] for target in rows.targets]  # type: ignore[attr-defined]
        assert weights.tolist() == expected


@EACH
def test_offsets_are_added_on_the_scale_of_the_link_or_refused(task: Task) -> None:
    rows, offsets = scored(task, 20), torch.linspace(-4, 5, 20, dtype=torch.float64)
    if task.unfit_offsets():
        with pytest.raises(RuntimeError):
            task.add_offsets(rows.outputs, offsets)
        return
    beside = task.add_offsets(rows.outputs, offsets)
    plain, raw = (task.adjust(outputs).double() for outputs in (rows.outputs, beside))
    losses = task.losses(beside, rows.targets).double()
    if isinstance(task, ClassificationTask):
        torch.testing.assert_close(raw.diff(dim=1)[:, 0], plain.diff(dim=1)[:, 0] + offsets, rtol=0, atol=1e-5)
        expected = functional.binary_cross_entropy_with_logits(
            rows.outputs.diff(dim=1)[:, 0].double() + offsets, rows.targets.double(), reduction="none"
        )
    else:
        assert isinstance(task, RegressionTask)
        torch.testing.assert_close(raw[:, 0], plain[:, 0] + offsets)
        ones = torch.ones(20, dtype=torch.float64)
        # A deviance's unit is a power of the mean; what is left of it depends on labels and predictions by their ratio.
        powers = {"poisson": 1.0, "gamma": 0.0, "tweedie": 2 - task.power}
        shift = (offsets * powers[task.distribution]).exp() if task.is_logarithmic else ones
        less = rows.targets / offsets.exp() if task.is_logarithmic else rows.targets - offsets
        expected = shift * task.losses(rows.outputs.double(), less)
    torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-6)


#: Labels, and which of them can be used.
LABELS: list[tuple[Task, pa.DataType, list[Any], list[bool]]] = [
    (ALL[0], pa.float64(), [0.0, None, 3.0, math.nan, 1.0, math.inf], [True, False, True, False, False, False]),
    (ALL[1], pa.string(), ["cat", None, "cow", "", "ape"], [True, False, False, False, True]),
    (
        ALL[2],
        pa.list_(pa.float64()),
        [[7.0, 0.0], None, [], [1.0, None], [2.0], [0.0, math.nan], [1.0, 1.0], [-math.inf]],
        [True, False, True, False, False, False, True, False],
    ),
    (
        ALL[3],
        pa.list_(pa.string()),
        [["a"], [], None, ["b", "a"], ["c"], [None], ["b", "b"]],
        [True, True, False, True, False, False, True],
    ),
    (
        RegressionTask("gaussian"),
        pa.float64(),
        [1.5, None, math.nan, math.inf, -math.inf, -2.0, 1e9 + 0.25],
        [True, False, False, False, False, True, True],
    ),
    (RegressionTask("poisson"), pa.float64(), [0.0, -1.0, None, 2.5, -0.0], [True, False, False, True, True]),
    (RegressionTask("gamma"), pa.float64(), [0.0, 1e-300, None, 2.5, -1.0], [False, True, False, True, False]),
    (RegressionTask("tweedie"), pa.float64(), [0.0, -1.0, None, 2.5, -0.0], [True, False, False, True, True]),
    (QuantilesTask((0.1, 0.9)), pa.float64(), [-1.5, None, math.nan, math.inf], [True, False, False, False]),
    (OrdinalTask(("low", "high")), pa.string(), ["high", None, "mid", "low"], [True, False, False, True]),
]
WITH_LABELS = pytest.mark.parametrize(
    ("task", "kind", "labels", "valid"), LABELS, ids=[str(case[0]) for case in LABELS]
)


@WITH_LABELS
def test_labels_that_can_not_be_used_are_known_and_described(task, kind, labels, valid) -> None:
    found = task.encode(pa.array(labels, kind))
    assert found.valid.tolist() == valid
    assert found.values.shape == (len(labels), *task.target.shape)
    assert found.values.dtype == task.target.numpy_dtype
    for label, usable in zip(labels, valid, strict=True):
        if not usable:
            assert "label" in task.refusal(label)


@WITH_LABELS
def test_targets_do_not_depend_on_how_labels_lie_in_memory(task, kind, labels, valid) -> None:
    whole = task.encode(pa.array(labels, kind))
    around = pa.array([labels[0], labels[-1], *labels, None, labels[0]], kind)
    sliced = around.slice(2, len(labels))
    chunks = pa.chunked_array([pa.array(labels[:2], kind), pa.array([], kind), pa.array(labels[2:], kind)])
    parts = [task.encode(chunk) for chunk in chunks.chunks]
    for values, usable in (
        (task.encode(sliced).values, task.encode(sliced).valid),
        (np.concatenate([part.values for part in parts]), np.concatenate([part.valid for part in parts])),
    ):
        assert usable.tolist() == valid
        assert values[usable].tolist() == whole.values[whole.valid].tolist()


@WITH_LABELS
def test_no_rows_are_no_targets(task, kind, labels, valid) -> None:
    for nothing in (pa.array([], kind), pa.array(labels, kind).slice(1, 0)):
        found = task.encode(nothing)
        assert found.values.shape == (0, *task.target.shape)
        assert found.valid.shape == (0,)
    assert task.encode(pa.nulls(3, kind)).valid.tolist() == [False] * 3


def test_targets_are_what_the_labels_say() -> None:
    classes, sets = LABELS[1][0], LABELS[2][0]
    assert classes.encode(pa.array(["dog", "ape"])).values.tolist() == [2, 0]
    found = sets.encode(pa.array([[7.0, 0.0], [], [1.0, 1.0]]))
    assert found.values.tolist() == [[True, False, True], [False] * 3, [False, True, False]]
    assert RegressionTask("laplace").encode(pa.array([1e9 + 0.25])).values.tolist() == [1e9 + 0.25]
