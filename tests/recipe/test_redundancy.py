"""What is redundant in a pipe, and what only looks it."""

from typing import Any

import pytest
import torch

from evomerge.documents import parse
from evomerge.errors import ConfigError
from evomerge.recipe import Recipe
from evomerge.recipe.canonical import canonical_pipe
from evomerge.recipe.parts import Parts
from evomerge.testing.pipes import pipe_of
from evomerge.testing.stages import merged


def form(*stages: dict[str, Any]) -> tuple[Any, ...]:
    return canonical_pipe(pipe_of(*stages), 2, has_origin=True)


@pytest.mark.parametrize(
    "stages",
    [
        [{"gate": "top", "density": [1.0, 0.3]}, {"restore": "std"}, {"weigh": [1, 0]}],
        [{"gate": "bernoulli", "density": 1e-6}, {"restore": "inverse"}, {"weigh": [1, 0.5]}],
        [{"vote": "sign"}, {"weigh": [1, 0.5]}, {"post": "scale", "by": 0}],
    ],
)
def test_the_canonical_form_gives_the_same_tensors(stages: list[dict[str, Any]]) -> None:
    *experts, origin = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        merged(form(*stages), experts, origin), merged(pipe_of(*stages), experts, origin), rtol=1e-5, atol=1e-5
    )


def test_a_factor_stands_in_the_weights_and_its_sign_outside() -> None:
    """Where the sign would turn a weighted vote around."""
    vote = {"vote": "sign"}
    one = form(vote, {"weigh": [1, 0.5]}, {"post": "scale", "by": -2})
    assert one == form(vote, {"weigh": [2, 1]}, {"post": "scale", "by": -1})
    assert one != form(vote, {"weigh": [2, 1]})


def test_scales_in_a_row_are_one_wherever_they_stand() -> None:
    ramp = {"post": "ramp", "alpha": 0.5, "beta": 0.5}
    level = {"post": "norm_ramp", "beta": 0.5}
    one = form(level, {"post": "scale", "by": 2}, ramp, {"post": "scale", "by": 3})
    assert one == form(level, {"post": "scale", "by": 6}, ramp) != form({"post": "scale", "by": 6}, level, ramp)


def test_ties_over_a_model_are_all_kept() -> None:
    tree: dict[str, Any] = {
        "models": {"a": {"path": "a"}, "b": {"path": "b"}},
        "blends": {"mix": {"origin": "a", "experts": ["b"]}},
    }
    tree["blends"]["mix"] |= {"pipe": [{"gate": "top", "density": 0.5, "scope": "model", "ties": "first"}]}
    with pytest.raises(ConfigError, match=r"ties: first.* counts in one tensor"):
        parse(Recipe, tree, "recipe.yaml")


def test_an_origin_shows_unless_weights_sum_to_one() -> None:
    pipes = [form({"weigh": [0.5, weight]}) for weight in (0.5, 0.4999)]
    assert [Parts.of(pipe, 2).from_zero for pipe in pipes] == [True, False]


def test_a_common_factor_of_weights_is_redundant_beside_a_silent_expert() -> None:
    pipes = [pipe_of({"vote": "sign"}, {"weigh": weights}, {"reduce": "mean"}) for weights in ([2, 0, 1], [4, 0, 2])]
    first, second = (canonical_pipe(pipe, 3, has_origin=True) for pipe in pipes)
    assert first == second


def test_a_gate_that_an_equal_one_stands_before_is_left_out() -> None:
    top, other = {"gate": "top", "density": 0.5}, {"gate": "bernoulli", "density": 0.9}
    assert form(top, other, top) == form(top, other)
