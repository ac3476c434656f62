from __future__ import annotations

import numpy as np
import pytest
import torch

from sparkwater.conversions.tensors.spec import TensorSpec
from sparkwater.gpu.collective.communicator import LocalCommunicator
from sparkwater.gpu.rows.scaling import AnyScaling, Scaling, measure_rows, measure_scaling

CPU = torch.device("cpu")


def measure(features: torch.Tensor) -> Scaling:
    return measure_scaling(features.split(1024), features.shape[1], LocalCommunicator(), CPU)


def random_pixels(rows: int, channels: int = 3) -> torch.Tensor:
    return torch.randint(
        0, 256, (rows, channels, 6, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(rows)
    )


@pytest.mark.parametrize("rows", [1, 7, 1023, 1024, 1025, 3000])
def test_mean_and_deviation_are_numpys(rows: int) -> None:
    features = random_pixels(rows)
    scaling, values = measure(features), features.numpy().astype(np.float64)
    np.testing.assert_allclose(scaling.mean, values.mean(axis=(0, 2, 3)), rtol=1e-13)
    np.testing.assert_allclose(scaling.deviation, values.std(axis=(0, 2, 3)), rtol=1e-10)


def test_floats_and_signed_numbers_are_measured_too() -> None:
    floats = torch.randn((2000, 2, 3, 3), generator=torch.Generator().manual_seed(1)) * 4 - 2
    for features in (floats, floats.double(), floats.half(), (floats * 100).to(torch.int16)):
        scaling, values = measure(features), features.numpy().astype(np.float64)
        np.testing.assert_allclose(scaling.mean, values.mean(axis=(0, 2, 3)), rtol=1e-10)
        np.testing.assert_allclose(scaling.deviation, values.std(axis=(0, 2, 3)), rtol=1e-10)


def test_the_order_of_rows_cannot_be_seen_in_the_last_bit() -> None:
    features = random_pixels(2500)
    expected = measure(features)
    for seed in range(5):
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(seed))
        assert measure(features[order]) == expected


@pytest.mark.parametrize("value", [0, 1, 77, 255])
def test_a_constant_channel_of_pixels_has_the_deviation_one(value: int) -> None:
    features = random_pixels(1500)
    features[:, 1] = value
    scaling = measure(features)
    assert scaling.mean[1] == value
    assert scaling.deviation[1] == 1.0
    assert scaling.deviation[0] > 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.7, 1e-4, 1234.567, -1e6 / 7])
def test_a_constant_channel_of_floats_has_the_deviation_one(value: float, dtype: torch.dtype) -> None:
    for rows in (1, 7, 1337, 5000):
        features = torch.randn((rows, 2, 3, 5), generator=torch.Generator().manual_seed(1)).to(dtype)
        features[:, 1] = value
        assert measure(features).deviation[1] == 1.0


def test_a_small_real_spread_is_no_constant() -> None:
    features = torch.zeros((1000, 1, 2, 2))
    features[::2] = 1e-5
    assert measure(features).deviation[0] == pytest.approx(5e-6, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float16, torch.float32, torch.float64])
def test_scaled_batches_are_float32_of_mean_zero_and_deviation_one(dtype: torch.dtype) -> None:
    features = random_pixels(800).to(dtype)
    before = features.clone()
    scaled = measure(features).apply(features)
    assert scaled.dtype == torch.float32
    assert scaled.shape == features.shape
    assert torch.equal(features, before), "the rows themselves stay as they are"
    for channel in range(3):
        assert float(scaled[:, channel].double().mean()) == pytest.approx(0.0, abs=1e-5)
        assert float(scaled[:, channel].double().std(correction=0)) == pytest.approx(1.0, abs=1e-5)


def test_each_channel_gets_its_own_scaling() -> None:
    batch = torch.tensor([[[10.0, 12.0], [100.0, 140.0]]])
    scaled = Scaling((10.0, 100.0), (2.0, 20.0)).apply(batch)
    assert scaled.tolist() == [[[0.0, 1.0], [0.0, 2.0]]]
    assert batch.tolist() == [[[10.0, 12.0], [100.0, 140.0]]]


@pytest.mark.parametrize("shape", [(), (4,), (4, 3)])
def test_whole_numbers_of_up_to_two_dimensions_are_ids_and_stay_as_they_are(shape: tuple[int, ...]) -> None:
    ids = torch.randint(0, 900, (20, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.int32)
    scaling = measure_of("int32", ids)
    assert scaling == Scaling((), ())
    applied = scaling.apply(ids)
    assert applied.dtype == torch.int64
    assert torch.equal(applied, ids.long())


def test_floats_of_two_dimensions_and_whole_numbers_of_three_are_scaled() -> None:
    values = torch.randint(0, 900, (20, 4, 3, 2), generator=torch.Generator().manual_seed(1))
    for dtype, tensor in (("int32", values.int()), ("float32", values[..., 0].float()), ("uint8", values[..., 0, 0])):
        scaling = measure_of(dtype, tensor.to(getattr(torch, dtype)))
        assert isinstance(scaling, Scaling)
        assert len(scaling.mean) == 4


def measure_of(dtype: str, features: torch.Tensor) -> AnyScaling:
    return measure_rows(lambda: [features], TensorSpec(dtype, features.shape[1:]), LocalCommunicator(), CPU)
