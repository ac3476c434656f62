"""Rows of several tensors: packed, read, scaled and given to a network."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparkwater.conversions.tensors.arrow import split_parts, tensors_to_arrow
from sparkwater.conversions.tensors.spec import DTYPES, PackedSpec, TensorSpec, parts_of
from sparkwater.errors import DataError
from sparkwater.gpu.collective.communicator import LocalCommunicator
from sparkwater.gpu.networks.inputs import forward, network_shape, zero_inputs
from sparkwater.gpu.outcome import Outcome
from sparkwater.gpu.rows.held import load_rows
from sparkwater.gpu.rows.scaling import PackedScaling, Scaling, measure_rows, measure_scaling, unpack
from sparkwater.gpu.tasks import ClassificationTask

CPU = torch.device("cpu")
SPEC = PackedSpec([TensorSpec("uint8", (1, 3, 3)), TensorSpec("float64", (2,)), TensorSpec("int16", (4,))])


def tensors(rows: int) -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    return [
        generator.integers(0, 256, (rows, 1, 3, 3), dtype=np.uint8),
        generator.normal(5, 3, (rows, 2)),
        generator.integers(0, 9, (rows, 4), dtype=np.int16),
    ]


def packed(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ascontiguousarray(part).reshape(len(part), -1).view(np.uint8) for part in parts], axis=1)


def batch_of(parts: list[np.ndarray]) -> pa.RecordBatch:
    rows = len(parts[0])
    columns = {
        "tensor": tensors_to_arrow(packed(parts)),
        "problem": pa.nulls(rows, pa.string()),
        "label": pa.array([float(row % 2) for row in range(rows)]),
        "name": pa.array([f"row-{row}" for row in range(rows)]),
        "key": pa.array(range(rows), pa.int64()),
    }
    return pa.RecordBatch.from_pydict(columns)


@settings(max_examples=40, deadline=None, database=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(1, 3), max_size=3)), min_size=1, max_size=4))
def test_packed_tensors_come_back_bit_for_bit(specs: list[tuple[str, list[int]]]) -> None:
    spec = PackedSpec([TensorSpec(dtype, shape) for dtype, shape in specs])
    generator = np.random.default_rng(0)
    parts = [generator.integers(0, 2, (5, *part.shape)).astype(part.numpy_dtype) for part in spec.parts]
    rows = packed([part.reshape(5, -1) for part in parts])
    assert rows.shape == (5, spec.nbytes)
    for part, numpy_part, torch_part in zip(
        parts, split_parts(rows, spec), unpack(torch.from_numpy(rows), spec), strict=True
    ):
        assert np.array_equal(numpy_part, part)
        assert np.array_equal(torch_part.numpy(), part)


def test_each_tensor_is_scaled_as_it_would_be_alone() -> None:
    parts = tensors(50)
    rows = load_rows([batch_of(parts)], SPEC, ClassificationTask.numbered(2), "error")
    scaling = measure_rows(rows.blocks, SPEC, LocalCommunicator(), CPU)
    assert isinstance(scaling, PackedScaling)
    for scaled, part, channels in zip(scaling.parts[:2], parts, (1, 2), strict=False):
        alone = measure_scaling([torch.from_numpy(part)], channels, LocalCommunicator(), CPU)
        np.testing.assert_allclose([*scaled.mean, *scaled.deviation], [*alone.mean, *alone.deviation], rtol=1e-12)
    assert scaling.parts[2] == Scaling((), ())
    picture, numbers, tokens = scaling.apply(rows.take(torch.arange(50)).features)
    assert [tensor.dtype for tensor in (picture, numbers, tokens)] == [torch.float32, torch.float32, torch.int64]
    assert np.array_equal(tokens.numpy(), parts[2])
    assert float(numbers.mean(dim=0).abs().max()) < 1e-5
    assert forward(torch.nn.Bilinear(2, 4, 3), (numbers, tokens.float())).shape == (50, 3)


def test_a_nan_in_any_part_is_found() -> None:
    parts = tensors(4)
    parts[1][2, 1] = np.nan
    with pytest.raises(DataError, match="row row-2: the tensor holds a NaN"):
        load_rows([batch_of(parts)], SPEC, ClassificationTask.numbered(2), "error")
    assert len(load_rows([batch_of(parts)], SPEC, ClassificationTask.numbered(2), "skip")) == 3


def test_networks_are_tried_with_what_they_will_get() -> None:
    assert network_shape(SPEC) == ((1, 3, 3), (2,), (4,))
    assert [tensor.dtype for tensor in zero_inputs(SPEC)] == [torch.float32, torch.float32, torch.int64]
    assert parts_of(SPEC.parts[0]) == (SPEC.parts[0],)
    ids, mask = TensorSpec("int32", (5,)), TensorSpec("bool", (5,))
    assert (zero_inputs(ids).dtype, zero_inputs(mask).dtype) == (torch.int64, torch.bool)  # type: ignore[union-attr]


def test_the_scaling_of_packed_rows_survives_json() -> None:
    scaling = PackedScaling(SPEC, (Scaling((1.0,), (2.0,)), Scaling((0.5, 1.5), (1.0, 3.0)), Scaling((), ())))
    outcome = Outcome(rank=0, host="here", scaling=scaling)
    assert Outcome.from_json(outcome.to_json(), b"") == outcome


def test_a_scaling_that_is_given_is_its_own_tensors() -> None:
    rows = load_rows([batch_of(tensors(50))], SPEC, ClassificationTask.numbered(2), "error")
    measured = measure_rows(rows.blocks, SPEC, LocalCommunicator(), CPU)
    assert isinstance(measured, PackedScaling)
    picture, numbers = Scaling((7.0,), (3.0,)), Scaling((1.0, 2.0), (4.0, 5.0))
    for given_scalings, expected in (
        ((picture, None, None), (picture, *measured.parts[1:])),
        ((None, numbers, None), (measured.parts[0], numbers, measured.parts[2])),
        ((picture, numbers, None), (picture, numbers, measured.parts[2])),
    ):
        scaling = measure_rows(rows.blocks, SPEC, LocalCommunicator(), CPU, given_scalings)
        assert isinstance(scaling, PackedScaling)
        assert scaling.parts == expected
