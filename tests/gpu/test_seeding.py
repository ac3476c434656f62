from __future__ import annotations

import random

import pytest
import torch

from sparkwater.gpu.seeding import derive_seed, seed_generators


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0,), 3_456_079_177_858_693_020),
        ((42, "weights"), 1_218_831_237_610_215_275),
        ((42, "order", 0, 0), 6_631_256_943_329_306_644),
        ((42, "order", 1, 0), 4_295_320_866_094_269_215),
        ((2**63 - 1, "noise", 9, 3), 341_241_966_152_966_548),
    ],
)
def test_seeds_are_the_same_on_every_machine_and_in_every_release(arguments: tuple[int, ...], expected: int) -> None:
    assert derive_seed(*arguments) == expected


def test_seeds_of_different_purposes_differ() -> None:
    purposes: list[tuple[int | str, ...]] = [
        ("weights",),
        ("order", 0, 0),
        ("order", 0, 1),
        ("order", 1, 0),
        ("noise", 0, 0),
    ]
    seeds = {derive_seed(seed, *purpose) for seed in range(200) for purpose in purposes}
    assert len(seeds) == 1000


def test_numbers_that_read_alike_run_together_give_different_seeds() -> None:
    assert derive_seed(42, "order", 1, 12) != derive_seed(42, "order", 11, 2)
    assert derive_seed(4, "order", 2) != derive_seed(42, "order")


def test_seeds_fit_63_bits_and_use_them() -> None:
    seeds = [derive_seed(seed, "weights") for seed in range(500)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62 > min(seeds)


def test_deriving_a_seed_draws_from_no_generator() -> None:
    random.seed(3)
    before = random.getstate()
    derive_seed(1, "order")
    assert random.getstate() == before


def test_networks_draw_what_they_draw_after_torch_s_own_seed() -> None:
    torch.manual_seed(7)
    expected = torch.rand(5)
    seed_generators(7, torch.device("cpu"))
    assert torch.equal(torch.rand(5), expected)
