from __future__ import annotations

import json

import pytest
import torch
from gpu import ranks

from sparkwater.errors import ConfigurationError
from sparkwater.gpu.collective.start_messages import SinglePeer
from sparkwater.gpu.rank import run_rank
from sparkwater.gpu.rows.augmentation import augment, parse_augmentation

EVERYTHING = [
    {"name": "shift", "pixels": 2},
    {"name": "rotation", "degrees": 10},
    {"name": "scale", "factor": 0.1},
    {"name": "crop", "area": 0.7},
    {"name": "flip"},
    {"name": "flip", "axis": "vertical", "probability": 0.2},
    {"name": "colour", "brightness": 0.3, "contrast": 0.3, "saturation": 0.3},
    {"name": "erase", "area": 0.2},
]


def pictures(channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (8, channels, 12, 10), dtype=torch.uint8, generator=generator)


def changed(*steps: dict, seed: int = 1, channels: int = 3) -> torch.Tensor:
    return augment(pictures(channels), parse_augmentation(steps), torch.Generator().manual_seed(seed))


def numbers(draws: int, seed: int = 1) -> torch.Tensor:
    """The random numbers that a first step gets."""
    return torch.rand(8, draws, generator=torch.Generator().manual_seed(seed))


def close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other.float(), rtol=1e-4, atol=0.02)


def test_a_shift_moves_whole_pixels_and_repeats_the_border() -> None:
    moved = changed({"name": "shift", "pixels": 3})
    offsets = (numbers(2) * 7).floor().long() - 3
    assert len({tuple(offset.tolist()) for offset in offsets}) > 4
    for picture, result, (x, y) in zip(pictures(), moved, offsets.tolist(), strict=True):
        rows, columns = (torch.arange(12) + y).clamp(0, 11), (torch.arange(10) + x).clamp(0, 9)
        close(result, picture[:, rows][:, :, columns])


@pytest.mark.parametrize(("axis", "dimension"), [("horizontal", 3), ("vertical", 2)])
def test_a_flip_mirrors_as_often_as_asked(axis: str, dimension: int) -> None:
    close(changed({"name": "flip", "axis": axis, "probability": 1}), pictures().flip(dimension))
    close(changed({"name": "flip", "axis": axis, "probability": 0}), pictures())


def test_rotations_turn_pixels_not_shares_of_the_side() -> None:
    (step,) = parse_augmentation([{"name": "rotation", "degrees": 180}])
    half, right, left = step.source(torch.tensor([[1.0], [0.75], [0.25]]), 12, 10)
    torch.testing.assert_close(half[:2, :2], -torch.eye(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(right @ left, torch.eye(3), atol=1e-6, rtol=0)
    # A bar of 3 x 9 pixels in a picture of 12 x 20 stays one of 9 x 3 after a right angle.
    bar = torch.zeros(400, 1, 13, 21)
    bar[:, :, 2:11, 9:12] = 1
    generator = torch.Generator().manual_seed(3)
    angles = torch.rand(400, 1, generator=torch.Generator().manual_seed(3))
    turned = augment(bar, [step], generator)[(angles[:, 0] - 0.75).abs().argmin(), 0]
    lying = torch.zeros(13, 21)
    lying[5:8, 6:15] = 1
    assert (turned - lying).abs().mean() < 0.02


def test_steps_are_composed_into_one_sampling() -> None:
    once = changed({"name": "flip", "probability": 1}, {"name": "flip", "axis": "vertical", "probability": 1})
    close(once, pictures().flip(2).flip(3))
    # A shift after a flip moves the flipped picture.
    both = changed({"name": "shift", "pixels": 3}, {"name": "flip", "probability": 1})
    close(both, changed_then_flipped())


def changed_then_flipped() -> torch.Tensor:
    uniform = torch.rand(8, 3, generator=torch.Generator().manual_seed(1))[:, :2]
    offsets = (uniform * 7).floor().long() - 3
    moved = [
        picture[:, (torch.arange(12) + y).clamp(0, 11)][:, :, (torch.arange(10) + x).clamp(0, 9)]
        for picture, (x, y) in zip(pictures(), offsets.tolist(), strict=True)
    ]
    return torch.stack(moved).flip(3)


def test_a_crop_shows_nothing_from_beyond_the_border_and_a_scale_keeps_the_centre() -> None:
    ramp = torch.arange(10.0).repeat(8, 1, 12, 1)
    generator = torch.Generator().manual_seed(1)
    cropped = augment(ramp, parse_augmentation([{"name": "crop", "area": 0.25}]), generator)[:, 0, 0]
    widths = cropped[:, -1] - cropped[:, 0]
    assert (cropped[:, 1:-1].diff(dim=1) > 0.4).all()
    assert (widths > 9 * 0.45).all()
    assert widths.min() < 7
    scaled = augment(ramp, parse_augmentation([{"name": "scale", "factor": 0.5}]), generator)[:, 0, 0]
    close((scaled[:, 4] + scaled[:, 5]) / 2, torch.full((8,), 4.5))
    assert scaled.diff(dim=1)[:, 4].std() > 0.1


def test_colours_keep_places_and_erasing_keeps_the_rest() -> None:
    values = pictures().float()
    brighter = changed({"name": "colour", "brightness": 0.5})
    close(brighter, values * (0.5 + numbers(3)[:, :1, None, None]))
    flat = changed({"name": "colour", "contrast": 0.5}) - values
    assert flat.abs().mean() > 1
    close(changed({"name": "colour", "saturation": 0.5}, channels=1), pictures(1))
    erased = changed({"name": "erase", "area": 0.5, "probability": 1})
    gone = (erased != values).any(dim=1)
    assert (gone.float().mean(dim=(1, 2)) < 0.6).all()
    assert gone.float().mean() > 0.05
    mean = values.mean(dim=(2, 3), keepdim=True).expand_as(values)
    close(erased.transpose(0, 1)[:, gone], mean.transpose(0, 1)[:, gone])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_generator_gives_the_same_pictures_whatever_torchs_own_does(channels: int) -> None:
    torch.manual_seed(1)
    first = changed(*EVERYTHING, channels=channels)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    assert torch.equal(changed(*EVERYTHING, channels=channels), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(changed(*EVERYTHING, seed=2, channels=channels), first)
    assert torch.isfinite(first).all()


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"name": "shear"}, "is no step; accepted: a dict with a name .shift, rotation, scale, crop, flip"),
        ("flip", "is no step"),
        ({"name": "shift"}, "'shift' needs 'pixels'; its arguments are pixels"),
        ({"name": "shift", "pixels": 2, "angle": 1}, "'shift' doesn't take 'angle'"),
        ({"name": "shift", "pixels": 1.5}, "pixels=1.5 of 'shift'; accepted: whole numbers from 0 up"),
        ({"name": "shift", "pixels": float("inf")}, "pixels=inf"),
        ({"name": "rotation", "degrees": 181}, "degrees=181 of 'rotation'; accepted: numbers from 0 to 180"),
        ({"name": "scale", "factor": True}, "factor=True"),
        ({"name": "crop", "area": 0}, "area=0 of 'crop'"),
        ({"name": "flip", "axis": "both"}, "axis='both' of 'flip'; accepted: horizontal, vertical"),
        ({"name": "colour", "contrast": "high"}, "contrast='high'"),
    ],
)
def test_what_is_no_step_is_refused(step: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_augmentation([step])


def test_training_sees_changed_pictures_reproducibly() -> None:
    batches = ranks.picture_batches(range(30))
    steps = parse_augmentation(json.loads(json.dumps(EVERYTHING)))
    runs = []
    for augmentation, noise in ((steps, 1), (steps, 2), ((), 1)):
        torch.manual_seed(noise)
        runs.append(run_rank(batches, ranks.rank_job(30, epochs=2, augmentation=augmentation), SinglePeer()))
    assert [run.failure for run in runs] == [None] * 3
    assert runs[0].weights == runs[1].weights
    assert runs[0].weights != runs[2].weights
    assert runs[0].scaling == runs[2].scaling


def test_contrast_and_saturation_have_factors_of_their_own() -> None:
    values, factors = pictures().float(), 0.5 + numbers(3)[:, :, None, None, None]
    grey = (values * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    close(changed({"name": "colour", "contrast": 0.5}), mean + factors[:, 1] * (values - mean))
    close(changed({"name": "colour", "saturation": 0.5}), grey + factors[:, 2] * (values - grey))


@pytest.mark.parametrize(("height", "width"), [(10, 40), (40, 10)])
def test_a_crop_of_a_picture_that_is_not_square_reaches_all_of_it_and_nothing_else(height: int, width: int) -> None:
    rows, columns = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    both = torch.stack([rows, columns]).repeat(200, 1, 1, 1)
    cropped = augment(both, parse_augmentation([{"name": "crop", "area": 0.25}]), torch.Generator().manual_seed(1))
    uniform = torch.rand(200, 3, generator=torch.Generator().manual_seed(1))
    side = (0.25 + 0.75 * uniform[:, 0]).sqrt()
    for axis, (size, place) in enumerate(((height, uniform[:, 2]), (width, uniform[:, 1]))):
        centres = (size - 1) / 2 + (1 - side) * (place - 0.5) * size
        # Beyond the middle of the last pixel its value is repeated.
        torch.testing.assert_close(cropped[:, axis].mean(dim=(1, 2)), centres, rtol=0, atol=0.1)
        extent = cropped[:, axis].amax(dim=(1, 2)) - cropped[:, axis].amin(dim=(1, 2))
        torch.testing.assert_close(extent, side * (size - 1), rtol=0, atol=0.3)
