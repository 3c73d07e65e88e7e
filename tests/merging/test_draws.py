"""Draws: addressed by what they are for."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evomerge.merging.draws import Draw


def numbers(draw: Draw, count: int = 50) -> list[float]:
    return draw.uniform(torch.Size([count])).tolist()


def test_a_draw_depends_on_its_address_alone() -> None:
    draws = [Draw(seed, expert, tensor) for seed in (0, 1) for expert in ("a", "b") for tensor in ("x", "y")]
    first = {draw: numbers(draw) for draw in draws}
    random.Random(0).shuffle(draws)
    assert {draw: numbers(draw) for draw in draws} == first
    assert len({tuple(each) for each in first.values()}) == len(draws)


def test_draws_stay_as_they_are() -> None:
    """A recipe must give the same bytes in later versions, on any machine."""
    drawn = Draw(7, "sha256:x", "model.norm.weight").uniform(torch.Size([3]))
    assert drawn.tolist() == pytest.approx([0.100433, 0.259659, 0.501495], abs=1e-6)


@given(st.lists(st.integers(0, 5), max_size=3))
def test_they_are_uniform_numbers_of_any_shape(shape: list[int]) -> None:
    drawn = Draw(0, "e", "t").uniform(torch.Size(shape))
    assert (drawn.shape, drawn.dtype) == (torch.Size(shape), torch.float32)
    assert drawn.numel() == 0 or 0 <= float(drawn.min()) <= float(drawn.max()) < 1


def test_their_mean_and_variance_are_those_of_uniform_numbers() -> None:
    drawn = Draw(3, "e", "t").uniform(torch.Size([100_000]))
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.005)
    assert float(drawn.var()) == pytest.approx(1 / 12, abs=0.002)


def test_global_random_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    numbers(Draw(0, "e", "t"))
    assert torch.equal(torch.get_rng_state(), before)
